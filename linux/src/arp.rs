//! ARP by packet socket: what the kernel does not send or hear on its own.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use linkspan_types::MacAddr;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with,
};

const ETH_P_ARP: u16 = 0x0806;
/// With the two bytes that only longer addresses fill.
const BROADCAST: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0];
/// Ethernet, IPv4, and the lengths of their addresses.
const PREAMBLE: [u8; 6] = [0, 1, 8, 0, 6, 4];
const LENGTH: usize = 28;
/// `PROBE_NUM` of RFC 5227.
const PROBES: u32 = 3;

/// Asks whether anybody has an address, before it is used (RFC 5227, section 2.1.1), and returns the MAC of
/// whoever claims it, or wants it too, within `bound`. The probes are spread over that time, which the RFC
/// would have be seven seconds.
///
/// The link has to be up, and in the calling thread's namespace. Who shares the link's MAC, such as another
/// ipvlan link of the same parent, is not found. To end takes the kernel up to 20 ms more.
pub fn probe(
    index: u32,
    mac: MacAddr,
    address: Ipv4Addr,
    bound: Duration,
) -> io::Result<Option<MacAddr>> {
    let socket = PacketSocket::open(index)?;
    socket.listen()?;
    let start = Instant::now();
    for round in 1..=PROBES {
        socket.send(&request(mac, Ipv4Addr::UNSPECIFIED, address))?;
        let deadline = start + bound * round / PROBES;
        while let Some(packet) = socket.receive(deadline)? {
            if let Some(other) = claimant(&packet, mac, address) {
                return Ok(Some(other));
            }
        }
    }
    Ok(None)
}

/// Sends one ARP announcement (RFC 5227, section 2.3) for each address.
pub(crate) fn announce(index: u32, mac: MacAddr, addresses: &[Ipv4Addr]) -> io::Result<()> {
    let socket = PacketSocket::open(index)?;
    addresses.iter().try_for_each(|address| socket.send(&request(mac, *address, *address)))
}

/// A broadcast request (RFC 826). For the sender's own address it is an announcement: every host that has the
/// address in its table takes the MAC from it.
fn request(mac: MacAddr, sender: Ipv4Addr, target: Ipv4Addr) -> [u8; LENGTH] {
    let mut packet = [0; LENGTH];
    packet[..6].copy_from_slice(&PREAMBLE);
    packet[7] = 1;
    packet[8..14].copy_from_slice(&mac.0);
    packet[14..18].copy_from_slice(&sender.octets());
    packet[24..28].copy_from_slice(&target.octets());
    packet
}

/// Who says in this packet that the address is theirs, or asks as we do whether they may have it.
fn claimant(packet: &[u8], own: MacAddr, address: Ipv4Addr) -> Option<MacAddr> {
    let packet: &[u8; LENGTH] = packet.first_chunk()?;
    let octets =
        |at: usize| Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
    let (sender, target) = (octets(14), octets(24));
    let is_probe = packet[6..8] == [0, 1] && sender.is_unspecified() && target == address;
    let mac = MacAddr(*packet[8..].first_chunk()?);
    let is_claim = sender == address || is_probe;
    (packet[..6] == PREAMBLE && mac != own && is_claim).then_some(mac)
}

/// A packet socket for the ARP of one link.
struct PacketSocket {
    socket: OwnedFd,
    index: i32,
}

impl PacketSocket {
    fn open(index: u32) -> io::Result<Self> {
        // Protocol 0: nothing is received yet, least of all from other links.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
        Ok(Self { socket, index: i32::try_from(index).map_err(io::Error::other)? })
    }

    fn listen(&self) -> io::Result<()> {
        Ok(bind(&self.socket, &self.everyone())?)
    }

    fn send(&self, packet: &[u8]) -> io::Result<()> {
        sendto(&self.socket, packet, SendFlags::empty(), &self.everyone())?;
        Ok(())
    }

    /// The next packet, unless the deadline comes first.
    fn receive(&self, deadline: Instant) -> io::Result<Option<[u8; LENGTH]>> {
        loop {
            let mut packet = [0; LENGTH];
            match recv(&self.socket, &mut packet, RecvFlags::empty()) {
                Err(Errno::AGAIN) => {}
                received => {
                    received?;
                    return Ok(Some(packet));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timeout)) {
                Ok(0) => return Ok(None),
                Err(Errno::INTR) | Ok(_) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn everyone(&self) -> LinkLayerAddress {
        LinkLayerAddress {
            family: AddressFamily::PACKET.as_raw(),
            protocol: ETH_P_ARP.to_be(),
            index: self.index,
            hardware_type: 0,
            packet_type: 0,
            length: 6,
            address: BROADCAST,
        }
    }
}

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

#[expect(unsafe_code, reason = "rustix has no type for the addresses of packet sockets")]
// SAFETY: the pointer is to a whole `sockaddr_ll`, which is borrowed for the call, and the length is its size.
unsafe impl SocketAddrArg for LinkLayerAddress {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        const LENGTH: SocketAddrLen = 20;
        const { assert!(size_of::<LinkLayerAddress>() == LENGTH as usize) };
        f(std::ptr::from_ref(self).cast(), LENGTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

    #[test]
    fn an_announcement_asks_for_its_own_address() {
        let packet = request(OWN, ADDRESS, ADDRESS);
        assert_eq!(packet[..8], [0, 1, 8, 0, 6, 4, 0, 1]);
        assert_eq!(packet[8..18], [2, 0, 0, 0, 0, 1, 10, 0, 0, 2]);
        assert_eq!(packet[18..], [0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    }

    #[test]
    fn an_address_is_claimed_by_its_user_and_by_who_probes_for_it() {
        let elsewhere = Ipv4Addr::new(10, 0, 0, 3);
        let claims = |packet: [u8; LENGTH]| claimant(&packet, OWN, ADDRESS);
        assert_eq!(claims(request(OTHER, ADDRESS, elsewhere)), Some(OTHER));
        assert_eq!(claims(request(OTHER, NOBODY, ADDRESS)), Some(OTHER));
        let mut reply = request(OTHER, ADDRESS, NOBODY);
        reply[7] = 2;
        assert_eq!(claims(reply), Some(OTHER));
        // Our own, sent back by a switch; somebody who only asks; and what is no ARP for IPv4.
        assert_eq!(claims(request(OWN, NOBODY, ADDRESS)), None);
        assert_eq!(claims(request(OTHER, elsewhere, ADDRESS)), None);
        assert_eq!(claims(request(OTHER, NOBODY, elsewhere)), None);
        reply[2..4].copy_from_slice(&[0x86, 0xdd]);
        assert_eq!(claims(reply), None);
        assert_eq!(claimant(&request(OTHER, ADDRESS, ADDRESS)[..27], OWN, ADDRESS), None);
    }
}
