//! Recorded calls of Multus for VFs, replayed on the real plugin.

use std::fs;

use linkspan_hw_tests::show;
use linkspan_tests::bed::BedPf;
use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::reservations;
use linkspan_tests::multus::Story;
use linkspan_tests::pods::Pod;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(1)];
        a_vf_that_multus_s_plugin_hands_over,
        a_vf_that_multus_s_daemon_hands_over,
    ]
}

fn a_vf_that_multus_s_plugin_hands_over() {
    replay("sriov-0.3.1", "ADD", "multusthin", false);
}

fn a_vf_that_multus_s_daemon_hands_over() {
    replay("sriov-1.0.0", "CHECK", "multusthick", true);
}

/// Replays a file up to a verb, looks at the pod, and replays the rest.
fn replay(file: &str, verb: &str, name: &str, is_gone: bool) {
    let pf = BedPf::nth(0);
    let (vf, before) = (pf.vfs[2].to_string(), show(&pf));
    let (data, pod) = (TempDir::new().unwrap(), Pod::new(name, "pod"));
    let info = format!("/var/run/k8s.cni.cncf.io/devinfo/cni/shop-{name}-{}_net1", pod.name());
    let of_the_device_plugin = json!({
        "type": "pci", "version": "1.1.0", "pci": { "pci-address": vf, "rdma-device": "mlx5_2" },
    });
    fs::create_dir_all("/var/run/k8s.cni.cncf.io/devinfo/cni").unwrap();
    fs::write(&info, of_the_device_plugin.to_string()).unwrap();
    let names = [
        ("NAME", json!(name)),
        ("DEVICE", json!(vf)),
        ("INFO", json!(info)),
        ("DATA", json!(data.path())),
    ];
    let network = Network::new(name, json!({}));
    let mut story = Story::read(file, &network, &pod, &names);
    story.until(verb);
    assert_eq!(pod.link("net1")["address"], "02:00:00:00:a6:01");
    let on_pf = show(&pf).swap_remove(2).on_pf;
    assert_eq!(on_pf["vlan_list"][0]["vlan"], 100, "{on_pf}");
    let told: Value = serde_json::from_str(&fs::read_to_string(&info).unwrap()).unwrap();
    assert_eq!(told["pci"]["rdma-device"], "mlx5_2", "what the device plugin knows stays: {told}");
    if is_gone {
        pod.delete();
    }
    story.to_the_end();
    assert_eq!((show(&pf), reservations(&data, name).len()), (before, 0));
    assert!(!fs::exists(info).unwrap(), "the file goes with the attachment");
}
