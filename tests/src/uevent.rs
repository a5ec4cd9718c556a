//! Uevents as the kernel sends them, in this network namespace alone: it passes on what root sends it (since
//! Linux 4.18), under its own port, and listeners can't tell the difference.

use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, SendFlags, SocketType, sendto, socket};

/// The size of `struct nlmsghdr`.
const HEADER: usize = 16;
/// `NLMSG_MIN_TYPE`: those below are netlink's own.
const ANY_TYPE: u16 = 16;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;

/// Tells all listeners that something has happened to a PCI device: `add`, `remove`, `bind`, ...
///
/// # Panics
///
/// If the kernel doesn't pass it on.
pub fn pci(action: &str, path: &str) {
    let text = format!("{action}@{path}\0ACTION={action}\0DEVPATH={path}\0SUBSYSTEM=pci\0");
    let length = u32::try_from(HEADER + text.len()).unwrap();
    let header =
        [&length.to_ne_bytes()[..], &ANY_TYPE.to_ne_bytes(), &REQUEST.to_ne_bytes(), &[0; 8]];
    let message = [header.concat().as_slice(), text.as_bytes()].concat();
    let kernel = SocketAddrNetlink::new(0, 0);
    let sender = socket(AddressFamily::NETLINK, SocketType::RAW, Some(KOBJECT_UEVENT)).unwrap();
    let sent = sendto(&sender, &message, SendFlags::empty(), &kernel).unwrap();
    assert_eq!(sent, message.len());
}
