//! The files in which Multus looks for what a pod was given.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use linkspan_tests::daemon::Signal;
use linkspan_tests::wait::until;
use serde_json::{Value, json};

use crate::{BOUND, Node, fast};

const FAST: &str = "linkspan.dev/fast";

fn file(node: &Node, device: &str) -> PathBuf {
    let name = format!("devinfo/linkspan.dev-fast-{device}-device.json");
    node.kubelet.directory().join(name)
}

/// As if it had been written an hour ago.
fn age(file: &PathBuf) {
    let hour = Duration::from_hours(1);
    File::options().write(true).open(file).unwrap().set_modified(SystemTime::now() - hour).unwrap();
}

#[test]
fn multus_is_told_of_a_device_for_as_long_as_a_pod_has_it() {
    let mut node = Node::start(fast());
    node.wait_for_devices(FAST, 4);
    let devices = ["0000:01:10.0", "0000:01:10.2", "0000:01:10.4"];
    let [held, free, fresh] = devices.map(|device| file(&node, device));
    for (pod, device) in ["held", "free", "fresh"].iter().zip(devices) {
        node.kubelet.run_pod("ns", pod, FAST, &[device]).unwrap();
    }
    let info: Value = serde_json::from_slice(&fs::read(&held).unwrap()).unwrap();
    let pci = json!({"pci-address": "0000:01:10.0", "pf-pci-address": "0000:01:00.0"});
    assert_eq!(info, json!({"type": "pci", "version": "1.1.0", "pci": pci}));
    let others = file(&node, "x-0000:01:10.6");
    fs::write(&others, "another pool's").unwrap();

    for file in [&held, &free, &others] {
        age(file);
    }
    node.kubelet.end_pod("ns", "free");
    node.kubelet.end_pod("ns", "fresh");
    node.plugin.signal(Signal::TERM);
    assert!(node.plugin.wait(BOUND).success());
    assert!(free.exists() && held.exists(), "pods outlive the plugin");
    node.start_plugin();
    until("the file of a device without a pod is gone", BOUND, || (!free.exists()).then_some(()));
    for file in [&held, &fresh, &others] {
        assert!(file.exists(), "{}", file.display());
    }

    // The VF that the pod has is gone, and then the pod too.
    node.tree.set_num_vfs(&crate::pfs()[0], 0);
    node.plugin.signal(Signal::HUP);
    node.wait_for_devices(FAST, 0);
    assert!(held.exists());
    node.kubelet.end_pod("ns", "held");
    node.configure(json!([{"resourceName": "other", "selectors": {"pfNames": ["ens2"]}}]));
    until("the file of a pool without pods is gone", BOUND, || (!held.exists()).then_some(()));
}

#[test]
fn files_stay_where_the_kubelet_does_not_say_who_has_what() {
    let mut node = Node::start(fast());
    node.wait_for_devices(FAST, 4);
    node.kubelet.run_pod("ns", "p", FAST, &["0000:01:10.0"]).unwrap();
    let held = file(&node, "0000:01:10.0");
    age(&held);
    node.plugin.signal(Signal::TERM);
    node.plugin.wait(BOUND);
    fs::remove_file(node.kubelet.directory().join("pod-resources/kubelet.sock")).unwrap();
    node.start_plugin();
    node.wait_for_return(FAST, 2);
    let said = "the kubelet does not say which pod holds what";
    until("it could not ask", BOUND, || node.plugin.log().contains(said).then_some(()));
    assert!(held.exists());
}
