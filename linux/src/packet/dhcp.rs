//! The two sockets of a DHCP client: one for packets, while there is no address, and one for UDP, from the address
//! that there is.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use linkspan_types::{IfName, MacAddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::datagram::Datagram;
use super::filter::{self, CLIENT_PORT};
use super::{Closer, PacketSocket, send_from, set_option};
use crate::readable::readable;

const ETH_P_IP: u16 = 0x0800;
const SERVER_PORT: u16 = 67;
/// The largest packet that is looked at.
const LARGEST: usize = 1500;

/// A socket for DHCP through a link that has no address yet, or no longer has it.
pub struct DhcpSocket {
    socket: AsyncFd<PacketSocket>,
}

/// What came to a client's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A whole UDP datagram.
    Datagram {
        /// What followed the UDP header.
        payload: Vec<u8>,
        /// Where its frame came from; none where it came by a UDP socket, which does not tell.
        from: Option<MacAddr>,
    },
    /// Something that is cut off, too large, or damaged on its way.
    Malformed,
}

impl DhcpSocket {
    /// Listens to a link of the calling thread's network namespace, to what names the client with this MAC. To be
    /// called in a tokio runtime.
    pub fn open(index: u32, mac: MacAddr, closer: &Closer) -> io::Result<Self> {
        let socket = PacketSocket::open(index, ETH_P_IP, Some(closer.clone()))?;
        filter::attach_to_packets(&socket, mac)?;
        socket.tell_checksums()?;
        socket.listen()?;
        Ok(Self { socket: readable(socket)? })
    }

    /// Sends a client's message, from any address, to a server whose MAC is known, or to everybody.
    pub fn send(
        &self,
        message: &[u8],
        from: Ipv4Addr,
        to: Ipv4Addr,
        mac: Option<MacAddr>,
    ) -> io::Result<()> {
        let (from, to) = (SocketAddrV4::new(from, CLIENT_PORT), SocketAddrV4::new(to, SERVER_PORT));
        let packet = Datagram { from, to, payload: message }.to_packet();
        let packet = packet.ok_or(io::ErrorKind::InvalidInput)?;
        self.socket.get_ref().send(&packet, mac.unwrap_or(MacAddr::BROADCAST))
    }

    /// Waits for what comes next.
    pub async fn receive(&self) -> io::Result<Heard> {
        self.socket.async_io(Interest::READABLE, hear).await
    }
}

fn hear(socket: &PacketSocket) -> io::Result<Heard> {
    let mut room = [0; LARGEST];
    let received = socket.receive(&mut room)?;
    let datagram = room
        .get(..received.length)
        .and_then(|packet| Datagram::parse(packet, received.checksum_is_due));
    Ok(datagram.map_or(Heard::Malformed, |datagram| Heard::Datagram {
        payload: datagram.payload.to_vec(),
        from: received.from,
    }))
}

/// A socket for DHCP from an address that a link has.
pub struct LeaseSocket {
    socket: AsyncFd<UdpSocket>,
    address: Ipv4Addr,
}

impl LeaseSocket {
    /// Listens to the client's port of one link of the calling thread's network namespace: to what comes for its
    /// address, and to what is broadcast, as a refusal is (RFC 2131, section 4.1), where it names the client with this
    /// MAC. To be called in a tokio runtime.
    pub fn open(link: &IfName, address: Ipv4Addr, mac: MacAddr) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
        let mut name = [0_u8; libc::IFNAMSIZ];
        name[..link.as_str().len()].copy_from_slice(link.as_str().as_bytes());
        set_option(&socket, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, &name)?;
        sockopt::set_socket_broadcast(&socket, true)?;
        filter::attach_to_datagrams(&socket, mac)?;
        // A socket of the address alone would hear no broadcast.
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT))?;
        Ok(Self { socket: readable(UdpSocket::from(socket))?, address })
    }

    /// Sends a client's message from the address, to a server or to everybody. Fails where the link does not have
    /// the address.
    pub fn send(&self, message: &[u8], to: Ipv4Addr) -> io::Result<()> {
        let to = SocketAddrV4::new(to, SERVER_PORT);
        send_from(self.socket.get_ref(), message, self.address, to)
    }

    /// Waits for what comes next.
    pub async fn receive(&self) -> io::Result<Heard> {
        self.socket.async_io(Interest::READABLE, hear_udp).await
    }
}

fn hear_udp(socket: &UdpSocket) -> io::Result<Heard> {
    // What is larger fills the room, and is cut off.
    let mut room = [0; LARGEST];
    let length = socket.recv(&mut room)?;
    let payload = room.get(..length).filter(|payload| payload.len() < LARGEST);
    Ok(payload.map_or(Heard::Malformed, |payload| Heard::Datagram {
        payload: payload.to_vec(),
        from: None,
    }))
}
