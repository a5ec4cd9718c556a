//! How much is logged.

use std::str::FromStr;

use crate::Invalid;
use crate::fields::Fields;

/// How much is logged; each level includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What ends the program.
    Panic,
    /// What fails the call.
    Error,
    /// What may fail a later one.
    Warning,
    /// What was done.
    #[default]
    Info,
    /// How it was done.
    Debug,
}

impl LogLevel {
    pub(super) fn parse(root: &Fields<'_>) -> Result<Self, Invalid> {
        const EXPECTED: &str = "a log level: panic, error, warning, info or debug";
        match root.text("logLevel", EXPECTED)? {
            None => Ok(Self::default()),
            Some(text) => text.parse().map_err(|()| root.invalid("logLevel", EXPECTED)),
        }
    }
}

impl FromStr for LogLevel {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
            "panic" => Ok(Self::Panic),
            "error" => Ok(Self::Error),
            "warning" => Ok(Self::Warning),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            _ => Err(()),
        }
    }
}
