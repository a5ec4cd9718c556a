//! An Ethernet MAC address.

use std::fmt;
use std::str::FromStr;

use crate::text::{ParseError, serde_as_text};

/// A 48-bit MAC address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// `00:00:00:00:00:00`: as a VF's administrative MAC it means that none is set.
    pub const ZERO: Self = Self([0; 6]);
    /// `ff:ff:ff:ff:ff:ff`: everybody on the link.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether an interface can have this address: neither zero nor multicast.
    #[must_use]
    pub fn is_assignable(self) -> bool {
        self != Self::ZERO && self.0[0] & 1 == 0
    }
}

impl FromStr for MacAddr {
    type Err = ParseError;

    /// Takes six bytes of two hexadecimal digits, joined by `:` or by `-`.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text).ok_or_else(|| ParseError::new(text, "a MAC address such as 02:00:00:00:00:01"))
    }
}

fn parse(text: &str) -> Option<MacAddr> {
    let separator = if text.contains('-') { '-' } else { ':' };
    let mut bytes = [0; 6];
    let mut parts = text.split(separator);
    for byte in &mut bytes {
        let part = parts.next()?;
        let valid = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        *byte = valid.then(|| u8::from_str_radix(part, 16).ok()).flatten()?;
    }
    parts.next().is_none().then_some(MacAddr(bytes))
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ":" };
            write!(f, "{separator}{byte:02x}")?;
        }
        Ok(())
    }
}

serde_as_text!(MacAddr);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_both_separators_and_prints_colons() {
        for text in ["02:00:5E:10:00:0a", "02-00-5e-10-00-0a"] {
            assert_eq!(
                text.parse::<MacAddr>().map(|m| m.to_string()),
                Ok("02:00:5e:10:00:0a".into())
            );
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "02:00:5e:10:00",
            "02:00:5e:10:00:0a:01",
            "2:0:5e:10:0:a",
            "02:00:5e:10:00:0g",
            "+2:00:5e:10:00:0a",
        ] {
            assert!(text.parse::<MacAddr>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn zero_and_multicast_cannot_be_assigned() {
        assert!(MacAddr([2, 0, 0, 0, 0, 1]).is_assignable());
        assert!(!MacAddr::ZERO.is_assignable());
        assert!(!MacAddr([1, 0, 0x5e, 0, 0, 1]).is_assignable());
    }
}
