//! Tells the neighbours at once which MAC an address has now, so that none sends to the one that had it
//! before.
//!
//! A packet socket could say it all, but to close one takes the kernel 5 to 20 ms (`packet_release` in
//! `net/packet/af_packet.c` waits for an RCU grace period), which is longer than all the rest of an ADD.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};

use ipnet::IpNet;
use linkspan_types::MacAddr;
use netlink_packet_core::NLM_F_CREATE;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::net::{
    SendFlags, SocketFlags, SocketType, bind, ipproto, sendto, socket_with, sockopt,
};

use crate::arp;
use crate::netlink::{Errno, NetlinkError, RouteSocket};

/// Who is told of an IPv6 address: those in a multicast group of the link (RFC 4291, section 2.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// All nodes.
    Nodes,
    /// All routers (RFC 9131), through which whoever is elsewhere sends.
    ///
    /// This is for a link on which what it has sent may come back. A host is no member of this group, and does
    /// not hear itself; from an advertisement to all nodes its kernel would take it that somebody else has the
    /// address that it is still looking for (`ndisc_recv_na` in `net/ipv6/ndisc.c`), and stop using it.
    Routers,
}

impl Audience {
    fn group(self) -> Ipv6Addr {
        let number = match self {
            Self::Nodes => 1,
            Self::Routers => 2,
        };
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, number)
    }
}

impl RouteSocket {
    /// Announces all addresses of a link, in their order: those of IPv4 by gratuitous ARP (RFC 5227, section
    /// 2.3), those of IPv6 to an audience by unsolicited neighbour advertisements (RFC 4861, section 7.2.6).
    /// The link has to be up, with a carrier, and in the namespace that both this socket and the calling
    /// thread are in.
    ///
    /// An IPv6 address that is still looked at for duplicates can't be announced: the kernel does not send
    /// from it.
    pub fn announce(
        &mut self,
        index: u32,
        mac: MacAddr,
        addresses: &[IpNet],
        audience: Audience,
    ) -> io::Result<()> {
        let (mut by_packet, mut v6) = (Vec::new(), Vec::new());
        for (position, net) in addresses.iter().enumerate() {
            match net {
                IpNet::V6(net) => v6.push(net.addr()),
                // Of several addresses in one subnet the kernel sends from the first (`inet_select_addr` in
                // `net/ipv4/devinet.c`).
                IpNet::V4(net)
                    if addresses[..position].iter().any(|n| n.contains(&IpNet::V4(*net))) =>
                {
                    by_packet.push(net.addr());
                }
                IpNet::V4(net) => {
                    self.have_announced(index, net.addr()).map_err(io::Error::other)?;
                }
            }
        }
        if !v6.is_empty() {
            advertise(index, mac, &v6, audience)?;
        }
        if by_packet.is_empty() { Ok(()) } else { arp::announce(index, mac, &by_packet) }
    }

    /// Tells the kernel where a neighbour was seen, and has it ask there, and nobody else, whether that holds: the
    /// neighbour learns from the question where the link is (RFC 826). Meanwhile the kernel sends there. Where it knows
    /// of another place it stays with that.
    pub fn ask_neighbour(
        &mut self,
        index: u32,
        address: Ipv4Addr,
        mac: MacAddr,
    ) -> Result<(), NetlinkError> {
        let mut seen = neighbour(index, address);
        seen.header.state = NeighbourState::Probe;
        seen.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
        let action = || format!("ask neighbour {address} of link {index}");
        self.change(RouteNetlinkMessage::NewNeighbour(seen), NLM_F_CREATE, action)
    }

    /// Has the kernel look for the link's own address among the neighbours: what it sends for that, before it
    /// acknowledges, is an ARP request for the sender's own address, an announcement.
    fn have_announced(&mut self, index: u32, address: Ipv4Addr) -> Result<(), NetlinkError> {
        let action = || format!("announce {address} through link {index}");
        let entry = neighbour(index, address);
        let mut used = entry.clone();
        used.header.flags = NeighbourFlags::Use;
        self.change(RouteNetlinkMessage::NewNeighbour(used), NLM_F_CREATE, action)?;
        self.change(RouteNetlinkMessage::DelNeighbour(entry), 0, action)
    }
}

fn neighbour(index: u32, address: Ipv4Addr) -> NeighbourMessage {
    let mut entry = NeighbourMessage::default();
    entry.header.family = AddressFamily::Inet;
    entry.header.ifindex = index;
    entry.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet(address)));
    entry
}

/// Sends one unsolicited advertisement for each address.
fn advertise(
    index: u32,
    mac: MacAddr,
    addresses: &[Ipv6Addr],
    audience: Audience,
) -> io::Result<()> {
    let flags = SocketFlags::CLOEXEC;
    let family = rustix::net::AddressFamily::INET6;
    let socket = socket_with(family, SocketType::RAW, flags, Some(ipproto::ICMPV6))?;
    // Receivers take this for the proof that no router has passed it on.
    sockopt::set_ipv6_multicast_hops(&socket, 255)?;
    let group = SocketAddrV6::new(audience.group(), 0, 0, index);
    for address in addresses {
        bind(&socket, &SocketAddrV6::new(*address, 0, 0, index))?;
        match sendto(&socket, &advertisement(mac, *address), SendFlags::empty(), &group) {
            // An ipvlan link in mode l3 or l3s drops what is meant for all; it has no neighbours to tell.
            Ok(_) | Err(Errno::NOBUFS) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// A neighbour advertisement (RFC 4861, section 4.4) that overrides what the neighbours know, also of an
/// optimistic address, for which RFC 4429 would not have it (section 3.3): who has an address is decided by
/// whoever gives them, and a neighbour that is not overridden sends to the one that had it before. Its checksum
/// is the kernel's to fill in (RFC 3542, section 3.1).
fn advertisement(mac: MacAddr, address: Ipv6Addr) -> [u8; 32] {
    const TYPE: u8 = 136;
    const OVERRIDE: u8 = 0x20;
    let mut message = [0; 32];
    message[0] = TYPE;
    message[4] = OVERRIDE;
    message[8..24].copy_from_slice(&address.octets());
    // The option "target link-layer address", of one times eight bytes.
    message[24..26].copy_from_slice(&[2, 1]);
    message[26..].copy_from_slice(&mac.0);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advertisement_overrides_and_was_not_asked_for() {
        let address = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
        let message = advertisement(MacAddr([2, 0, 0, 0, 0, 1]), address);
        assert_eq!(message[..8], [136, 0, 0, 0, 0x20, 0, 0, 0]);
        assert_eq!(message[8..24], address.octets());
        assert_eq!(message[24..], [2, 1, 2, 0, 0, 0, 0, 1]);
    }
}
