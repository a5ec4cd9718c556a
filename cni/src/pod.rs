//! The pod's end of an ADD: its network namespace, entered as seldom as can be.

use std::path::Path;

use linkspan_linux::{NetlinkError, Netns, RouteSocket};
use linkspan_types::IfName;

use crate::spec::{CniError, Code};

/// A pod's network namespace, and a socket in it from the moment on that something is asked or changed there.
pub struct Pod {
    netns: Netns,
    home: Netns,
    socket: Option<RouteSocket>,
}

/// A name that an interface of the pod has already.
#[derive(Debug, thiserror::Error)]
#[error("CNI_IFNAME is {0}, but the pod has an interface of this name already")]
pub struct NameTaken(pub IfName);

impl NameTaken {
    /// The spec's code for it.
    pub const CODE: Code = Code::InvalidEnvironment;
    /// What to do.
    pub const ADVICE: &str = "Give each of the pod's networks its own interface name";
}

impl Pod {
    /// Opens the namespace, which must not be the host's: a VF "moved" there would be renamed on the host.
    /// `host` is a socket of the calling thread's own.
    pub fn open(path: &Path, host: &RouteSocket) -> Result<Self, CniError> {
        let (netns, home) = (Netns::open(path)?, host.netns().map_err(io)?);
        if netns.id().map_err(io)? == home.id().map_err(io)? {
            return Err(CniError::new(
                Code::InvalidEnvironment,
                format!("CNI_NETNS is {}, which is the host's own namespace", path.display()),
                "A pod with hostNetwork: true has all the host's interfaces already, and gets no others",
            ));
        }
        Ok(Self { netns, home, socket: None })
    }

    /// Opens the namespace of whoever another main plugin calls the pod.
    pub fn of_caller(path: &Path) -> Result<Self, CniError> {
        let (netns, home) = (Netns::open(path)?, Netns::current().map_err(io)?);
        Ok(Self { netns, home, socket: None })
    }

    /// The namespace.
    #[must_use]
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// The socket.
    pub fn socket(&mut self) -> Result<&mut RouteSocket, NetlinkError> {
        self.both().map(|(_, socket)| socket)
    }

    /// The namespace and the socket.
    pub fn both(&mut self) -> Result<(&Netns, &mut RouteSocket), NetlinkError> {
        let Self { netns, home, socket } = self;
        let socket = match socket {
            Some(socket) => socket,
            none => none.insert(RouteSocket::open_from(home, netns)?),
        };
        Ok((netns, socket))
    }

    /// Whether it has an interface of this name.
    pub fn has(&mut self, name: &IfName) -> Result<bool, NetlinkError> {
        match self.socket()?.link_by_name(name) {
            Err(e) if e.is_missing() => Ok(false),
            link => link.map(|_| true),
        }
    }

    /// Does work with the calling thread inside the namespace.
    pub fn visit<T, E>(
        &mut self,
        work: impl FnOnce(&mut RouteSocket) -> Result<T, E>,
    ) -> Result<T, CniError>
    where
        CniError: From<E>,
    {
        let Self { netns, home, socket } = self;
        let done = netns.visit(home, || {
            let socket = match socket {
                Some(socket) => socket,
                none => none.insert(RouteSocket::open()?),
            };
            work(socket).map_err(CniError::from)
        });
        done.map_err(io)?
    }
}

impl From<NameTaken> for CniError {
    fn from(error: NameTaken) -> Self {
        Self::caused_by(NameTaken::CODE, &error, NameTaken::ADVICE)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` calls gets its own")]
fn io(error: std::io::Error) -> CniError {
    CniError::caused_by(Code::Io, &error, "")
}
