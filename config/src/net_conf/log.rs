//! How much of a network is logged, and where: the keys of sriov-cni.

use std::path::PathBuf;

use linkspan_log::Level;
use serde_json::{Map, Value};

use crate::Invalid;
use crate::fields::Fields;

/// What a configuration says of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConf {
    /// The least grave event to log.
    pub level: Option<Level>,
    /// Where to log; standard error where it is not set.
    pub file: Option<PathBuf>,
}

impl LogConf {
    /// What the configuration says, for any call. One that makes no sense says nothing: ADD has its error, and other
    /// calls don't fail for their log.
    #[must_use]
    pub fn of(config: &Map<String, Value>) -> Self {
        Self::parse(&Fields::unchecked(config, "")).unwrap_or_default()
    }

    /// How much is logged. Without a word of it only what is wrong; who names a file wants to read what was done, too.
    #[must_use]
    pub fn level(&self) -> Level {
        let unsaid = if self.file.is_some() { Level::default() } else { Level::Warning };
        self.level.unwrap_or(unsaid)
    }

    pub(super) fn parse(root: &Fields<'_>) -> Result<Self, Invalid> {
        let level = match root.text("logLevel", Level::EXPECTED)? {
            None => None,
            Some(text) => {
                Some(text.parse().map_err(|()| root.invalid("logLevel", Level::EXPECTED))?)
            }
        };
        Ok(Self { level, file: root.absolute_path("logFile")? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn without_a_word_only_what_is_wrong_is_logged() {
        let table = [
            (json!({}), Level::Warning),
            (json!({"logFile": "/var/log/x"}), Level::Info),
            (json!({"logLevel": "debug"}), Level::Debug),
            (json!({"logLevel": "error", "logFile": "/var/log/x"}), Level::Error),
            (json!({"logLevel": "loud"}), Level::Warning),
            (json!({"logLevel": "debug", "logFile": "x"}), Level::Warning),
        ];
        for (config, level) in table {
            assert_eq!(LogConf::of(config.as_object().unwrap()).level(), level, "{config}");
        }
    }
}
