//! Devices that a container gets by their names in the Container Device Interface.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use linkspan_tests::daemon::Signal;
use linkspan_tests::wait::until;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{BOUND, Node, fast, pfs};

const FAST: &str = "linkspan.dev/fast";

/// A node where devices are given by name, and the runtime's folder.
fn start(resources: Value) -> (Node, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--use-cdi", "--cdi-dir", folder.path().to_str().unwrap()];
    (Node::start_with(resources, &flags), folder)
}

fn specification(folder: &TempDir) -> PathBuf {
    folder.path().join("linkspan.dev_fast.json")
}

/// The devices that a specification names; none where there is none.
fn names(specification: &Path) -> Vec<String> {
    let Ok(text) = fs::read(specification) else { return Vec::new() };
    let whole: Value = serde_json::from_slice(&text).unwrap();
    let devices = whole["devices"].as_array().unwrap().iter();
    devices.map(|device| device["name"].as_str().unwrap().to_owned()).collect()
}

fn wait_for_names(specification: &Path, expected: &[&str]) {
    until(&format!("{expected:?} are named"), BOUND, || {
        (names(specification) == expected).then_some(())
    });
}

/// Binds a VF to vfio, and makes its nodes.
fn give_to_vfio(node: &Node, vf: u32, group: u32) {
    let vf = pfs()[0].vf(vf);
    node.tree.set_iommu_group(vf, group, false);
    node.tree.bind(vf, Some("vfio-pci"));
    node.make_node("vfio/vfio");
    node.make_node(&format!("vfio/{group}"));
}

#[test]
fn a_container_gets_names_that_the_runtime_finds() {
    let (node, folder) = start(fast());
    node.wait_for_devices(FAST, 4);
    give_to_vfio(&node, 0, 17);
    let given = node.kubelet.allocate(FAST, &["0000:01:10.0", "0000:01:10.2"]).unwrap();
    // A VF of the kernel's driver comes with no nodes, and a device without is none to the runtime.
    let named: Vec<&str> = given.cdi_devices.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(named, ["linkspan.dev/fast=0000:01:10.0"]);
    assert_eq!((given.devices.len(), given.annotations.len()), (0, 0));
    assert_eq!(given.envs["PCIDEVICE_LINKSPAN_DEV_FAST"], "0000:01:10.0,0000:01:10.2");

    let specification = specification(&folder);
    assert_eq!(fs::metadata(&specification).unwrap().permissions().mode() & 0o7777, 0o644);
    let whole: Value = serde_json::from_slice(&fs::read(&specification).unwrap()).unwrap();
    let node = |path: &str| json!({"path": path, "hostPath": path, "permissions": "rw"});
    let edits = json!({"deviceNodes": [node("/dev/vfio/vfio"), node("/dev/vfio/17")]});
    let devices = json!([{"name": "0000:01:10.0", "containerEdits": edits}]);
    let expected = json!({"cdiVersion": "0.5.0", "kind": "linkspan.dev/fast", "devices": devices});
    assert_eq!(whole, expected);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no draft is left");
}

#[test]
fn names_are_found_for_as_long_as_a_pod_has_the_device() {
    let (mut node, folder) = start(fast());
    let specification = specification(&folder);
    node.wait_for_devices(FAST, 4);
    give_to_vfio(&node, 0, 17);
    give_to_vfio(&node, 3, 18);
    node.kubelet.run_pod("ns", "p", FAST, &["0000:01:10.0"]).unwrap();
    assert_eq!(names(&specification)[0], "0000:01:10.0");
    node.plugin.signal(Signal::TERM);
    assert!(node.plugin.wait(BOUND).success());
    assert!(specification.exists(), "the pod's container may be started anew");

    // After a reboot there is none, and the kubelet starts the pod without another Allocate.
    fs::remove_file(&specification).unwrap();
    node.start_plugin();
    wait_for_names(&specification, &["0000:01:10.0", "0000:01:10.6"]);

    // Both are gone from the bus, but one is in use.
    node.wait_for_return(FAST, 2);
    node.tree.set_num_vfs(&pfs()[0], 0);
    node.plugin.signal(Signal::HUP);
    wait_for_names(&specification, &["0000:01:10.0"]);
    node.kubelet.end_pod("ns", "p");
    node.configure(json!([{"resourceName": "other", "selectors": {"pfNames": ["ens2"]}}]));
    until("nothing is named", BOUND, || (!specification.exists()).then_some(()));
}

#[test]
fn what_can_not_be_named_or_written_is_said() {
    let (node, folder) = start(json!([
        {"resourceName": "1g", "selectors": {"pfNames": ["ens1"]}},
        {"resourceName": "fast", "selectors": {"pfNames": ["ens2"]}}
    ]));
    node.wait_for_devices("linkspan.dev/1g", 4);
    node.wait_for_devices(FAST, 4);
    give_to_vfio(&node, 0, 17);
    let given = node.kubelet.allocate("linkspan.dev/1g", &["0000:01:10.0"]).unwrap();
    assert_eq!((given.devices.len(), given.cdi_devices.len()), (2, 0));
    let said = "the devices of linkspan.dev/1g are given as device nodes in spite of --use-cdi";
    assert!(node.plugin.log().contains(said), "{}", node.plugin.log());

    let vf = pfs()[1].vf(0);
    node.tree.set_iommu_group(vf, 17, false);
    node.tree.bind(vf, Some("vfio-pci"));
    let specification = specification(&folder);
    fs::create_dir(&specification).unwrap();
    let refused = node.kubelet.allocate(FAST, &[&vf.to_string()]).unwrap_err();
    let expected = format!(
        "the container runtime can't be told of the devices (--use-cdi): cannot write {}",
        specification.display()
    );
    assert!(refused.message().starts_with(&expected), "{}", refused.message());
    fs::remove_dir(&specification).unwrap();
    fs::write(&specification, "{").unwrap();
    node.kubelet.allocate(FAST, &[&vf.to_string()]).unwrap();
    assert_eq!(names(&specification), [vf.to_string()]);
}
