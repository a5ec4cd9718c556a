//! Packet sockets: packets of one protocol through one link, past the kernel's own IP, which neither sends from an
//! address that the link does not have nor hears what comes for it.
#![expect(
    unsafe_code,
    reason = "rustix has neither the addresses of packet sockets nor their ancillary data"
)]

mod closer;
mod datagram;
mod dhcp;
mod filter;
mod lldp;

use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use linkspan_types::MacAddr;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, bind, sendto, socket_with};

pub use closer::Closer;
pub use dhcp::{DhcpSocket, Heard, LeaseSocket};
pub use lldp::hear_lldp;

/// A socket for the packets of one protocol through one link, which never blocks.
pub(crate) struct PacketSocket {
    /// Taken only when this is dropped.
    socket: ManuallyDrop<OwnedFd>,
    index: i32,
    protocol: u16,
    closer: Option<Closer>,
}

/// What a packet socket has received.
pub(crate) struct Received {
    /// How many bytes the packet had, which may be more than there was room for.
    pub(crate) length: usize,
    /// Who sent it; none where that is no Ethernet address.
    pub(crate) from: Option<MacAddr>,
    /// Whether its checksum was left for hardware that it never came to: it was sent on this machine.
    pub(crate) checksum_is_due: bool,
}

impl PacketSocket {
    /// Opens a socket in the calling thread's network namespace. To close it takes the kernel up to 20 ms, for which
    /// only the closer waits where there is one.
    pub(crate) fn open(index: u32, protocol: u16, closer: Option<Closer>) -> io::Result<Self> {
        // Protocol 0: nothing is received yet, least of all from other links.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
        let index = i32::try_from(index).map_err(io::Error::other)?;
        Ok(Self { socket: ManuallyDrop::new(socket), index, protocol, closer })
    }

    /// Receives from now on.
    pub(crate) fn listen(&self) -> io::Result<()> {
        Ok(bind(&*self.socket, &self.address(MacAddr::ZERO))?)
    }

    pub(crate) fn send(&self, packet: &[u8], to: MacAddr) -> io::Result<()> {
        sendto(&*self.socket, packet, SendFlags::empty(), &self.address(to))?;
        Ok(())
    }

    /// Receives one packet, or fails with `WouldBlock`.
    pub(crate) fn receive(&self, room: &mut [u8]) -> io::Result<Received> {
        let mut from = MaybeUninit::<libc::sockaddr_ll>::zeroed();
        let mut control = Control([0; CONTROL]);
        let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        // SAFETY: zeros are a valid message header, of any libc's padding too.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_name = from.as_mut_ptr().cast();
        message.msg_namelen = ADDRESS_LENGTH;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = CONTROL as _;
        // SAFETY: every pointer of the header is to memory that is borrowed for the call, with its length.
        let length = unsafe { libc::recvmsg(self.as_raw_fd(), &raw mut message, libc::MSG_TRUNC) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: it was zeroed, and any bytes are a valid `sockaddr_ll`.
        let from = unsafe { from.assume_init() };
        let octets = from.sll_addr.first_chunk().filter(|_| from.sll_halen == 6);
        let checksum_is_due = status(&message) & libc::TP_STATUS_CSUMNOTREADY != 0;
        Ok(Received { length, from: octets.copied().map(MacAddr), checksum_is_due })
    }

    /// Has [`Received::checksum_is_due`] told.
    fn tell_checksums(&self) -> io::Result<()> {
        set_option(self, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1_i32)
    }

    fn address(&self, mac: MacAddr) -> LinkLayerAddress {
        let mut address = [0; 8];
        address[..6].copy_from_slice(&mac.0);
        LinkLayerAddress {
            family: AddressFamily::PACKET.as_raw(),
            protocol: self.protocol.to_be(),
            index: self.index,
            hardware_type: 0,
            packet_type: 0,
            length: 6,
            address,
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Drop for PacketSocket {
    fn drop(&mut self) {
        // SAFETY: nobody uses the field any more.
        let socket = unsafe { ManuallyDrop::take(&mut self.socket) };
        if let Some(closer) = &self.closer {
            closer.close(socket);
        }
    }
}

/// Room for one piece of ancillary data, which is as aligned as its header has to be.
#[repr(C, align(8))]
struct Control([u8; CONTROL]);
const CONTROL: usize = 64;

/// `tp_status` of the packet (`packet(7)`, `PACKET_AUXDATA`); zero where it is not told.
fn status(message: &libc::msghdr) -> u32 {
    // SAFETY: the header's control buffer is one that `recvmsg` has filled in.
    let piece = unsafe { libc::CMSG_FIRSTHDR(message) };
    if piece.is_null() {
        return 0;
    }
    // SAFETY: it is a piece of ancillary data within the buffer, and aligned as the buffer is.
    let kind = unsafe { ((*piece).cmsg_level, (*piece).cmsg_type) };
    if kind != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return 0;
    }
    // SAFETY: there the kernel has written all of a `struct tpacket_auxdata`, whose first field is the status.
    unsafe { libc::CMSG_DATA(piece).cast::<u32>().read_unaligned() }
}

/// `setsockopt(2)`, for options that rustix does not have. `T` is to be the option's own type.
fn set_option<T>(socket: &impl AsFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    let length = length_of::<T>();
    let socket = socket.as_fd().as_raw_fd();
    let value: *const libc::c_void = std::ptr::from_ref(value).cast();
    // SAFETY: the value is borrowed for the call, and the length is its size.
    match unsafe { libc::setsockopt(socket, level, option, value, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends a datagram from one of the machine's addresses (`IP_PKTINFO` of `ip(7)`), whichever the socket is bound to.
fn send_from(
    socket: &impl AsFd,
    payload: &[u8],
    from: Ipv4Addr,
    to: SocketAddrV4,
) -> io::Result<()> {
    let number = |address: &Ipv4Addr| libc::in_addr { s_addr: u32::from(*address).to_be() };
    let source = libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: number(&from),
        ipi_addr: number(&Ipv4Addr::UNSPECIFIED),
    };
    let mut to = libc::sockaddr_in {
        sin_family: AddressFamily::INET.as_raw(),
        sin_port: to.port().to_be(),
        sin_addr: number(to.ip()),
        sin_zero: [0; 8],
    };
    let mut part =
        libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
    let mut control = Control([0; CONTROL]);
    // SAFETY: zeros are a valid message header, of any libc's padding too.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_name = (&raw mut to).cast();
    message.msg_namelen = length_of::<libc::sockaddr_in>();
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: this only computes a length.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(length_of::<libc::in_pktinfo>()) } as _;
    const { assert!(size_of::<libc::cmsghdr>() + size_of::<libc::in_pktinfo>() <= CONTROL - 8) };
    // SAFETY: the control buffer has room for one piece of this length, and is as aligned as that has to be.
    unsafe {
        let piece = libc::CMSG_FIRSTHDR(&raw const message);
        (*piece).cmsg_level = libc::IPPROTO_IP;
        (*piece).cmsg_type = libc::IP_PKTINFO;
        (*piece).cmsg_len = libc::CMSG_LEN(length_of::<libc::in_pktinfo>()) as _;
        libc::CMSG_DATA(piece).cast::<libc::in_pktinfo>().write_unaligned(source);
    }
    // SAFETY: every pointer of the header is to memory that is borrowed for the call, with its length; the kernel
    // only reads the payload.
    match unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The size of what the kernel is told of.
#[expect(clippy::cast_possible_truncation, reason = "these have some bytes")]
const fn length_of<T>() -> u32 {
    size_of::<T>() as u32
}

const ADDRESS_LENGTH: SocketAddrLen = 20;

/// `struct sockaddr_ll` of `linux/if_packet.h`.
#[repr(C)]
struct LinkLayerAddress {
    family: u16,
    protocol: u16,
    index: i32,
    hardware_type: u16,
    packet_type: u8,
    length: u8,
    address: [u8; 8],
}

// SAFETY: the pointer is to a whole `sockaddr_ll`, which is borrowed for the call, and the length is its size.
unsafe impl SocketAddrArg for LinkLayerAddress {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        const { assert!(size_of::<LinkLayerAddress>() == ADDRESS_LENGTH as usize) };
        f(std::ptr::from_ref(self).cast(), ADDRESS_LENGTH)
    }
}
