//! The doctor on a node with PFs and VFs.

use std::process::Command;

use linkspan_hw_tests::show;
use linkspan_tests::bed::BedPf;
use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::Pod;
use linkspan_tests::program::program;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(1)];
        the_doctor_tells_what_is_wrong_with_vfs_and_what_pods_have_left,
    ]
}

/// What was seen of each finding of these checks.
fn doctor(folder: &TempDir, checks: &[&str]) -> Vec<String> {
    let pools = folder.path().join("config.json");
    let mut doctor = Command::new(program("linkspan"));
    let output = doctor.args(["doctor", "--json", "--pools"]).arg(pools).output().unwrap();
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let wanted = findings.iter().filter(|one| checks.contains(&one["check"].as_str().unwrap()));
    wanted.map(|one| one["seen"].as_str().unwrap().to_owned()).collect()
}

fn the_doctor_tells_what_is_wrong_with_vfs_and_what_pods_have_left() {
    let pf = BedPf::nth(0);
    let (vf, before) = (pf.vfs[2], show(&pf));
    let folder = tempfile::tempdir().unwrap();
    let pools = json!({ "resourceList": [{
        "resourceName": "many", "selectors": { "pfNames": [pf.name.to_string()] },
        "provision": { "numVfs": 999, "driver": "vfio-pci" },
    }] });
    std::fs::write(folder.path().join("config.json"), pools.to_string()).unwrap();

    let few = doctor(&folder, &["vf-count", "iommu", "sriov-off", "pf", "configuration"]);
    assert_eq!(few.len(), 1, "the IOMMU is on: {few:?}");
    let wants = format!("pool many wants 999 VFs of PF {}, which can have ", pf.name);
    assert!(few[0].starts_with(&wants), "{few:?}");

    let left = ["orphan", "left-vlan"];
    assert_eq!(doctor(&folder, &left), [""; 0]);
    let network = Network::new("doctor", json!({ "deviceID": vf.to_string(), "vlan": 77 }));
    let pod = Pod::new("doctor", "pod");
    network.add(&pod, "net1");
    assert_eq!(doctor(&folder, &left), [""; 0], "a pod has it");
    pod.delete();
    let orphans = doctor(&folder, &left);
    assert!(orphans.len() == 1 && orphans[0].contains(&vf.to_string()), "{orphans:?}");
    network.del(&pod, "net1");
    assert_eq!(show(&pf), before);
    assert_eq!(doctor(&folder, &left), [""; 0]);

    let set = |vlan: &str| {
        let arguments = ["link", "set", pf.name.as_str(), "vf", "2", "vlan", vlan];
        assert!(Command::new("ip").args(arguments).status().unwrap().success());
    };
    set("78");
    let tagged = doctor(&folder, &left);
    set("0");
    assert_eq!(tagged, [format!("VF {vf} is in VLAN 78, and no pod has it")]);
    assert_eq!(show(&pf), before);
}
