//! Kernel uevents: devices that appear, go, or get another driver.
//!
//! The kernel multicasts them as netlink messages of text (`lib/kobject_uevent.c`).

use std::io;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_KOBJECT_UEVENT};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::readable::{is_overflow, readable};

/// The multicast group of the kernel's own events; udev sends what it made of them to group 2.
const KERNEL_GROUP: u32 = 1;

/// The kernel's own limit is 2048 bytes of variables, and a path before them.
const MAX_MESSAGE: usize = 8192;

/// A stream of uevents.
#[derive(Debug)]
pub struct Uevents {
    socket: AsyncFd<Socket>,
}

/// What happened to devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uevent {
    /// Something happened to one device.
    Device {
        /// `add`, `remove`, `bind`, `unbind`, `change`, `move`, ...
        action: String,
        /// `pci`, `net`, ...
        subsystem: String,
        /// Where the device is below `/sys`.
        path: String,
    },
    /// More happened than the socket could keep: look at sysfs itself.
    Lost,
}

impl Uevents {
    /// Listens from now on, to the interfaces of this network namespace and to all other devices.
    /// To be called in a tokio runtime.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_KOBJECT_UEVENT)?;
        socket.set_non_blocking(true)?;
        socket.bind(&SocketAddr::new(0, KERNEL_GROUP))?;
        Ok(Self { socket: readable(socket)? })
    }

    /// Waits for the next event.
    pub async fn next(&self) -> io::Result<Uevent> {
        loop {
            if let Some(event) = self.socket.async_io(Interest::READABLE, receive).await? {
                return Ok(event);
            }
        }
    }
}

/// Receives one message; nothing where it isn't an event, or not the kernel's.
fn receive(socket: &Socket) -> io::Result<Option<Uevent>> {
    let mut message = Vec::with_capacity(MAX_MESSAGE);
    match socket.recv_from(&mut message, 0) {
        Err(error) if is_overflow(&error) => Ok(Some(Uevent::Lost)),
        Err(error) => Err(error),
        // Any process of root can send to the group; only the kernel's port is 0.
        Ok((_, sender)) if sender.port_number() != 0 => Ok(None),
        Ok(_) => Ok(parse(&message)),
    }
}

/// Reads `add@/devices/...`, a zero byte, and variables that each end with one.
fn parse(message: &[u8]) -> Option<Uevent> {
    let text = str::from_utf8(message).ok()?;
    let mut parts = text.split_terminator('\0');
    let (action, path) = parts.next()?.split_once('@')?;
    let subsystem = parts.find_map(|variable| variable.strip_prefix("SUBSYSTEM="))?;
    Some(Uevent::Device {
        action: action.to_owned(),
        subsystem: subsystem.to_owned(),
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_of_the_kernel_is_read() {
        let message = b"bind@/devices/pci0000:00/0000:01:10.0\0ACTION=bind\0\
            DEVPATH=/devices/pci0000:00/0000:01:10.0\0SUBSYSTEM=pci\0DRIVER=vfio-pci\0SEQNUM=7\0";
        let expected = Uevent::Device {
            action: "bind".to_owned(),
            subsystem: "pci".to_owned(),
            path: "/devices/pci0000:00/0000:01:10.0".to_owned(),
        };
        assert_eq!(parse(message), Some(expected));
    }

    #[test]
    fn anything_else_is_no_event() {
        let strange: [&[u8]; 5] =
            [b"", b"libudev\0\xfe\xed", b"add@/devices/x\0", b"SUBSYSTEM=pci\0", b"\xff@x\0"];
        for message in strange {
            assert_eq!(parse(message), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }

    #[tokio::test]
    async fn a_quiet_socket_waits() {
        let events = Uevents::open().unwrap();
        // Interfaces of other tests may come and go meanwhile, but not for ever.
        let quiet = async { while events.next().await.is_ok() {} };
        let waited = tokio::time::timeout(std::time::Duration::from_millis(50), quiet).await;
        assert!(waited.is_err(), "the socket failed");
    }
}
