//! VFs of real (or emulated) SR-IOV NICs, offered to the kubelet by the real device plugin. They run on the
//! test bed (`make test`), or on a machine that has such NICs (`make hw-test`).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod held;
mod killed;
mod live;
mod privileges;
mod provisioned;
mod selected;
mod user_space;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use linkspan_tests::bed::BedPf;
use linkspan_tests::daemon::{Daemon, Signal};
use linkspan_tests::harness;
use linkspan_tests::kubelet::{Kubelet, State};
use linkspan_types::PciAddress;
use serde_json::{Value, json};
use tempfile::TempDir;

fn main() -> ExitCode {
    harness::main(
        selected::cases()
            .into_iter()
            .chain(user_space::cases())
            .chain(changes::cases())
            .chain(held::cases())
            .chain(live::cases())
            .chain(provisioned::cases())
            .chain(killed::cases())
            .chain(privileges::cases()),
    )
}

/// Far more than it takes to make or remove a VF on an emulated CPU.
const BOUND: Duration = Duration::from_secs(30);

/// This node: a kubelet, and the plugin that looks at the real devices.
struct Node {
    plugin: Daemon,
    kubelet: Kubelet,
    folder: TempDir,
}

impl Node {
    /// Starts both, with pools of the prefix `linkspan.dev`.
    fn start(pools: &[(&str, Value)]) -> Self {
        let resources: Vec<Value> = pools
            .iter()
            .map(|(name, selectors)| json!({ "resourceName": name, "selectors": selectors }))
            .collect();
        Self::configured(&json!(resources))
    }

    /// Starts both, with these resources.
    fn configured(resources: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), resources);
        let kubelet = Kubelet::start(&folder.path().join("kubelet"));
        let plugin = start_plugin(&kubelet, folder.path());
        Self { plugin, kubelet, folder }
    }

    /// Gives the plugin another configuration, which it follows.
    fn configure(&self, resources: &Value) {
        write(self.folder.path(), resources);
    }

    /// Ends the plugin as its pod's end does, and starts another.
    fn restart_plugin(&mut self) {
        self.plugin.signal(Signal::TERM);
        assert!(self.plugin.wait(BOUND).success());
        self.kubelet.wait_for("no plugin is heard", BOUND, |state| {
            state.resources.values().all(|resource| !resource.streaming)
        });
        self.plugin = start_plugin(&self.kubelet, self.folder.path());
    }

    /// Waits until a pool offers exactly these devices.
    fn wait_for(&self, pool: &str, devices: &[PciAddress]) -> State {
        let expected: Vec<String> = devices.iter().map(ToString::to_string).collect();
        let what = format!("{pool} has {}", expected.join(", "));
        let resource = resource(pool);
        self.kubelet.wait_for(&what, BOUND, |state| {
            let known = state.resources.get(&resource);
            known.is_some_and(|known| known.streaming && known.allocatable() == expected)
        })
    }
}

fn write(folder: &Path, resources: &Value) {
    let list = json!({ "resourceList": resources }).to_string();
    std::fs::write(folder.join("config.json"), list).unwrap();
}

fn start_plugin(kubelet: &Kubelet, folder: &Path) -> Daemon {
    Daemon::device_plugin(kubelet.directory(), &folder.join("config.json"), &[])
}

fn resource(pool: &str) -> String {
    format!("linkspan.dev/{pool}")
}

/// The two PFs.
fn pfs() -> [BedPf; 2] {
    [BedPf::nth(0), BedPf::nth(1)]
}

/// A selector that takes all VFs of a PF.
fn all_of(pf: &BedPf) -> Value {
    json!({ "pfNames": [pf.name.as_str()] })
}
