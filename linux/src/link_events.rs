//! Waiting for a change of the links or of their addresses: the kernel tells, nobody polls.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::netlink::RouteSocket;

/// `RTNLGRP_LINK` of `linux/rtnetlink.h`, as a bit of the old-style group mask.
const LINK_GROUP: u32 = 1;
/// `RTNLGRP_IPV6_IFADDR`, likewise.
const IPV6_ADDRESS_GROUP: u32 = 0x100;

/// The kernel's announcements of links that come, go or change in one namespace.
///
/// Subscribe first and look second: what happens in between is then announced.
pub struct LinkEvents {
    socket: Socket,
}

impl LinkEvents {
    /// Subscribes to changes of links, in the calling thread's network namespace.
    pub fn subscribe() -> io::Result<Self> {
        Self::of(LINK_GROUP)
    }

    fn of(group: u32) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, group))?;
        socket.set_non_blocking(true)?;
        Ok(Self { socket })
    }

    /// Asks `found` now and after each change, until it has something or `bound` has passed.
    pub fn wait_for<T, E: From<io::Error>>(
        &self,
        bound: Duration,
        mut found: impl FnMut() -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        let deadline = Instant::now() + bound;
        loop {
            if let Some(thing) = found()? {
                return Ok(Some(thing));
            }
            if !self.wait_until(deadline)? {
                return Ok(None);
            }
        }
    }

    /// Whether there was a change before the deadline.
    fn wait_until(&self, deadline: Instant) -> io::Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut sources = [PollFd::new(&self.socket, PollFlags::IN)];
        let ready = match poll(&mut sources, Some(&timeout)) {
            Err(Errno::INTR) => 1,
            ready => ready?,
        };
        // What exactly has changed is asked of the kernel's tables, not read from the announcement, so an
        // overflow of the socket (ENOBUFS) loses nothing: it is a change like any other.
        while ready > 0 && self.socket.recv_from_full().is_ok() {}
        Ok(ready > 0)
    }
}

/// Waits until the kernel has looked for duplicates of a link's IPv6 addresses, and returns those that have
/// one. It looks for one to two seconds from when the link has a carrier; `bound` ends the wait too, and
/// addresses may be [tentative](crate::Address::tentative) still.
///
/// The calling thread has to be in the namespace of `socket`.
pub fn wait_for_dad(
    socket: &mut RouteSocket,
    index: u32,
    bound: Duration,
) -> io::Result<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    LinkEvents::of(IPV6_ADDRESS_GROUP)?.wait_for(bound, || {
        addresses = socket.addresses(index).map_err(io::Error::other)?;
        let over = addresses.iter().all(|address| address.duplicate || !address.tentative);
        Ok::<_, io::Error>(over.then_some(()))
    })?;
    let duplicates = addresses.iter().filter(|address| address.duplicate);
    Ok(duplicates.map(|address| address.net.addr()).collect())
}
