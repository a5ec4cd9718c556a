//! Names that come from outside: of pods, networks, plugins and resources.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use linkspan_types::{ParseError, fnv_1a};
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

/// The name of another plugin, which is that of its program: one part of a path, and not `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginName(String);

/// The whole name of an extended resource, such as `linkspan.dev/fast`: a DNS name in lower case, a
/// slash, and a name of 1 to 63 letters, digits, `-`, `_` and `.`, as Kubernetes demands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceName(String);

/// The error of a text that is not what was expected; a long one is cut, because it may be hostile.
pub(crate) fn parse_error(text: &str, expected: &'static str) -> ParseError {
    ParseError { text: text.chars().take(64).collect(), expected }
}

/// A name as a part of a file's name, which has at most 255 bytes: two such names would pass that.
fn shortened(name: &str) -> Cow<'_, str> {
    const LONGEST: usize = 100;
    if name.len() <= LONGEST {
        return name.into();
    }
    // `~` stands in no name, so a shortened name is no other name.
    format!("{}~{:016x}", &name[..LONGEST - 17], fnv_1a(name.bytes())).into()
}

/// The rule of CNI 1.1.0 for names of networks and IDs of containers.
fn is_cni_name(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn is_program_name(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text != "."
        && text != ".."
        && !text.contains(|c: char| c == '/' || c.is_control())
}

fn is_resource_name(text: &str) -> bool {
    let is_name = |name: &str| {
        let outer = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let bytes = name.as_bytes();
        name.len() <= 63 && bytes.iter().all(inner) && outer(bytes.first()) && outer(bytes.last())
    };
    text.split_once('/').is_some_and(|(domain, name)| is_dns_name(domain) && is_name(name))
}

/// Whether a text is a DNS name in lower case (RFC 1123, as Kubernetes reads it).
pub(crate) fn is_dns_name(text: &str) -> bool {
    let outer = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let label = |label: &str| {
        label.bytes().all(|b| b == b'-' || outer(Some(b)))
            && outer(label.bytes().next())
            && outer(label.bytes().last())
    };
    text.len() <= 253 && text.split('.').all(label)
}

macro_rules! name {
    ($type:ident, $is_valid:ident, $expected:literal) => {
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
                if $is_valid(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(parse_error(text, Self::EXPECTED))
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

name!(
    ContainerId,
    is_cni_name,
    "a container ID: letters, digits, '_', '.' and '-', the first a letter or a digit"
);
name!(
    NetworkName,
    is_cni_name,
    "a network name: letters, digits, '_', '.' and '-', the first a letter or a digit"
);
impl ContainerId {
    /// The ID, or where it is long its beginning and a hash: at most 100 bytes.
    #[must_use]
    pub fn shortened(&self) -> Cow<'_, str> {
        shortened(&self.0)
    }
}

impl NetworkName {
    /// The name, or where it is long its beginning and a hash: at most 100 bytes.
    #[must_use]
    pub fn shortened(&self) -> Cow<'_, str> {
        shortened(&self.0)
    }
}

name!(PluginName, is_program_name, "the name of a plugin, without '/'");
name!(ResourceName, is_resource_name, "an extended resource such as linkspan.dev/fast");

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

    #[test]
    fn a_plugin_s_name_is_one_part_of_a_path() {
        for text in ["whereabouts", "dhcp", "my plugin", "..."] {
            assert!(text.parse::<PluginName>().is_ok(), "{text:?} was refused");
        }
        let long = "a".repeat(256);
        for text in ["", ".", "..", "a/b", "/bin/sh", "a\0", "a\n", long.as_str()] {
            assert!(text.parse::<PluginName>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_resource_has_a_domain_and_a_name() {
        for text in ["linkspan.dev/fast", "intel.com/sriov_net_A", "a/b.c-d", "1.2/3"] {
            assert!(text.parse::<ResourceName>().is_ok(), "{text:?} was refused");
        }
        let long = format!("linkspan.dev/{}", "a".repeat(64));
        for text in [
            "",
            "fast",
            "/fast",
            "linkspan.dev/",
            "Linkspan.dev/a",
            "a..b/c",
            "a/b/c",
            "a/-b",
            &long,
        ] {
            assert!(text.parse::<ResourceName>().is_err(), "{text:?} was taken");
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
