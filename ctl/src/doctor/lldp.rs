//! What a switch says of itself and of its port by LLDP (IEEE 802.1AB), read from one frame.

/// What is known of the switch at the other end of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) system: String,
    pub(super) port: String,
    /// The VLAN of frames without a tag.
    pub(super) untagged: Option<u16>,
    /// The VLANs that it names (802.1Q annex D, "VLAN Name"); none where it does not tell.
    pub(super) vlans: Vec<u16>,
    /// The largest frame that it takes, with its header and checksum (802.3 annex F).
    pub(super) max_frame: Option<u16>,
}

/// No switch has more.
const MOST_VLANS: usize = 4094;

const PORT_ID: u8 = 2;
const SYSTEM_NAME: u8 = 5;
const ORGANISATION: u8 = 127;

impl Neighbour {
    /// Reads what follows the Ethernet header. What is cut off or unknown is passed over; nothing where it is no
    /// LLDP at all, or a switch's farewell (a time to live of zero).
    pub(super) fn parse(frame: &[u8]) -> Option<Self> {
        let mut neighbour = Self::default();
        let mut rest = frame;
        let mut first = true;
        while let [high, low, after @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([high & 1, *low]));
            let (kind, value) = (high >> 1, after.get(..length)?);
            // The first is the chassis.
            if first && kind != 1 {
                return None;
            }
            first = false;
            match (kind, value) {
                (0, _) => break,
                (3, [0, 0, ..]) => return None,
                // Its first byte says what the text is.
                (PORT_ID, [_, text @ ..]) => neighbour.port = readable(text),
                (SYSTEM_NAME, text) => neighbour.system = readable(text),
                (ORGANISATION, value) => neighbour.read(value),
                _ => {}
            }
            rest = &after[length..];
        }
        (!first).then_some(neighbour)
    }

    fn read(&mut self, value: &[u8]) {
        match value {
            [0x00, 0x80, 0xc2, 1, high, low, ..] => {
                self.untagged = Some(u16::from_be_bytes([*high, *low])).filter(|vlan| *vlan != 0);
            }
            [0x00, 0x80, 0xc2, 3, high, low, ..] => {
                let vlan = u16::from_be_bytes([*high, *low]) & 0xfff;
                if !self.vlans.contains(&vlan) && self.vlans.len() < MOST_VLANS {
                    self.vlans.push(vlan);
                }
            }
            [0x00, 0x12, 0x0f, 4, high, low, ..] => {
                self.max_frame = Some(u16::from_be_bytes([*high, *low]));
            }
            _ => {}
        }
    }

    /// Whether the port passes a VLAN with its tag; yes where the switch does not tell.
    pub(super) fn passes(&self, vlan: u16) -> bool {
        self.vlans.is_empty() || self.vlans.contains(&vlan)
    }

    /// The switch and its port, for a message.
    pub(super) fn called(&self) -> String {
        format!("{}, {}", self.system, self.port)
    }

    /// The VLANs that it passes, for a message.
    pub(super) fn listed(&self) -> String {
        let mut texts: Vec<String> = self.vlans.iter().take(20).map(ToString::to_string).collect();
        if self.vlans.len() > texts.len() {
            texts.push(format!("and {} more", self.vlans.len() - texts.len()));
        }
        texts.join(", ")
    }
}

/// A text of a stranger: without what a terminal might obey, and not for ever.
fn readable(text: &[u8]) -> String {
    const LONGEST: usize = 64;
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[kind << 1 | length[0], length[1]], value].concat()
    }

    fn frame() -> Vec<u8> {
        [
            tlv(1, &[4, 2, 0, 0, 0, 0, 1]),
            tlv(2, b"\x05Eth1/7\x1b[2J"),
            tlv(3, &[0, 120]),
            tlv(5, b"sw1"),
            tlv(127, &[0x00, 0x80, 0xc2, 1, 0, 1]),
            tlv(127, &[0x00, 0x80, 0xc2, 3, 0, 100, 3, b'a', b'b', b'c']),
            tlv(127, &[0x00, 0x80, 0xc2, 3, 0, 200, 0]),
            tlv(127, &[0x00, 0x80, 0xc2, 3, 0]),
            tlv(127, &[0x00, 0x12, 0x0f, 4, 0x24, 0x14]),
            tlv(0, &[]),
            vec![1, 2, 3],
        ]
        .concat()
    }

    #[test]
    fn a_switch_tells_of_its_port() {
        let neighbour = Neighbour::parse(&frame()).unwrap();
        let expected = Neighbour {
            system: "sw1".into(),
            port: "Eth1/7[2J".into(),
            untagged: Some(1),
            vlans: vec![100, 200],
            max_frame: Some(9236),
        };
        assert_eq!(neighbour, expected);
        assert!(neighbour.passes(100) && !neighbour.passes(101));
    }

    #[test]
    fn what_is_no_announcement_is_none() {
        for bytes in [
            &[][..],
            &[0],
            &[0, 0],
            &tlv(5, b"x"),
            &[2, 9, 1],
            &[tlv(1, b"x"), tlv(3, &[0, 0])].concat(),
        ] {
            assert_eq!(Neighbour::parse(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600), cut in 0_usize..90) {
            let frame = frame();
            let _ = Neighbour::parse(&frame[..cut.min(frame.len())]);
            if let Some(neighbour) = Neighbour::parse(&bytes) {
                prop_assert!(neighbour.vlans.len() <= MOST_VLANS && neighbour.port.len() <= 256);
            }
        }
    }
}
