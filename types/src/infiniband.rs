//! `InfiniBand`'s partition keys.

use std::fmt;
use std::str::FromStr;

use crate::text::ParseError;

/// A partition key with its membership bit, the highest: `0x8001` is a full member of partition 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey(u16);

impl FromStr for PartitionKey {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.strip_prefix("0x")
            .filter(|digits| (1..=4).contains(&digits.len()))
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            .map(Self)
            .ok_or_else(|| ParseError::new(text, "a partition key such as 0x8001"))
    }
}

impl fmt::Display for PartitionKey {
    /// As sysfs writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hexadecimal_and_have_16_bits() {
        for (text, shown) in [("0x8001", "0x8001"), ("0xFFFF", "0xffff"), ("0x1", "0x0001")] {
            assert_eq!(
                text.parse::<PartitionKey>().map(|key| key.to_string()),
                Ok(shown.to_owned())
            );
        }
        for text in ["", "0x", "8001", "0x18001", "0x+1", "0xg", " 0x1"] {
            assert!(text.parse::<PartitionKey>().is_err(), "{text:?} was taken");
        }
    }
}
