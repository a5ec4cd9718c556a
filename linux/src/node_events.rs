//! Waiting until something has changed on this node: links, addresses, PCI devices, files. For a program that shows
//! them to a person, and has nothing else to do.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use netlink_sys::protocols::{NETLINK_KOBJECT_UEVENT, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR` and `RTNLGRP_IPV6_IFADDR` of `linux/rtnetlink.h`, in the old-style mask.
const LINKS_AND_ADDRESSES: u32 = 0x1 | 0x10 | 0x100;
/// The kernel's own events; group 2 is udev's.
const KERNEL_GROUP: u32 = 1;
/// One change brings many events, and then none for so long.
const QUIET: Duration = Duration::from_millis(100);
/// How many pieces of a burst are waited for: nobody looks at an old picture for more than a second or two.
const LONGEST_BURST: usize = 20;

/// A subscription to changes in the calling thread's network namespace, of PCI devices, and of folders.
#[derive(Debug)]
pub struct NodeEvents {
    sockets: [Socket; 2],
    folders: OwnedFd,
}

impl NodeEvents {
    /// Subscribes from now on. A folder that is not there is not watched.
    pub fn subscribe(folders: &[&Path]) -> io::Result<Self> {
        let sockets = [
            listening(NETLINK_ROUTE, LINKS_AND_ADDRESSES)?,
            listening(NETLINK_KOBJECT_UEVENT, KERNEL_GROUP)?,
        ];
        let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let what = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ONLYDIR;
        for folder in folders {
            match inotify::add_watch(&watch, *folder, what) {
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                watched => drop(watched?),
            }
        }
        Ok(Self { sockets, folders: watch })
    }

    /// Waits until something has happened since the last call, and then until it is quiet again.
    pub fn wait(&self) -> io::Result<()> {
        self.wait_for(None)?;
        for _ in 0..LONGEST_BURST {
            if !self.wait_for(Some(QUIET))? {
                break;
            }
        }
        Ok(())
    }

    /// Whether something happened before the time was over.
    fn wait_for(&self, bound: Option<Duration>) -> io::Result<bool> {
        let bound = bound.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        let [routes, uevents] = &self.sockets;
        let descriptors = [routes.as_fd(), uevents.as_fd(), self.folders.as_fd()];
        let mut sources = descriptors.map(|one| PollFd::from_borrowed_fd(one, PollFlags::IN));
        let ready = match poll(&mut sources, bound.as_ref()) {
            Err(Errno::INTR) => return Ok(true),
            ready => ready?,
        };
        // What has changed is asked of the kernel's tables: that some events were lost (ENOBUFS) is no matter.
        for socket in &self.sockets {
            while socket.recv_from_full().is_ok() {}
        }
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut entries = inotify::Reader::new(&self.folders, &mut buffer);
        while entries.next().is_ok() {}
        Ok(ready > 0)
    }
}

fn listening(protocol: isize, groups: u32) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind(&SocketAddr::new(0, groups))?;
    socket.set_non_blocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::fs;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_file_that_appears_ends_the_wait() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let events = NodeEvents::subscribe(&[folder.path(), &missing]).unwrap();
        let (told, waited) = mpsc::channel();
        std::thread::spawn(move || told.send(events.wait()));
        fs::write(folder.path().join("record"), "").unwrap();
        waited.recv_timeout(Duration::from_mins(1)).unwrap().unwrap();
    }
}
