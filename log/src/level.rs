//! How much is logged, in the words of sriov-cni's `logLevel`.

use std::fmt;
use std::str::FromStr;

/// How much is logged; each level includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Only what ends the program without its leave, which is no event: nothing.
    Panic,
    /// What fails a call.
    Error,
    /// What may fail a later one.
    Warning,
    /// What was done.
    #[default]
    Info,
    /// How it was done.
    Debug,
}

impl Level {
    /// What a level has to look like.
    pub const EXPECTED: &str = "a log level: panic, error, warning, info or debug";

    /// Every level, the quietest first.
    pub const ALL: [Self; 5] = [Self::Panic, Self::Error, Self::Warning, Self::Info, Self::Debug];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// The number that syslog has for it, and the journal.
    #[must_use]
    pub fn priority(self) -> u8 {
        match self {
            Self::Panic => 0,
            Self::Error => 3,
            Self::Warning => 4,
            Self::Info => 6,
            Self::Debug => 7,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = ();

    /// In any case, as the peer has it.
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(text)).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_read_by_its_name_in_any_case() {
        for level in Level::ALL {
            assert_eq!(level.name().parse(), Ok(level));
            assert_eq!(level.name().to_uppercase().parse(), Ok(level));
        }
        for wrong in ["", "warn", "infos", "10", "fatal"] {
            assert_eq!(wrong.parse::<Level>(), Err(()), "{wrong}");
        }
    }
}
