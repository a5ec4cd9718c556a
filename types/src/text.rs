//! What every type here shares: the error of a text that isn't one, and serde through that text.

/// A text that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseError {
    /// The text as it was given.
    pub text: String,
    /// What was expected instead, as the end of a sentence: "a PCI address such as 0000:3b:02.1".
    pub expected: &'static str,
}

impl ParseError {
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        // A hostile text is quoted, but not at any length.
        let mut shown: String = text.chars().take(64).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Self { text: shown, expected }
    }
}

/// Serializes a type by its `Display` and deserializes it by its `FromStr`.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// An enum of which each value has a name.
macro_rules! named {
    ($type:ident, $expected:literal, $($variant:ident = $name:literal),+ $(,)?) => {
        impl $type {
            /// What was expected where a text is none of them, as the end of a sentence.
            pub const EXPECTED: &str = $expected;
        }

        impl std::str::FromStr for $type {
            type Err = $crate::ParseError;

            fn from_str(text: &str) -> Result<Self, $crate::ParseError> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err($crate::ParseError::new(text, Self::EXPECTED)),
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $name),+ })
            }
        }

        $crate::text::serde_as_text!($type);
    };
}
pub(crate) use named;
