//! Where leases are taken before the pods come that will have them: through links of the daemon's own on the pods'
//! parents, in a namespace that nobody else sees. A link is there only while messages are exchanged.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};

use linkspan_dhcp::wishes::Wishes;
use linkspan_linux::{
    Errno, LinkChange, LinkKind, NetlinkError, Netns, NewKind, NewLink, RouteSocket,
};
use linkspan_types::{IfName, MacAddr, MacvlanMode, VlanId};
use serde::{Deserialize, Serialize};

use crate::interface::InterfaceError;

/// A lease that no pod has yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Warm {
    #[serde(flatten)]
    pub(crate) place: Place,
    pub(crate) stage: Stage,
}

/// Where the pods' links are that it is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Their parent, by its name on the host.
    pub(crate) parent: IfName,
    /// The VLAN in between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vlan: Option<VlanId>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// A server is being asked for it.
    Asked,
    /// A pod can have it.
    Ready,
    /// A pod is being made for which it is.
    Taken,
}

/// The leases that are to be there for pods to come.
#[derive(Clone, Debug)]
pub(crate) struct Prefetch {
    pub(crate) place: Place,
    pub(crate) leases: usize,
    /// With what is wanted of all of them.
    pub(crate) wishes: Wishes,
}

/// What all pods of a network want alike: not who they are. A name is told when the pod has its lease.
pub(crate) fn of_nobody(wishes: &Wishes) -> Wishes {
    let provide = wishes.provide.iter().filter(|(code, _)| *code != HOST_NAME).cloned().collect();
    Wishes { provide, client_id: Vec::new(), ..wishes.clone() }
}

const HOST_NAME: u8 = 12;

/// By what servers know a lease that was ready before its pod: the MAC, which the pod's link will have.
pub(crate) fn client_id(mac: MacAddr) -> Vec<u8> {
    const ETHERNET: u8 = 1;
    [&[ETHERNET], &mac.0[..]].concat()
}

/// The namespace of the daemon's own links.
pub(crate) struct Nursery {
    netns: Netns,
    path: PathBuf,
}

impl Nursery {
    /// Makes one; `home` is the calling thread's own namespace. It goes with the value, and all links in it.
    pub(crate) fn new(home: &Netns) -> Result<Self, InterfaceError> {
        let made = Netns::private(home);
        let netns = made.map_err(|source| work(Path::new("of the daemon's own"), source))?;
        let path = format!("/proc/self/fd/{}", netns.as_fd().as_raw_fd()).into();
        Ok(Self { netns, path })
    }

    /// The path by which it is opened, in this process alone.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a link with this MAC, and returns the index of the one that is to be deleted with it.
    pub(crate) fn make(
        &self,
        home: &Netns,
        place: &Place,
        name: &IfName,
        mac: MacAddr,
    ) -> Result<u32, InterfaceError> {
        let mut outside = RouteSocket::open()?;
        let mut inside = self.socket(home)?;
        let parent = outside.link_by_name(&place.parent)?.index;
        let between = place.vlan.map(|id| (id, sub_interface(&mut outside, parent, id)));
        let (lower, tagged) = match between {
            None => (parent, None),
            Some((_, Some(sub_interface))) => (sub_interface, None),
            // The last pod of the VLAN has gone, and its sub-interface with it. Tagged frames come to any link then.
            Some((id, None)) => (parent, Some(id)),
        };
        let lower_name = if tagged.is_some() { under(name, mac) } else { name.clone() };
        let kind =
            NewKind::Macvlan { mode: MacvlanMode::Bridge, sources: &[], broadcast_queue: None };
        let link = NewLink {
            name: &lower_name,
            kind,
            parent: lower,
            netns: Some(&self.netns),
            index: None,
            mac: Some(mac),
            mtu: None,
            up: false,
            queues: None,
        };
        outside.add_link(&link)?;
        let index = inside.link_by_name(&lower_name)?.index;
        let made = set_up(&mut inside, index).and_then(|()| {
            let Some(id) = tagged else { return Ok(()) };
            let kind = NewKind::Vlan { id };
            inside.add_link(&NewLink {
                name,
                kind,
                parent: index,
                netns: None,
                mac: None,
                ..link
            })?;
            let vlan = inside.link_by_name(name)?.index;
            set_up(&mut inside, vlan)
        });
        if let Err(error) = made {
            let _ = inside.delete_link(index);
            return Err(error.into());
        }
        Ok(index)
    }

    /// Deletes a link that was made here.
    pub(crate) fn delete(&self, home: &Netns, index: u32) -> Result<(), InterfaceError> {
        match self.socket(home)?.delete_link(index) {
            // It went with its parent.
            Err(error) if error.is_missing() => Ok(()),
            deleted => Ok(deleted?),
        }
    }

    fn socket(&self, home: &Netns) -> Result<RouteSocket, InterfaceError> {
        let opened = self.netns.visit(home, RouteSocket::open);
        Ok(opened.map_err(|source| work(&self.path, source))??)
    }
}

/// Sets a link up that says nothing by IPv6: its MAC is to be a pod's.
fn set_up(socket: &mut RouteSocket, index: u32) -> Result<(), NetlinkError> {
    let quiet = LinkChange { no_own_ipv6: true, ..LinkChange::default() };
    match socket.change_link(index, &quiet) {
        // A kernel without IPv6 says nothing by it.
        Err(error) if error.errno() == Some(Errno::AFNOSUPPORT) => {}
        quiet => quiet?,
    }
    socket.change_link(index, &LinkChange { up: Some(true), ..LinkChange::default() })
}

/// The VLAN sub-interface between a parent and its pods, which is the CNI plugin's to make and to remove: it has the
/// parent's index in its name.
fn sub_interface(socket: &mut RouteSocket, parent: u32, id: VlanId) -> Option<u32> {
    let name: IfName = format!("ls{parent:x}.{id}").parse().ok()?;
    let link = socket.link_by_name(&name).ok()?;
    let is_it = matches!(link.kind, LinkKind::Vlan { id: found, .. } if found == id);
    (is_it && link.parent == Some(parent)).then_some(link.index)
}

/// A name for the link below one of this MAC.
fn under(name: &IfName, mac: MacAddr) -> IfName {
    format!("u{}", digits(mac)).parse().unwrap_or_else(|_| name.clone())
}

/// A MAC as part of a name.
pub(crate) fn digits(mac: MacAddr) -> String {
    mac.to_string().replace(':', "")
}

fn work(path: &Path, source: std::io::Error) -> InterfaceError {
    InterfaceError::Work { path: path.to_owned(), source }
}
