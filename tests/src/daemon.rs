//! A long-running program of this workspace as a test runs it: ended when the test ends, its log shown when the
//! test fails.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, kill_process, pidfd_open};
use tempfile::NamedTempFile;

pub use rustix::process::Signal;

use crate::program::program;

/// A program that runs.
pub struct Daemon {
    child: Child,
    log: NamedTempFile,
}

impl Daemon {
    /// Starts a program.
    ///
    /// # Panics
    ///
    /// If it can't be started.
    #[must_use]
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_by(&[], name, arguments)
    }

    /// Starts a program by another one that becomes it: `setpriv` and its arguments, say.
    ///
    /// # Panics
    ///
    /// If it can't be started.
    #[must_use]
    pub fn start_by(wrapper: &[&str], name: &str, arguments: &[&str]) -> Self {
        let log = NamedTempFile::new().unwrap();
        let program = program(name);
        let mut words = wrapper.iter().map(Path::new).chain([program.as_path()]);
        let mut command = Command::new(words.next().unwrap());
        let stderr = File::options().append(true).open(log.path()).unwrap();
        let child = command.args(words).args(arguments).stderr(stderr).spawn().unwrap();
        Self { child, log }
    }

    /// Starts the device plugin, to register with a kubelet in this directory, where it also writes what Multus
    /// is told (`devinfo`).
    #[must_use]
    pub fn device_plugin(kubelet: &Path, config: &Path, more: &[&str]) -> Self {
        let device_info = kubelet.join("devinfo");
        let mut arguments = vec!["--kubelet-dir", kubelet.to_str().unwrap()];
        arguments.extend(["--config-file", config.to_str().unwrap()]);
        arguments.extend(["--device-info-dir", device_info.to_str().unwrap()]);
        arguments.extend(more);
        Self::start("linkspan-device-plugin", &arguments)
    }

    /// Starts the device plugin with a network namespace for the host's, and with these variables: `NAME=VALUE`. Its
    /// configuration is `config.json` in the folder, where it also writes.
    #[must_use]
    pub fn device_plugin_in(
        netns: &Path,
        environment: &[&str],
        kubelet: &Path,
        folder: &Path,
    ) -> Self {
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (config, socket, info) = (path("config.json"), path("devices.sock"), path("devinfo"));
        let arguments = [
            ["--kubelet-dir", kubelet.to_str().unwrap()],
            ["--config-file", &config],
            ["--devices-socket", &socket],
            ["--device-info-dir", &info],
        ];
        let netns = format!("--net={}", netns.display());
        let wrapper = [&["nsenter", &netns, "env"], environment].concat();
        Self::start_by(&wrapper, "linkspan-device-plugin", arguments.as_flattened())
    }

    /// What it has written to standard error so far, quotes within a sentence as they were said.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap().replace("\\\"", "\"")
    }

    /// Its process ID.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    ///
    /// If that takes longer than `bound`.
    pub fn wait(&mut self, bound: Duration) -> ExitStatus {
        assert!(self.ends_within(bound), "it still runs after {bound:?}");
        self.child.wait().unwrap()
    }

    /// Whether it ends by itself in this time.
    pub fn ends_within(&mut self, bound: Duration) -> bool {
        // A process descriptor becomes readable when the process ends.
        let process = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()).unwrap();
        let bound = bound.try_into().unwrap();
        poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&bound)).unwrap() > 0
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of process {}:\n{}", self.child.id(), self.log());
        }
    }
}
