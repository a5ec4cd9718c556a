//! Why a call can't even be read.

use super::error::{CniError, Code};
use super::version::{UnsupportedVersion, Version};

/// Why a call can't even be read: nothing has been done, and nothing may be.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Variables that the verb needs are not set.
    #[error("{names} not set or empty, expected for {verb}")]
    MissingEnvironment {
        /// The variables, joined by commas.
        names: String,
        /// The verb, or what is wanted where that is what is missing.
        verb: &'static str,
    },
    /// A variable is not what it should be.
    #[error("{name} is {value:?}, expected {expected}")]
    InvalidEnvironment {
        /// The variable.
        name: &'static str,
        /// Its value, not at any length.
        value: String,
        /// What was expected, as the end of a sentence.
        expected: String,
        /// What to do next.
        advice: String,
    },
    /// Standard input can't be read.
    #[error("standard input can't be read, expected the network's configuration")]
    Stdin(#[source] std::io::Error),
    /// Standard input goes on for too long.
    #[error("standard input has more than {limit} bytes, expected the network's configuration")]
    TooLong {
        /// How many bytes are read.
        limit: u64,
    },
    /// Standard input is not JSON, or is no object.
    #[error("standard input is no JSON object ({reason}), expected the network's configuration")]
    Malformed {
        /// What is wrong with it, and in which line and column.
        reason: String,
    },
    /// The configuration is of a version that is not spoken here.
    #[error(transparent)]
    Version(#[from] UnsupportedVersion),
    /// The verb came into the spec after the configuration's version.
    #[error("`cniVersion` is \"{given}\", expected {since} or later for {verb}")]
    TooOldForVerb {
        /// The verb.
        verb: &'static str,
        /// The configuration's version.
        given: Version,
        /// The first version with the verb.
        since: Version,
    },
    /// GC does not say, or not as the spec wants it, which attachments are to stay.
    #[error("`cni.dev/valid-attachments` is {found}, expected {expected}")]
    ValidAttachments {
        /// What stands there.
        found: String,
        /// What was expected, as the end of a sentence.
        expected: &'static str,
    },
}

impl CallError {
    fn code(&self) -> Code {
        match self {
            Self::MissingEnvironment { .. } | Self::InvalidEnvironment { .. } => {
                Code::InvalidEnvironment
            }
            Self::Stdin(_) => Code::Io,
            Self::TooLong { .. } | Self::Malformed { .. } => Code::Decode,
            Self::Version(_) | Self::TooOldForVerb { .. } => Code::IncompatibleVersion,
            Self::ValidAttachments { .. } => Code::InvalidConfig,
        }
    }

    fn advice(&self) -> String {
        let text = match self {
            Self::InvalidEnvironment { advice, .. } => advice,
            Self::MissingEnvironment { .. } => {
                "The container runtime sets them; to call a plugin by hand, use cnitool"
            }
            Self::Stdin(_) | Self::TooLong { .. } => {
                "See what the runtime writes to the plugin's standard input"
            }
            Self::Malformed { .. } => "Check the NetworkAttachmentDefinition's spec.config",
            Self::Version(_) => {
                "Set `cniVersion` in the network's configuration to one of these versions"
            }
            Self::TooOldForVerb { .. } => "Raise `cniVersion` in the network's configuration",
            Self::ValidAttachments { .. } => "See what the runtime passes to GC; nothing was freed",
        };
        text.to_owned()
    }
}

impl From<CallError> for CniError {
    fn from(error: CallError) -> Self {
        Self::caused_by(error.code(), &error, error.advice())
    }
}
