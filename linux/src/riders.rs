//! Links that ride on another one from wherever they are.
//!
//! Of a link's children in other namespaces the kernel tells nothing: they have no `upper_` link in sysfs, and no
//! entry in any list. But a macvlan or macvtap link that is up, in any mode but `passthru`, has its parent take frames
//! for its MAC, and the list of those is told as the parent's own part of the forwarding database (`bridge fdb show`).

use linkspan_types::MacAddr;
use netlink_packet_core::{DecodeError, Emitable, NlasIterator};
use netlink_packet_route::neighbour::{NeighbourFlags, NeighbourHeader, NeighbourMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::netlink::{NetlinkError, RouteSocket};

impl RouteSocket {
    /// The MACs, beside their own, for which links of this namespace take frames; each with the index of the link.
    pub fn riders(&mut self) -> Result<Vec<(u32, MacAddr)>, NetlinkError> {
        let action = || "list the addresses that links take frames for".to_owned();
        let mut request = NeighbourMessage::default();
        request.header.family = AddressFamily::Bridge;
        let replies = self.dump(&RouteNetlinkMessage::GetNeighbour(request), action)?;
        let mut riders = Vec::new();
        for reply in replies {
            riders.extend(parse(&reply).map_err(|e| NetlinkError::garbled(&action(), e))?);
        }
        Ok(riders)
    }
}

/// `NDA_LLADDR` of `linux/neighbour.h`.
const ADDRESS: u16 = 2;

/// Reads an `RTM_NEWNEIGH` message: the link's index, and the MAC; nothing for an entry of a bridge, or a group.
fn parse(reply: &[u8]) -> Result<Option<(u32, MacAddr)>, DecodeError> {
    let header = NeighbourHeader::parse(reply)?;
    if !header.flags.contains(NeighbourFlags::Own) {
        return Ok(None);
    }
    for attribute in NlasIterator::new(&reply[header.buffer_len()..]) {
        let attribute = attribute?;
        if attribute.kind() == ADDRESS {
            let mac = attribute.value().try_into().ok().map(MacAddr);
            let is_one = |mac: &MacAddr| mac.0[0] & 1 == 0;
            return Ok(mac.filter(is_one).map(|mac| (header.ifindex, mac)));
        }
    }
    Ok(None)
}
