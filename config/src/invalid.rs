//! The one error of everything a user writes: where, what, what was expected, what to do.

use std::fmt;

use serde_json::Value;

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

impl Invalid {
    /// The error of one key; a long value is cut, and a long key, because both may be hostile.
    pub(crate) fn new(
        key: impl Into<String>,
        value: Option<&Value>,
        expected: impl Into<String>,
    ) -> Self {
        let json = value.map_or_else(|| "nothing".to_owned(), Value::to_string);
        Self {
            key: shortened(key.into()),
            value: shortened(json),
            expected: expected.into(),
            advice: None,
        }
    }

    /// The same error with the next step for the user.
    pub(crate) fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

/// How many bytes of a key, and of a value, are shown: with all that is said beside them, an error has room in an
/// event of a pod, of which Kubernetes keeps 1024 bytes.
const MOST: usize = 128;

/// The beginning of a text that may be hostile.
fn shortened(text: String) -> String {
    if text.len() <= MOST {
        return text;
    }
    format!("{}…", &text[..text.floor_char_boundary(MOST)])
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}, expected {}", self.key, self.value, self.expected)
    }
}

impl std::error::Error for Invalid {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_or_value_is_shown_up_to_a_whole_character() {
        for (letter, shown) in [("a", 128), ("ä", 64), ("日", 42), ("🦀", 32)] {
            let error = Invalid::new(letter.repeat(200), None, "a key that is known");
            assert_eq!(error.key, format!("{}…", letter.repeat(shown)));
            let value = Value::from(letter.repeat(200));
            let error = Invalid::new("key", Some(&value), "a number");
            assert!(error.value.ends_with('…') && error.value.len() <= 131, "{}", error.value);
        }
        let fits = "a".repeat(128);
        assert_eq!(Invalid::new(fits.as_str(), None, "").key, fits);
    }
}
