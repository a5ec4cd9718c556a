//! The VLAN tag that a PF puts on the frames of its VF.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::{ParseError, serde_as_text};

/// A VLAN ID, 0 to 4094; 0 means untagged, and IEEE 802.1Q keeps 4095 for itself.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u16", into = "u16")]
pub struct VlanId(u16);

/// A priority code point of IEEE 802.1p, 0 to 7; the field calls it the VLAN's QoS.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u8", into = "u8")]
pub struct VlanPriority(u8);

/// The Ethernet type of a VLAN tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VlanProtocol {
    /// `802.1Q`, the customer tag, Ethernet type 0x8100.
    #[default]
    Dot1Q,
    /// `802.1ad`, the service tag ("QinQ"), Ethernet type 0x88a8.
    Dot1Ad,
}

/// A whole VLAN tag as a PF sets it for a VF; the default is no tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VlanTag {
    /// The VLAN; 0 is untagged.
    pub id: VlanId,
    /// The priority written into the tag.
    pub priority: VlanPriority,
    /// Which kind of tag.
    pub protocol: VlanProtocol,
}

/// VLANs from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VlanRange {
    /// The first VLAN.
    pub first: VlanId,
    /// The last one, which may be the first.
    pub last: VlanId,
}

impl VlanRange {
    /// Whether a VLAN is in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

macro_rules! bounded {
    ($type:ident, $number:ty, $max:literal, $expected:literal) => {
        impl From<$type> for $number {
            fn from(value: $type) -> Self {
                value.0
            }
        }

        impl TryFrom<$number> for $type {
            type Error = ParseError;

            fn try_from(number: $number) -> Result<Self, ParseError> {
                if number <= $max {
                    Ok(Self(number))
                } else {
                    Err(ParseError::new(&number.to_string(), $expected))
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

bounded!(VlanId, u16, 4094, "a VLAN ID from 0 to 4094");
bounded!(VlanPriority, u8, 7, "a VLAN priority (QoS) from 0 to 7");

impl FromStr for VlanProtocol {
    type Err = ParseError;

    /// Takes `802.1q` and `802.1ad` in either case.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.to_ascii_lowercase().as_str() {
            "802.1q" => Ok(Self::Dot1Q),
            "802.1ad" => Ok(Self::Dot1Ad),
            _ => Err(ParseError::new(text, "a VLAN protocol, 802.1q or 802.1ad")),
        }
    }
}

impl fmt::Display for VlanProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dot1Q => "802.1q",
            Self::Dot1Ad => "802.1ad",
        })
    }
}

serde_as_text!(VlanProtocol);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_the_standards() {
        assert!(VlanId::try_from(4094).is_ok());
        assert_eq!(
            VlanId::try_from(4095).map_err(|e| e.to_string()),
            Err("\"4095\" is not a VLAN ID from 0 to 4094".to_owned())
        );
        assert!(VlanPriority::try_from(7).is_ok());
        assert!(VlanPriority::try_from(8).is_err());
    }

    #[test]
    fn protocols_have_two_names_in_either_case() {
        assert_eq!("802.1Q".parse(), Ok(VlanProtocol::Dot1Q));
        assert_eq!("802.1AD".parse(), Ok(VlanProtocol::Dot1Ad));
        assert!("802.1x".parse::<VlanProtocol>().is_err());
    }
}
