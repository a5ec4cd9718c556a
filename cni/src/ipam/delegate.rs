//! IPAM plugins of others, executed as the spec says (CNI 1.1.0, section 4): found in `CNI_PATH`, with the same
//! environment and configuration as this plugin, and taken at their word.

mod error;
mod process;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use linkspan_config::{ContainerId, PluginName};
use linkspan_types::IfName;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::spec::{AddResult, Attachment, CniError, Network, ResultError};
use error::DelegateError;

/// Another IPAM plugin, and the network that it serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delegate {
    /// Its name, `ipam.type`.
    pub plugin: PluginName,
    /// `CNI_PATH`: the directories it is looked for in.
    pub path: Vec<PathBuf>,
    /// The whole configuration, which it reads from its standard input.
    pub config: Map<String, Value>,
}

/// All that another IPAM plugin is told of one attachment. The journal keeps it, for a DEL of a pod that nobody
/// else remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DelegateCall {
    /// The plugin, and its network.
    #[serde(flatten)]
    pub delegate: Delegate,
    /// `CNI_CONTAINERID`.
    pub container: ContainerId,
    /// `CNI_IFNAME`.
    pub interface: IfName,
    /// `CNI_NETNS`; none where the pod is gone.
    pub netns: Option<PathBuf>,
    /// `CNI_ARGS`, as it was given to this plugin.
    pub args: String,
}

/// What is told where it is about a whole network.
const NO_ATTACHMENT: [(&str, Option<&OsStr>); 3] =
    [("CNI_CONTAINERID", None), ("CNI_IFNAME", None), ("CNI_NETNS", None)];

impl Delegate {
    /// The plugin of this name for a network.
    #[must_use]
    pub fn new(plugin: &PluginName, network: &Network) -> Self {
        let Network { config, path, version: _ } = network.clone();
        Self { plugin: plugin.clone(), path, config }
    }

    /// Whether there is such a plugin; where there is none, it has given nothing.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.find().is_ok()
    }

    /// Refuses a plugin that can't even be asked, before anything is made that would have to be undone.
    pub fn require(&self) -> Result<(), CniError> {
        Ok(self.find().map(|_| ())?)
    }

    /// Asks whether it can give addresses now. A plugin that is too old for the question is taken to.
    pub fn status(&self) -> Result<(), CniError> {
        self.tell_all("STATUS")
    }

    /// Has it free the addresses of all attachments that the configuration does not list as valid. A plugin
    /// that is too old for this has its own ways.
    pub fn gc(&self) -> Result<(), CniError> {
        self.tell_all("GC")
    }

    fn tell_all(&self, verb: &str) -> Result<(), CniError> {
        match self.run(verb, &NO_ATTACHMENT) {
            Err(DelegateError::Told { error, .. }) if is_too_old(&error) => Ok(()),
            outcome => Ok(outcome.map(|_| ())?),
        }
    }

    /// Runs the plugin, and returns what it prints.
    fn run(
        &self,
        verb: &str,
        variables: &[(&str, Option<&OsStr>)],
    ) -> Result<Vec<u8>, DelegateError> {
        let failed = |source| DelegateError::Run { plugin: self.plugin.clone(), source };
        let config = serde_json::to_vec(&self.config).map_err(|e| failed(e.into()))?;
        let mut command = self.command(verb, variables)?;
        let ended = process::run(&mut command, &config).map_err(failed)?;
        if ended.status.success() {
            Ok(ended.stdout)
        } else {
            Err(DelegateError::of(&self.plugin, &ended))
        }
    }

    /// The plugin in this process's own environment but for these variables.
    fn command(
        &self,
        verb: &str,
        variables: &[(&str, Option<&OsStr>)],
    ) -> Result<Command, DelegateError> {
        let mut command = Command::new(self.find()?);
        // A directory that could not be joined to others could not have been split from them.
        let path = std::env::join_paths(&self.path).unwrap_or_default();
        command.env("CNI_COMMAND", verb).env("CNI_PATH", path);
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Ok(command)
    }

    /// The first executable file of the plugin's name in the directories of `CNI_PATH`.
    fn find(&self) -> Result<PathBuf, DelegateError> {
        let plugin = self.plugin.clone();
        let is_program = |path: &PathBuf| {
            let found = fs::metadata(path);
            found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        };
        let mut all = self.path.iter().map(|folder| folder.join(plugin.as_str()));
        match all.find(is_program) {
            Some(path) if is_this_program(&path) => Err(DelegateError::Itself { plugin }),
            Some(path) => Ok(path),
            None => {
                let folders: Vec<_> = self.path.iter().map(|dir| dir.to_string_lossy()).collect();
                Err(DelegateError::NotFound { plugin, folders: folders.join(", ") })
            }
        }
    }
}

impl DelegateCall {
    /// What is told of an attachment.
    #[must_use]
    pub fn new(plugin: &PluginName, attachment: &Attachment, netns: Option<&Path>) -> Self {
        Self {
            delegate: Delegate::new(plugin, &attachment.network),
            container: attachment.id.container_id.clone(),
            interface: attachment.id.if_name.clone(),
            netns: netns.map(Path::to_owned),
            args: attachment.args.text.clone(),
        }
    }

    /// Has it give addresses.
    pub fn add(&self) -> Result<AddResult, CniError> {
        let printed = self.run("ADD")?;
        let unreadable =
            |source| DelegateError::NoResult { plugin: self.delegate.plugin.clone(), source };
        let value: Value =
            serde_json::from_slice(&printed).map_err(|e| unreadable(ResultError::Shape(e)))?;
        Ok(AddResult::parse_ipam(&value).map_err(unreadable)?)
    }

    /// Has it free them.
    pub fn del(&self) -> Result<(), CniError> {
        Ok(self.run("DEL").map(|_| ())?)
    }

    /// Asks whether they are still the attachment's.
    pub fn check(&self) -> Result<(), CniError> {
        Ok(self.run("CHECK").map(|_| ())?)
    }

    fn run(&self, verb: &str) -> Result<Vec<u8>, DelegateError> {
        self.delegate.run(verb, &self.variables())
    }

    fn variables(&self) -> [(&str, Option<&OsStr>); 4] {
        [
            ("CNI_CONTAINERID", Some(self.container.as_str().as_ref())),
            ("CNI_IFNAME", Some(self.interface.as_str().as_ref())),
            ("CNI_NETNS", self.netns.as_deref().map(Path::as_os_str)),
            ("CNI_ARGS", Some(self.args.as_ref())),
        ]
    }
}

/// A plugin from before CNI 1.1.0 takes STATUS and GC for mistakes in `CNI_COMMAND` (4), wants a container first (3,
/// as all do that use its library for Go), or takes the configuration for one of a version to come (1).
fn is_too_old(error: &CniError) -> bool {
    matches!(error.code.number(), 1 | 3 | 4)
}

/// Whether a path leads to the program that runs, which would call itself without an end.
fn is_this_program(path: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    identity(path).is_some_and(|found| identity(Path::new("/proc/self/exe")) == Some(found))
}

#[cfg(test)]
mod tests;
