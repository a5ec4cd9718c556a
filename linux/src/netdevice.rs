//! The few facts of a link that most work with it needs, by the ioctls of netdevice(7). Unlike a question by
//! netlink they don't wait for the lock under which links are made and changed, and the kernel describes no more
//! than what was asked for.

use std::os::fd::{AsFd, BorrowedFd};

use linkspan_types::{IfName, MacAddr};
use rustix::ioctl::{Opcode, Updater, ioctl};

use crate::link::Link;
use crate::netlink::{Cause, NetlinkError, RouteSocket};

/// The basic facts of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkBasics {
    /// The number that names it within its namespace.
    pub index: u32,
    /// Its Ethernet address; none for a link of another type.
    pub mac: Option<MacAddr>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it was set up by its administrator.
    pub up: bool,
}

/// `struct ifreq` of `linux/if.h`: the name of a link, and the answer, a union.
#[repr(C, align(8))]
struct Request {
    name: [u8; 16],
    answer: [u8; 24],
}

const SIOCGIFFLAGS: Opcode = 0x8913;
const SIOCGIFMTU: Opcode = 0x8921;
const SIOCGIFHWADDR: Opcode = 0x8927;
const SIOCGIFINDEX: Opcode = 0x8933;

const IFF_UP: u8 = 1;
const ARPHRD_ETHER: [u8; 2] = 1_u16.to_ne_bytes();

impl RouteSocket {
    /// The basic facts of the link with this name.
    pub fn basics(&self, name: &IfName) -> Result<LinkBasics, NetlinkError> {
        read(self.as_fd(), name).map_err(|e| {
            NetlinkError::new(&format!("look at link {name}"), Cause::Socket(e.into()))
        })
    }
}

impl From<&Link> for LinkBasics {
    fn from(link: &Link) -> Self {
        Self { index: link.index, mac: link.mac, mtu: link.mtu, up: link.up }
    }
}

fn read(socket: BorrowedFd<'_>, name: &IfName) -> rustix::io::Result<LinkBasics> {
    // `sa_family` and the first of `sa_data`.
    let address: [u8; 8] = ask::<SIOCGIFHWADDR, 8>(socket, name)?;
    let [_, _, mac @ ..] = address;
    let [flags] = ask::<SIOCGIFFLAGS, 1>(socket, name)?;
    Ok(LinkBasics {
        index: u32::from_ne_bytes(ask::<SIOCGIFINDEX, 4>(socket, name)?),
        mac: address.starts_with(&ARPHRD_ETHER).then_some(MacAddr(mac)),
        mtu: u32::from_ne_bytes(ask::<SIOCGIFMTU, 4>(socket, name)?),
        up: flags & IFF_UP != 0,
    })
}

/// The first bytes of the answer.
#[expect(unsafe_code, reason = "rustix wraps one of these ioctls only")]
fn ask<const OPCODE: Opcode, const N: usize>(
    socket: BorrowedFd<'_>,
    name: &IfName,
) -> rustix::io::Result<[u8; N]> {
    let mut request = Request { name: [0; 16], answer: [0; 24] };
    // A name has at most 15 bytes, and so a zero behind it.
    for (to, byte) in request.name.iter_mut().zip(name.as_str().bytes().take(15)) {
        *to = byte;
    }
    // SAFETY: the ioctls named here read and write a `struct ifreq`, and `Request` is as large.
    unsafe { ioctl(socket, Updater::<OPCODE, Request>::new(&mut request)) }?;
    Ok(std::array::from_fn(|at| request.answer[at]))
}
