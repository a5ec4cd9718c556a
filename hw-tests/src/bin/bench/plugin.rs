//! A plugin as a container runtime calls it, with a clock beside it.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use linkspan_tests::pods::Pod;
use serde_json::Value;

/// The name of each pod's interface.
pub(crate) const INTERFACE: &str = "net1";

/// A plugin that is a program.
pub(crate) struct Plugin {
    program: PathBuf,
    /// `CNI_PATH`: where it finds its IPAM plugins.
    folder: PathBuf,
}

/// What a plugin is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Del,
}

impl Verb {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
        }
    }
}

impl Plugin {
    /// The plugin of this name in a folder of plugins.
    pub(crate) fn new(folder: &Path, name: &str) -> Result<Self> {
        let program = folder.join(name);
        ensure!(program.exists(), "there is no plugin {}", program.display());
        Ok(Self { program, folder: folder.to_owned() })
    }

    /// What it says of itself to whoever starts it by hand: name and version.
    pub(crate) fn version(&self) -> Result<String> {
        let output = Command::new(&self.program).env_clear().stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().next().unwrap_or_default();
        Ok(line.split(" is a ").next().unwrap_or_default().to_owned())
    }

    /// Calls it, and returns how long it ran from its start to its end and what it printed.
    pub(crate) fn call(
        &self,
        verb: Verb,
        pod: &Pod,
        config: &Value,
    ) -> Result<(Duration, Option<Value>)> {
        self.call_by(&[], verb, pod, config)
    }

    /// As [`Self::call`], run by another program, whose path and arguments are `wrapper`. What that prints
    /// counts as the plugin's.
    pub(crate) fn call_by(
        &self,
        wrapper: &[&str],
        verb: Verb,
        pod: &Pod,
        config: &Value,
    ) -> Result<(Duration, Option<Value>)> {
        let mut words = wrapper.iter().map(Path::new).chain([self.program.as_path()]);
        let mut command = Command::new(words.next().context("a program")?);
        let mut output = tempfile::tempfile()?;
        command.args(words).stdin(input(config)?).stdout(output.try_clone()?);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
            .env("CNI_COMMAND", verb.as_str())
            .env("CNI_CONTAINERID", pod.name())
            .env("CNI_NETNS", pod.netns())
            .env("CNI_IFNAME", INTERFACE)
            .env("CNI_PATH", &self.folder);
        let (took, status) = timed(&mut command)?;
        output.rewind()?;
        let mut text = String::new();
        output.read_to_string(&mut text)?;
        ensure!(status.success(), "{} of {command:?}: {status}: {text}", verb.as_str());
        let reply = (!text.trim().is_empty()).then(|| serde_json::from_str(&text)).transpose()?;
        Ok((took, reply))
    }
}

/// Runs a program; the time is that from its start to its end.
pub(crate) fn timed(command: &mut Command) -> Result<(Duration, ExitStatus)> {
    let start = Instant::now();
    let status = command.status();
    let took = start.elapsed();
    Ok((took, status.with_context(|| format!("{command:?} can't be run"))?))
}

fn input(config: &Value) -> Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(config.to_string().as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// The configuration as a runtime gives it to DEL.
pub(crate) fn with_result(config: &Value, result: Option<Value>) -> Value {
    let mut config = config.clone();
    if let Some(result) = result {
        config["prevResult"] = result;
    }
    config
}
