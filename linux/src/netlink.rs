//! Requests to the kernel's netlink, one at a time over a blocking socket, and the kernel's own words in every
//! refusal: here those to the routing netlink, in `generic` those to others.

mod connection;
mod generic;
mod refusal;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NlaBuffer};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::netns::Netns;

use connection::{Connection, Reply, Size};
pub(crate) use generic::{GenericSocket, text_attribute};
pub(crate) use refusal::Cause;
pub use refusal::{Errno, NetlinkError};

/// How often a dump that the kernel marks as inconsistent is asked for again.
const DUMP_TRIES: u32 = 16;

/// A socket to the routing netlink of one network namespace.
///
/// It belongs to the namespace in which it was opened, whatever its thread does later, and it keeps that
/// namespace alive: drop it as soon as the work is done.
pub struct RouteSocket(Connection);

impl RouteSocket {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        let connection = Connection::open(NETLINK_ROUTE);
        connection
            .map(Self)
            .map_err(|e| NetlinkError::new("open a routing netlink socket", Cause::Socket(e)))
    }

    /// The namespace that it belongs to.
    pub fn netns(&self) -> io::Result<Netns> {
        self.0.netns()
    }

    /// Opens a socket in another network namespace.
    pub fn open_in(netns: &Netns) -> Result<Self, NetlinkError> {
        let home = Netns::current().map_err(not_entered)?;
        Self::open_from(&home, netns)
    }

    /// As [`Self::open_in`], for who has the calling thread's own namespace open: see [`Netns::visit`].
    pub fn open_from(home: &Netns, netns: &Netns) -> Result<Self, NetlinkError> {
        netns.visit(home, Self::open).map_err(not_entered)?
    }

    /// Carries out one change and waits for the kernel's word on it. `action` completes the sentence
    /// "cannot ...".
    pub(crate) fn change(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        action: impl FnOnce() -> String,
    ) -> Result<(), NetlinkError> {
        self.0
            .exchange(message, NLM_F_ACK | flags, Size::Bounded)
            .map(drop)
            .map_err(|cause| NetlinkError::new(&action(), cause))
    }

    /// Asks for one object.
    pub(crate) fn get(
        &mut self,
        message: RouteNetlinkMessage,
        action: impl FnOnce() -> String,
    ) -> Result<Reply, NetlinkError> {
        self.0.get(message).map_err(|cause| NetlinkError::new(&action(), cause))
    }

    /// Asks for one object that is often large, and costs the kernel too much to be asked for twice.
    pub(crate) fn get_large(
        &mut self,
        message: RouteNetlinkMessage,
        action: impl FnOnce() -> String,
    ) -> Result<Reply, NetlinkError> {
        self.0.get_large(message).map_err(|cause| NetlinkError::new(&action(), cause))
    }

    /// Asks for all objects of a kind, of any size.
    pub(crate) fn dump(
        &mut self,
        message: &RouteNetlinkMessage,
        action: impl FnOnce() -> String,
    ) -> Result<Vec<Reply>, NetlinkError> {
        self.dump_whole(message, Size::Any).map_err(|cause| NetlinkError::new(&action(), cause))
    }

    /// As [`Self::dump`], of small objects, where the request names those that are wanted. Kernels before
    /// 4.20 answer with all of them nevertheless, so the caller still has to look.
    pub(crate) fn dump_some(
        &mut self,
        message: &RouteNetlinkMessage,
        action: impl FnOnce() -> String,
    ) -> Result<Vec<Reply>, NetlinkError> {
        self.0.be_strict();
        self.dump_whole(message, Size::Bounded).map_err(|cause| NetlinkError::new(&action(), cause))
    }

    /// Asks again where the kernel marks its answer as torn by a change in its midst.
    fn dump_whole(
        &mut self,
        message: &RouteNetlinkMessage,
        size: Size,
    ) -> Result<Vec<Reply>, Cause> {
        for _ in 0..DUMP_TRIES {
            match self.0.exchange(message.clone(), NLM_F_DUMP, size) {
                Err(Cause::Torn) => {}
                other => return other,
            }
        }
        Err(Cause::Torn)
    }
}

impl AsFd for RouteSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn not_entered(error: io::Error) -> NetlinkError {
    NetlinkError::new("enter the namespace for a socket", Cause::Socket(error))
}

/// The text of an attribute, up to its zero byte; bytes that are no UTF-8 are replaced.
pub(crate) fn text_of(attribute: &NlaBuffer<&[u8]>) -> String {
    let text = attribute.value().split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
