//! The device plugin, the real program, against a stand-in for the kubelet and a made sysfs tree.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cdi;
mod configured;
mod device_info;
mod held;
mod kept;
mod measured;
mod model;
mod offered;
mod privileges;
mod reconfigured;
mod registered;
mod user_space;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use linkspan_tests::daemon::{Daemon, Signal};
use linkspan_tests::kubelet::{Kubelet, State};
use linkspan_tests::sysfs_tree::{Pf, SysfsTree};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Far more than anything here takes.
const BOUND: Duration = Duration::from_secs(20);

/// A node with two PFs of four VFs each, a kubelet, and the plugin.
struct Node {
    plugin: Daemon,
    kubelet: Kubelet,
    tree: SysfsTree,
    directory: TempDir,
    flags: Vec<String>,
}

fn pfs() -> [Pf; 2] {
    let second = Pf { numa_node: 1, ..Pf::igb("0000:81:00.0", "ens2") };
    [Pf { numa_node: 0, ..Pf::igb("0000:01:00.0", "ens1") }, second]
}

impl Node {
    /// Starts a node with these resources.
    fn start(resources: Value) -> Self {
        Self::start_with(resources, &[])
    }

    fn start_with(resources: Value, flags: &[&str]) -> Self {
        let tree = SysfsTree::new();
        for pf in pfs() {
            tree.add_pf(&pf);
            tree.set_num_vfs(&pf, 4);
        }
        Self::start_on(tree, resources, flags)
    }

    fn start_on(tree: SysfsTree, resources: Value, flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let kubelet = Kubelet::start(&directory.path().join("kubelet"));
        let config = directory.path().join("config.json");
        fs::write(&config, listed(resources)).unwrap();
        let dev = directory.path().join("dev");
        let devices = directory.path().join("devices.sock");
        let metrics =
            PathBuf::from(format!("unix:{}", directory.path().join("metrics.sock").display()));
        let paths = [
            ("--devices-socket", devices.as_path()),
            ("--metrics-address", metrics.as_path()),
            ("--sysfs-root", tree.root()),
            ("--dev-root", dev.as_path()),
        ];
        let paths = paths.into_iter().flat_map(|(flag, path)| [flag, path.to_str().unwrap()]);
        let flags = paths.chain(flags.iter().copied()).map(str::to_owned);
        let flags: Vec<String> = flags.collect();
        let plugin = start_plugin(&kubelet, &config, &flags);
        Self { plugin, kubelet, tree, directory, flags }
    }

    /// Ends the plugin by a signal, and starts another.
    fn restart_plugin(&mut self, signal: Signal) {
        self.plugin.signal(signal);
        self.plugin.wait(BOUND);
        self.start_plugin();
    }

    /// Starts another plugin in the place of one that has ended.
    fn start_plugin(&mut self) {
        self.plugin = start_plugin(&self.kubelet, &self.config(), &self.flags);
    }

    fn wait(&self, what: &str, condition: impl FnMut(&State) -> bool) -> State {
        self.kubelet.wait_for(what, BOUND, condition)
    }

    fn wait_for_devices(&self, resource: &str, count: usize) -> State {
        let what = format!("{count} devices of {resource}");
        self.wait(&what, |state| state.allocatable(resource).len() == count)
    }

    /// Waits until the plugin is heard again after it has registered `registrations` times.
    fn wait_for_return(&self, resource: &str, registrations: u32) {
        self.wait(&format!("{resource} registered {registrations} times"), |state| {
            let known = &state.resources[resource];
            known.registrations >= registrations && known.streaming
        });
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("config.json")
    }

    /// Puts another configuration in the place of the one that there is.
    fn configure(&self, resources: Value) {
        let new = self.directory.path().join("config.new");
        fs::write(&new, listed(resources)).unwrap();
        fs::rename(new, self.config()).unwrap();
    }

    fn make_node(&self, path: &str) {
        let path = self.directory.path().join("dev").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    fn socket(&self, directory: &str, name: &str) -> PathBuf {
        self.kubelet.directory().join(directory).join(name)
    }
}

fn start_plugin(kubelet: &Kubelet, config: &Path, flags: &[String]) -> Daemon {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Daemon::device_plugin(kubelet.directory(), config, &flags)
}

/// The text of a configuration with these resources.
fn listed(resources: Value) -> String {
    let mut list = json!({});
    list["resourceList"] = resources;
    list.to_string()
}

fn fast() -> Value {
    json!([{"resourceName": "fast", "selectors": {"pfNames": ["ens1"]}}])
}
