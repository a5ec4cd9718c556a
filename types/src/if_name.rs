//! The name of a network interface.

use std::fmt;
use std::str::FromStr;

use crate::PciAddress;
use crate::text::{ParseError, serde_as_text};

/// A network interface name that the kernel takes: 1 to 15 bytes, not `.` or `..`, without `/`,
/// `:` or white space (`dev_valid_name` in the kernel's `net/core/dev.c`).
///
/// `%` is refused too: the kernel would read `eth%d` as a pattern and choose a name of its own. And so is `U+FFFD`: it
/// stands for bytes of a name that are not UTF-8, and would find another link, or none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfName(String);

impl IfName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that is the device's alone: `vf` and the last 13 digits of its address, which leave out at most
/// three leading ones of a domain that no machine has.
impl From<PciAddress> for IfName {
    fn from(device: PciAddress) -> Self {
        let digits: String = device.to_string().chars().filter(char::is_ascii_hexdigit).collect();
        Self(format!("vf{}", &digits[digits.len().saturating_sub(13)..]))
    }
}

impl FromStr for IfName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let valid = (1..=15).contains(&text.len())
            && text != "."
            && text != ".."
            && !text.contains(|c: char| {
                matches!(c, '/' | ':' | '%' | '\0' | char::REPLACEMENT_CHARACTER)
                    || c.is_whitespace()
            });
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::new(
                text,
                "an interface name of 1 to 15 characters without '/', ':', '%' or white space",
            ))
        }
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(IfName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_kernel_takes() {
        for text in ["net1", "enp59s0f0np0v1", "a.b-c_d@e", "fifteen-chars-x"] {
            assert_eq!(text.parse::<IfName>().map(|n| n.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_device_has_a_name_of_its_own() {
        for (device, name) in
            [("0000:01:10.0", "vf000001100"), ("ffffffff:01:10.0", "vfffffffff01100")]
        {
            let device: PciAddress = device.parse().expect("a PCI address");
            assert_eq!(IfName::from(device).as_str(), name);
            assert!(name.parse::<IfName>().is_ok());
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            ".",
            "..",
            "a/b",
            "a:b",
            "a b",
            "a\tb",
            "eth%d",
            "a\0b",
            "sixteen-chars-xy",
            "a\u{fffd}",
        ] {
            assert!(text.parse::<IfName>().is_err(), "{text:?} was taken");
        }
    }
}
