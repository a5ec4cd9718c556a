//! The one error of everything a user writes: where, what, what was expected, what to do.

use std::fmt;

/// One thing that is wrong in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The key, as a path from the root of the file: `ipam.ranges[0][1].subnet`.
    pub key: String,
    /// The value that stands there as JSON, or `nothing` where the key is missing.
    pub value: String,
    /// What was expected, as the end of a sentence: "a VLAN ID from 0 to 4094".
    pub expected: String,
    /// What the user should do next: a whole sentence without its final dot, or nothing where
    /// `expected` says it all.
    pub advice: Option<String>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}, expected {}", self.key, self.value, self.expected)
    }
}

impl std::error::Error for Invalid {}
