//! Why another IPAM plugin gave no answer, or what it said instead.

use std::io;

use linkspan_config::PluginName;
use serde::Deserialize;

use super::process::Ended;
use crate::spec::{CniError, Code, ResultError};

/// Why a call of another IPAM plugin failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum DelegateError {
    /// There is no such program.
    #[error(
        "`ipam.type` is \"{plugin}\", expected an executable file in a directory of CNI_PATH ({folders})"
    )]
    NotFound { plugin: PluginName, folders: String },
    /// It is this very program under another name.
    #[error("`ipam.type` is \"{plugin}\", which is linkspan itself, expected an IPAM plugin")]
    Itself { plugin: PluginName },
    /// It can't be run to its end.
    #[error("IPAM plugin {plugin} cannot be run to its end")]
    Run { plugin: PluginName, source: io::Error },
    /// It said why it failed.
    #[error("IPAM plugin {plugin}: {}", error.msg)]
    Told { plugin: PluginName, error: CniError },
    /// It failed in silence, or with other words than the spec's.
    #[error(
        "IPAM plugin {plugin} ended with {status} and without the error object of the CNI spec{printed}"
    )]
    Untold { plugin: PluginName, status: String, printed: String },
    /// It said that it was successful, and no more that makes sense.
    #[error("IPAM plugin {plugin} has returned no result")]
    NoResult { plugin: PluginName, source: ResultError },
}

/// The error object of another plugin. Go programs leave out what is empty.
#[derive(Deserialize)]
struct Told {
    code: u32,
    msg: String,
    #[serde(default)]
    details: String,
}

/// How much of a plugin's words is shown, in characters.
const SHOWN: usize = 512;

impl DelegateError {
    /// What a plugin that failed has said. The spec wants its error on standard output; one passage of it
    /// (section 2, "Overview") says standard error.
    pub(super) fn of(plugin: &PluginName, ended: &Ended) -> Self {
        let plugin = plugin.clone();
        let object = |text| serde_json::from_slice(text).ok();
        if let Some(told) = object(&ended.stdout).or_else(|| object(&ended.stderr)) {
            let Told { code, msg, details } = told;
            return Self::Told { plugin, error: CniError::new(Code::Foreign(code), msg, details) };
        }
        let said: Vec<String> = [&ended.stdout, &ended.stderr].map(|text| shown(text)).into();
        let said: Vec<&str> =
            said.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        let printed = match said.as_slice() {
            [] => ", and has printed nothing".to_owned(),
            said => format!(", and has printed {:?}", said.join(" ")),
        };
        Self::Untold { plugin, status: ended.status.to_string(), printed }
    }
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).trim().chars().take(SHOWN).collect()
}

impl From<DelegateError> for CniError {
    fn from(error: DelegateError) -> Self {
        let (code, advice) = match &error {
            DelegateError::NotFound { .. } => {
                (Code::InvalidConfig, "Install the plugin on this node, or correct `ipam.type`")
            }
            DelegateError::Itself { .. } => (
                Code::InvalidConfig,
                "Set `ipam.type` to the name of an IPAM plugin, such as host-local",
            ),
            DelegateError::Run { .. } => (Code::Io, "See that the file is a program for this node"),
            DelegateError::Told { error, .. } => (error.code, error.details.as_str()),
            DelegateError::Untold { .. } | DelegateError::NoResult { .. } => {
                (Code::DelegateFailed, "See the IPAM plugin's own log")
            }
        };
        Self::caused_by(code, &error, advice)
    }
}
