//! The plugin as a container runtime calls it: the real program, by environment and standard input.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pods::Pod;
use crate::program::program;

/// A network, and the plugin that serves it.
#[derive(Clone, Debug)]
pub struct Network {
    /// The configuration.
    pub config: Value,
    /// `CNI_ARGS`.
    pub args: String,
    /// `CNI_PATH`.
    pub path: String,
    /// What runs the plugin: the plugin itself, or `strace` and its arguments, say.
    wrapper: Vec<String>,
    plugin: PathBuf,
    /// Where plugins are under other names, for as long as anybody may call them so.
    other_names: Vec<Arc<TempDir>>,
}

/// What one call came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Whether it succeeded.
    pub success: bool,
    /// The JSON on standard output; null where there is none.
    pub json: Value,
    /// What it said on standard error.
    pub stderr: String,
    /// How it ended: its exit status, or the signal that killed it.
    pub status: String,
}

impl Network {
    /// A network with this configuration, `cniVersion` and `type` added where they are missing.
    #[must_use]
    pub fn new(name: &str, mut config: Value) -> Self {
        let defaults = [("cniVersion", "1.1.0"), ("type", "sriov"), ("name", name)];
        for (key, value) in defaults {
            if config.get(key).is_none() {
                config[key] = json!(value);
            }
        }
        Self {
            config,
            args: String::new(),
            path: "/opt/cni/bin".to_owned(),
            wrapper: Vec::new(),
            plugin: program("linkspan"),
            other_names: Vec::new(),
        }
    }

    /// The same network, its plugin called by another name.
    ///
    /// # Panics
    ///
    /// If no link to the plugin can be made.
    #[must_use]
    pub fn called_as(&self, name: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let plugin = folder.path().join(name);
        std::os::unix::fs::symlink(&self.plugin, &plugin).unwrap();
        let mut other = self.served_by(&plugin);
        other.other_names.push(Arc::new(folder));
        other
    }

    /// The same network, served by another plugin.
    #[must_use]
    pub fn served_by(&self, plugin: &Path) -> Self {
        Self { plugin: plugin.to_owned(), ..self.clone() }
    }

    /// The same network, in whose `CNI_PATH` there is nothing but another one's plugin.
    #[must_use]
    pub fn finding(&self, other: &Self) -> Self {
        let mut network = self.clone();
        network.path = other.folder().to_string_lossy().into_owned();
        network.other_names.extend(other.other_names.iter().cloned());
        network
    }

    /// The directory of the plugin.
    ///
    /// # Panics
    ///
    /// Never: a program is in a directory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.plugin.parent().unwrap()
    }

    /// The same network, its plugin run by another program.
    #[must_use]
    pub fn run_by(&self, wrapper: &[&str]) -> Self {
        let wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        Self { wrapper, ..self.clone() }
    }

    /// The same network, its plugin run by one more program, which everything else that runs it runs.
    #[must_use]
    pub fn inside(&self, wrapper: &[&str]) -> Self {
        let mut other = self.clone();
        other.wrapper.extend(wrapper.iter().map(|&word| word.to_owned()));
        other
    }

    /// The same network, what runs its plugin being run by one more program.
    #[must_use]
    pub fn also_run_by(&self, wrapper: &[&str]) -> Self {
        let mut other = self.run_by(wrapper);
        other.wrapper.extend_from_slice(&self.wrapper);
        other
    }

    /// The same network with one key set to something else.
    #[must_use]
    pub fn with(&self, key: &str, value: impl Into<Value>) -> Self {
        let mut other = self.clone();
        other.config[key] = value.into();
        other
    }

    /// Attaches a pod.
    ///
    /// # Panics
    ///
    /// If the plugin fails.
    pub fn add(&self, pod: &Pod, interface: &str) -> Value {
        let reply = self.try_add(pod, interface);
        assert!(reply.success, "ADD of {} failed: {reply:#?}", pod.name());
        reply.json
    }

    /// Attaches a pod, which may fail.
    pub fn try_add(&self, pod: &Pod, interface: &str) -> Reply {
        let netns = pod.netns();
        self.call(
            "ADD",
            &[
                ("CNI_CONTAINERID", pod.name()),
                ("CNI_NETNS", &netns.to_string_lossy()),
                ("CNI_IFNAME", interface),
            ],
        )
    }

    /// Detaches a pod.
    ///
    /// # Panics
    ///
    /// If the plugin fails.
    pub fn del(&self, pod: &Pod, interface: &str) {
        let reply = self.try_del(pod, interface);
        assert!(reply.success, "DEL of {} failed: {reply:#?}", pod.name());
        assert_eq!(reply.json, Value::Null, "DEL prints nothing");
    }

    /// Detaches a pod, which may fail.
    pub fn try_del(&self, pod: &Pod, interface: &str) -> Reply {
        let netns = pod.netns();
        self.call(
            "DEL",
            &[
                ("CNI_CONTAINERID", pod.name()),
                ("CNI_NETNS", &netns.to_string_lossy()),
                ("CNI_IFNAME", interface),
            ],
        )
    }

    /// Calls the plugin with any verb and environment.
    pub fn call(&self, verb: &str, environment: &[(&str, &str)]) -> Reply {
        self.call_with(verb, environment, &self.config.to_string())
    }

    /// Calls the plugin with any standard input.
    ///
    /// # Panics
    ///
    /// If the plugin can't be run at all, or prints something that is no JSON.
    pub fn call_with(&self, verb: &str, environment: &[(&str, &str)], stdin: &str) -> Reply {
        let mut words = self.wrapper.iter().map(PathBuf::from).chain([self.plugin.clone()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("CNI_COMMAND", verb).env("CNI_PATH", &self.path).env("CNI_ARGS", &self.args);
        command.envs(environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?} can't be run: {e}"));
        // A plugin that doesn't read all its input, or is killed, has its reasons.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        Reply::of(&child.wait_with_output().unwrap())
    }
}

impl Reply {
    fn of(output: &Output) -> Self {
        let stdout = String::from_utf8_lossy(&output.stdout);
        let json = match stdout.trim() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|e| panic!("{e} in {text}")),
        };
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let status = output.status.to_string();
        Self { success: output.status.success(), json, stderr, status }
    }

    /// The code of an error.
    #[must_use]
    pub fn code(&self) -> Option<u64> {
        self.json["code"].as_u64()
    }

    /// The message of an error.
    #[must_use]
    pub fn msg(&self) -> &str {
        self.json["msg"].as_str().unwrap_or_default()
    }
}
