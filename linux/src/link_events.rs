//! Waiting for a change of the links: the kernel tells, nobody polls.

use std::io;
use std::time::{Duration, Instant};

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// `RTNLGRP_LINK` of `linux/rtnetlink.h`, as a bit of the old-style group mask.
const LINK_GROUP: u32 = 1;

/// The kernel's announcements of links that come, go or change in one namespace.
///
/// Subscribe first and look second: what happens in between is then announced.
pub struct LinkEvents {
    socket: Socket,
}

impl LinkEvents {
    /// Subscribes in the calling thread's network namespace.
    pub fn subscribe() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, LINK_GROUP))?;
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
