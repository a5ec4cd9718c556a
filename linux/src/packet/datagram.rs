//! UDP datagrams over IPv4 as bytes (RFC 768 and 791).

use std::net::{Ipv4Addr, SocketAddrV4};

/// A UDP datagram over IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Datagram<'a> {
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
    pub(super) payload: &'a [u8],
}

const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const UDP: u8 = 17;
/// In the field of flags and fragment offset: don't fragment, and more fragments, with the offset.
const WHOLE: u16 = 0x4000;
const FRAGMENT: u16 = 0x3fff;
const TIME_TO_LIVE: u8 = 64;

impl<'a> Datagram<'a> {
    /// The packet; none where there are more bytes than a packet can have.
    pub(super) fn to_packet(self) -> Option<Vec<u8>> {
        let udp_length = u16::try_from(UDP_HEADER + self.payload.len()).ok()?;
        let length = u16::try_from(IP_HEADER).ok()?.checked_add(udp_length)?;
        let mut packet = Vec::with_capacity(length.into());
        // Version 4, and a header of five words.
        packet.extend([0x45, 0]);
        packet.extend(length.to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(WHOLE.to_be_bytes());
        packet.extend([TIME_TO_LIVE, UDP, 0, 0]);
        packet.extend(self.from.ip().octets());
        packet.extend(self.to.ip().octets());
        let checksum = !sum(&packet);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet.extend(self.from.port().to_be_bytes());
        packet.extend(self.to.port().to_be_bytes());
        packet.extend(udp_length.to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(self.payload);
        // Zero would mean that there is none.
        let checksum = match !udp_sum(&packet[..IP_HEADER], &packet[IP_HEADER..]) {
            0 => 0xffff,
            checksum => checksum,
        };
        packet[26..28].copy_from_slice(&checksum.to_be_bytes());
        Some(packet)
    }

    /// Reads a whole packet; none where it is cut off, a fragment, not UDP, or not as it was sent. A checksum that
    /// is yet to be computed is not looked at.
    pub(super) fn parse(packet: &'a [u8], checksum_is_due: bool) -> Option<Self> {
        let header_length = usize::from(*packet.first()? & 0xf) * 4;
        let (header, _) = packet.split_at_checked(header_length)?;
        if header.len() < IP_HEADER || header[0] >> 4 != 4 || sum(header) != 0xffff {
            return None;
        }
        let half = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        // An Ethernet frame that is shorter than 60 bytes is filled up.
        let udp = packet.get(header_length..usize::from(half(header, 2)))?;
        if half(header, 6) & FRAGMENT != 0 || header[9] != UDP || udp.len() < UDP_HEADER {
            return None;
        }
        let udp = udp.get(..usize::from(half(udp, 4)))?;
        let payload = udp.get(UDP_HEADER..)?;
        let has_checksum = half(udp, 6) != 0 && !checksum_is_due;
        if has_checksum && udp_sum(header, udp) != 0xffff {
            return None;
        }
        let ip =
            |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
        Some(Self {
            from: SocketAddrV4::new(ip(12), half(udp, 0)),
            to: SocketAddrV4::new(ip(16), half(udp, 2)),
            payload,
        })
    }
}

/// The sum that UDP's checksum is made of: of the addresses, the protocol, the length, and all of the datagram.
fn udp_sum(header: &[u8], udp: &[u8]) -> u16 {
    let [high, low] = u16::try_from(udp.len()).unwrap_or(0).to_be_bytes();
    let pseudo = [&header[12..20], &[0, UDP, high, low]].concat();
    fold(u32::from(sum(&pseudo)) + u32::from(sum(udp)))
}

/// The ones' complement sum of all 16-bit words (RFC 1071).
fn sum(bytes: &[u8]) -> u16 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map(|byte| u32::from(*byte) << 8);
    fold(pairs.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).chain(last).sum())
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    const FROM: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 67);
    const TO: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 9), 68);

    #[test]
    fn a_packet_is_laid_out_as_the_rfcs_say() {
        let packet = Datagram { from: FROM, to: TO, payload: b"hello" }.to_packet().unwrap();
        assert_eq!(packet[..10], [0x45, 0, 0, 33, 0, 0, 0x40, 0, 64, 17]);
        assert_eq!(sum(&packet[..20]), 0xffff);
        assert_eq!(packet[20..26], [0, 67, 0, 68, 0, 13]);
        let words = [0x0a00, 0x0001, 0x0a00, 0x0009, 17, 13, 67, 68, 13, 0x6865, 0x6c6c, 0x6f00];
        let sum: u32 = words.iter().sum();
        let checksum = !((sum & 0xffff) + (sum >> 16)) & 0xffff;
        assert_eq!(packet[26..28], checksum.to_be_bytes()[2..]);
    }

    #[test]
    fn only_whole_packets_of_udp_are_read() {
        let sent = Datagram { from: FROM, to: TO, payload: b"hello" };
        let packet = sent.to_packet().unwrap();
        assert_eq!(Datagram::parse(&packet, false), Some(sent));
        let padded = [&packet[..], &[7; 30]].concat();
        assert_eq!(Datagram::parse(&padded, false), Some(sent));
        for length in 0..packet.len() {
            assert_eq!(Datagram::parse(&packet[..length], false), None, "{length}");
        }
        for at in 0..packet.len() {
            let mut other = packet.clone();
            other[at] ^= 0x10;
            assert_eq!(Datagram::parse(&other, false), None, "byte {at}");
        }
    }

    #[test]
    fn a_checksum_that_is_absent_or_due_is_not_looked_at() {
        let sent = Datagram { from: FROM, to: TO, payload: b"hello" };
        let mut packet = sent.to_packet().unwrap();
        packet[26..28].copy_from_slice(&[0x14, 0x23]);
        assert_eq!(Datagram::parse(&packet, false), None);
        assert_eq!(Datagram::parse(&packet, true), Some(sent));
        packet[26..28].copy_from_slice(&[0, 0]);
        assert_eq!(Datagram::parse(&packet, false), Some(sent));
    }

    proptest! {
        #[test]
        fn what_was_sent_is_read(payload: Vec<u8>, from: u32, to: u32, ports: (u16, u16)) {
            let sent = Datagram {
                from: SocketAddrV4::new(from.into(), ports.0),
                to: SocketAddrV4::new(to.into(), ports.1),
                payload: &payload,
            };
            let packet = sent.to_packet().unwrap();
            prop_assert_eq!(Datagram::parse(&packet, false), Some(sent));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, due: bool) {
            let _ = Datagram::parse(&bytes, due);
        }
    }
}
