//! The name of a network interface.

use std::fmt;
use std::str::FromStr;

use crate::text::{ParseError, serde_as_text};

/// A network interface name that the kernel takes: 1 to 15 bytes, not `.` or `..`, without `/`,
/// `:` or white space (`dev_valid_name` in the kernel's `net/core/dev.c`).
///
/// `%` is refused too: the kernel would read `eth%d` as a pattern and choose a name of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfName(String);

impl IfName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IfName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let valid = (1..=15).contains(&text.len())
            && text != "."
            && text != ".."
            && !text.contains(|c: char| matches!(c, '/' | ':' | '%' | '\0') || c.is_whitespace());
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
    fn refuses_everything_else() {
        for text in
            ["", ".", "..", "a/b", "a:b", "a b", "a\tb", "eth%d", "a\0b", "sixteen-chars-xy"]
        {
            assert!(text.parse::<IfName>().is_err(), "{text:?} was taken");
        }
    }
}
