//! The two names that a runtime chooses and that become parts of file names.

use std::fmt;
use std::str::FromStr;

use linkspan_types::ParseError;
use serde::{Deserialize, Serialize};

/// The ID of a pod's sandbox (CNI 1.1.0, section 2, `CNI_CONTAINERID`): 1 to 255 letters, digits,
/// `_`, `.` and `-`, the first one a letter or a digit, so that it can't leave a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

/// The name of a network (CNI 1.1.0, section 1, `name`), with the same rule as a [`ContainerId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkName(String);

fn is_file_name(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

macro_rules! file_name {
    ($type:ident, $expected:literal) => {
        impl $type {
            /// What was expected where a text is no such name, as the end of a sentence.
            pub const EXPECTED: &str = $expected;

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                if is_file_name(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(ParseError { text: text.chars().take(64).collect(), expected: Self::EXPECTED })
            }
        }

        impl TryFrom<String> for $type {
            type Error = ParseError;

            fn try_from(text: String) -> Result<Self, ParseError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

file_name!(
    ContainerId,
    "a container ID: letters, digits, '_', '.' and '-', the first a letter or a digit"
);
file_name!(
    NetworkName,
    "a network name: letters, digits, '_', '.' and '-', the first a letter or a digit"
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_the_specs_names_only() {
        for text in ["a", "0123abc", "net-1.b_c", "a.."] {
            assert!(text.parse::<ContainerId>().is_ok(), "{text:?} was refused");
        }
        let long = "a".repeat(256);
        for text in ["", ".", "..", "-a", "_a", "a/b", "../a", "a b", "a\0", "ä", long.as_str()] {
            assert!(text.parse::<NetworkName>().is_err(), "{text:?} was taken");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_one_part_of_a_path(text in ".*") {
            if let Ok(name) = text.parse::<ContainerId>() {
                let path = std::path::Path::new("/d").join(name.as_str());
                prop_assert_eq!(path.parent(), Some(std::path::Path::new("/d")));
            }
        }
    }
}
