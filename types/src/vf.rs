//! What a PF decides for one of its VFs, beside MAC and VLAN.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::{ParseError, serde_as_text};

/// The link that a VF sees (`IFLA_VF_LINK_STATE_*` in the kernel's `if_link.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// The VF's link follows the PF's.
    #[default]
    Auto,
    /// Always up, even without a cable: VFs of the PF still reach each other.
    Enable,
    /// Always down.
    Disable,
}

/// The transmit rates of a VF in Mbit/s; 0 means no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rates {
    /// What the VF gets for sure.
    pub min: u32,
    /// What the VF never passes.
    pub max: u32,
}

impl FromStr for LinkState {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "auto" => Ok(Self::Auto),
            "enable" => Ok(Self::Enable),
            "disable" => Ok(Self::Disable),
            _ => Err(ParseError::new(text, "a link state: auto, enable or disable")),
        }
    }
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Enable => "enable",
            Self::Disable => "disable",
        })
    }
}

serde_as_text!(LinkState);
