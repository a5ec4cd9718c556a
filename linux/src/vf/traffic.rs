//! What each VF of a PF has received and sent, as the PF's driver counts it.

use netlink_packet_core::NlasIterator;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};

use super::list::parse_list;
use crate::netlink::{NetlinkError, RouteSocket};

/// The counters of one VF, from when it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VfTraffic {
    /// Frames that the VF received.
    pub received_packets: u64,
    /// Frames that it sent.
    pub sent_packets: u64,
    /// Bytes that it received.
    pub received_bytes: u64,
    /// Bytes that it sent.
    pub sent_bytes: u64,
    /// Frames for all that it received.
    pub broadcast_packets: u64,
    /// Frames for several that it received.
    pub multicast_packets: u64,
    /// Frames for it that were dropped.
    pub received_dropped: u64,
    /// Frames of it that were dropped.
    pub sent_dropped: u64,
}

// `IFLA_VF_STATS` of `linux/if_link.h`, in which these are.
const IFLA_VF_STATS: u16 = 8;
const RX_PACKETS: u16 = 0;
const TX_PACKETS: u16 = 1;
const RX_BYTES: u16 = 2;
const TX_BYTES: u16 = 3;
const BROADCAST: u16 = 4;
const MULTICAST: u16 = 5;
const RX_DROPPED: u16 = 7;
const TX_DROPPED: u16 = 8;

impl RouteSocket {
    /// The counters of all VFs of a PF, by VF number; zeros where the driver counts nothing.
    ///
    /// The kernel asks the driver for settings and counters of each VF, and holds its RTNL lock in the
    /// meantime: 1 to 2 ms a VF, during which no interface of the machine can be changed.
    pub fn vf_traffic(&mut self, pf_index: u32) -> Result<Vec<VfTraffic>, NetlinkError> {
        let action = || format!("read the traffic of the VFs of link {pf_index}");
        let mut message = LinkMessage::default();
        message.header.index = pf_index;
        message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::Vf]));
        let reply = self.get_large(RouteNetlinkMessage::GetLink(message), action)?;
        parse_list(&reply, parse_entry).map_err(|what| NetlinkError::garbled(&action(), what))
    }
}

fn parse_entry(entry: &[u8]) -> Option<VfTraffic> {
    let mut traffic = VfTraffic::default();
    for attribute in NlasIterator::new(entry).map_while(Result::ok) {
        // The kernel marks it as holding others.
        if attribute.kind() & 0x3fff != IFLA_VF_STATS {
            continue;
        }
        for counter in NlasIterator::new(attribute.value()).map_while(Result::ok) {
            let field = match counter.kind() & 0x3fff {
                RX_PACKETS => &mut traffic.received_packets,
                TX_PACKETS => &mut traffic.sent_packets,
                RX_BYTES => &mut traffic.received_bytes,
                TX_BYTES => &mut traffic.sent_bytes,
                BROADCAST => &mut traffic.broadcast_packets,
                MULTICAST => &mut traffic.multicast_packets,
                RX_DROPPED => &mut traffic.received_dropped,
                TX_DROPPED => &mut traffic.sent_dropped,
                _ => continue,
            };
            *field = counter.value().try_into().ok().map(u64::from_ne_bytes)?;
        }
    }
    Some(traffic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len() + 4).expect("16 bits");
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
    }

    #[test]
    fn each_counter_is_read_and_padding_passed_over() {
        let counters: Vec<u8> = (0..=8u16)
            .flat_map(|kind| match kind {
                6 => attribute(kind, &[]),
                _ => attribute(kind, &(u64::from(kind) + (1 << 40)).to_ne_bytes()),
            })
            .collect();
        let trust = attribute(9, &[0; 8]);
        let entry = [trust, attribute(IFLA_VF_STATS | 0x8000, &counters)].concat();
        let big = 1 << 40;
        let expected = VfTraffic {
            received_packets: big,
            sent_packets: big + 1,
            received_bytes: big + 2,
            sent_bytes: big + 3,
            broadcast_packets: big + 4,
            multicast_packets: big + 5,
            received_dropped: big + 7,
            sent_dropped: big + 8,
        };
        assert_eq!(parse_entry(&entry), Some(expected));
    }

    #[test]
    fn a_driver_that_counts_nothing_and_a_short_counter_are_told_apart() {
        assert_eq!(parse_entry(&attribute(1, &[0; 36])), Some(VfTraffic::default()));
        let short = attribute(IFLA_VF_STATS, &attribute(RX_BYTES, &[0; 4]));
        assert_eq!(parse_entry(&short), None);
    }
}
