//! ARP by packet socket: what the kernel does not send or hear on its own.

use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use linkspan_types::MacAddr;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::packet::{Closer, PacketSocket};
use crate::readable::readable;

const ETH_P_ARP: u16 = 0x0806;
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
    let socket = PacketSocket::open(index, ETH_P_ARP, None)?;
    socket.listen()?;
    let start = Instant::now();
    for round in 1..=PROBES {
        socket.send(&request(mac, Ipv4Addr::UNSPECIFIED, address), MacAddr::BROADCAST)?;
        let deadline = start + bound * round / PROBES;
        while let Some(packet) = receive_by(&socket, deadline)? {
            if let Some(other) = claimant(&packet, mac, address, true) {
                return Ok(Some(other));
            }
        }
    }
    Ok(None)
}

/// Sends one ARP announcement (RFC 5227, section 2.3) for each address.
pub(crate) fn announce(index: u32, mac: MacAddr, addresses: &[Ipv4Addr]) -> io::Result<()> {
    let socket = PacketSocket::open(index, ETH_P_ARP, None)?;
    let send =
        |address: &Ipv4Addr| socket.send(&request(mac, *address, *address), MacAddr::BROADCAST);
    addresses.iter().try_for_each(send)
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

/// Who says in this packet that the address is theirs, or, if they count, asks as we do whether they may have it.
fn claimant(packet: &[u8], own: MacAddr, address: Ipv4Addr, rivals_count: bool) -> Option<MacAddr> {
    let packet: &[u8; LENGTH] = packet.first_chunk()?;
    let octets =
        |at: usize| Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
    let (sender, target) = (octets(14), octets(24));
    let is_probe = packet[6..8] == [0, 1] && sender.is_unspecified() && target == address;
    let mac = MacAddr(*packet[8..].first_chunk()?);
    let is_claim = sender == address || rivals_count && is_probe;
    (packet[..6] == PREAMBLE && mac != own && is_claim).then_some(mac)
}

/// An ARP probe in progress, for who has other things to do meanwhile. It ends with the value.
pub struct ArpProbe {
    socket: AsyncFd<PacketSocket>,
    mac: MacAddr,
    address: Ipv4Addr,
    rivals_count: bool,
}

impl ArpProbe {
    /// Listens to a link, which has to be up and in the calling thread's namespace, for somebody who has an address; if
    /// `rivals_count`, also for somebody who asks for it meanwhile, which is a conflict by the RFC. To be called in a
    /// tokio runtime.
    pub fn open(
        index: u32,
        mac: MacAddr,
        address: Ipv4Addr,
        rivals_count: bool,
        closer: &Closer,
    ) -> io::Result<Self> {
        let socket = PacketSocket::open(index, ETH_P_ARP, Some(closer.clone()))?;
        socket.listen()?;
        Ok(Self { socket: readable(socket)?, mac, address, rivals_count })
    }

    /// Asks everybody once.
    pub fn ask(&self) -> io::Result<()> {
        let request = request(self.mac, Ipv4Addr::UNSPECIFIED, self.address);
        self.socket.get_ref().send(&request, MacAddr::BROADCAST)
    }

    /// Waits for the next one who claims the address.
    pub async fn claimed(&self) -> io::Result<MacAddr> {
        loop {
            let packet = self.socket.async_io(Interest::READABLE, receive).await?;
            let claimant = claimant(&packet, self.mac, self.address, self.rivals_count);
            if let Some(other) = claimant {
                return Ok(other);
            }
        }
    }
}

/// One packet, or as much of it as an ARP packet has.
fn receive(socket: &PacketSocket) -> io::Result<[u8; LENGTH]> {
    let mut packet = [0; LENGTH];
    socket.receive(&mut packet)?;
    Ok(packet)
}

/// The next packet, unless the deadline comes first.
fn receive_by(socket: &PacketSocket, deadline: Instant) -> io::Result<Option<[u8; LENGTH]>> {
    loop {
        match receive(socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => return received.map(Some),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Ok(None),
            Err(Errno::INTR) | Ok(_) => {}
            Err(e) => return Err(e.into()),
        }
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
        let claims = |packet: [u8; LENGTH]| claimant(&packet, OWN, ADDRESS, true);
        assert_eq!(claims(request(OTHER, ADDRESS, elsewhere)), Some(OTHER));
        assert_eq!(claims(request(OTHER, NOBODY, ADDRESS)), Some(OTHER));
        let rival = request(OTHER, NOBODY, ADDRESS);
        assert_eq!(claimant(&rival, OWN, ADDRESS, false), None);
        let user = request(OTHER, ADDRESS, ADDRESS);
        assert_eq!(claimant(&user, OWN, ADDRESS, false), Some(OTHER));
        let mut reply = request(OTHER, ADDRESS, NOBODY);
        reply[7] = 2;
        assert_eq!(claims(reply), Some(OTHER));
        // Our own, sent back by a switch; somebody who only asks; and what is no ARP for IPv4.
        assert_eq!(claims(request(OWN, NOBODY, ADDRESS)), None);
        assert_eq!(claims(request(OTHER, elsewhere, ADDRESS)), None);
        assert_eq!(claims(request(OTHER, NOBODY, elsewhere)), None);
        reply[2..4].copy_from_slice(&[0x86, 0xdd]);
        assert_eq!(claims(reply), None);
        assert_eq!(claimant(&user[..27], OWN, ADDRESS, true), None);
    }
}
