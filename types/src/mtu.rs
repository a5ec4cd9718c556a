//! The largest packet that an interface carries.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::ParseError;

/// An MTU in bytes, 68 to 65535: RFC 791 lets no IPv4 link have less, and no Ethernet driver of the
/// kernel takes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Mtu(u32);

impl From<Mtu> for u32 {
    fn from(mtu: Mtu) -> Self {
        mtu.0
    }
}

impl TryFrom<u32> for Mtu {
    type Error = ParseError;

    fn try_from(bytes: u32) -> Result<Self, ParseError> {
        if (68..=65535).contains(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(ParseError::new(&bytes.to_string(), "an MTU from 68 to 65535"))
        }
    }
}

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
