//! The plugin killed before each of the system calls by which it changes anything: DEL, or GC alone, puts the node right.

use linkspan_hw_tests::show;
use linkspan_tests::bed::BedPf;
use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::killed::{At, Steps, Sweep};
use linkspan_tests::lan::reservations;
use linkspan_tests::pods::Pod;
use serde_json::json;

use crate::host_local;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(1), Need::Tool("strace")];
        an_add_killed_anywhere_is_undone_by_del,
        an_add_killed_anywhere_is_undone_by_gc,
        a_del_killed_anywhere_is_finished_by_the_next,
        an_add_asks_for_the_vfs_once_and_del_never,
    ]
}

fn network(pf: &BedPf, data: &tempfile::TempDir) -> Network {
    Network::new(
        "killed",
        json!({
            "deviceID": pf.vfs[0].to_string(), "mac": "02:00:00:00:64:01", "mtu": 1400,
            "vlan": 100, "spoofchk": "off", "trust": "on",
            "ipam": host_local(data, &["10.64.0.0/24", "fd00:64::/64"]),
        }),
    )
}

/// What is in the plugin's journal, whole or not.
fn journal() -> Vec<String> {
    let names = std::fs::read_dir("/run/linkspan/attachments").into_iter().flatten();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn an_add_killed_anywhere_is_undone_by_del() {
    let kills = sweep("killadd", Steps::ADD_THEN_DEL);
    assert!(kills > 20, "the sweep has killed {kills} times only");
}

fn an_add_killed_anywhere_is_undone_by_gc() {
    let kills = sweep("killgc", Steps::ADD_THEN_GC);
    assert!(kills > 20, "the sweep has killed {kills} times only");
}

fn a_del_killed_anywhere_is_finished_by_the_next() {
    let kills = sweep("killdel", Steps::DEL_THEN_DEL);
    assert!(kills > 5, "the sweep has killed {kills} times only");
}

/// Kills the plugin as it enters each of its changing system calls in turn. Returns how often that was.
fn sweep(test: &str, steps: Steps) -> usize {
    let pf = BedPf::nth(0);
    let data = tempfile::tempdir().unwrap();
    let network = network(&pf, &data);
    let pod = Pod::new(test, "pod");
    let show = || (show(&pf), reservations(&data, "killed"), journal());
    let before = show();
    let verify = |place: &str| assert_eq!(show(), before, "{place}");
    Sweep { steps, verify: &verify, at: At::EveryChange }.run(&network, &pod)
}

/// Each such question holds the kernel's RTNL lock for 1 to 2 ms a VF on real drivers.
fn an_add_asks_for_the_vfs_once_and_del_never() {
    let pf = BedPf::nth(0);
    let data = tempfile::tempdir().unwrap();
    let network = network(&pf, &data);
    let trace = data.path().join("trace");
    let strace = ["strace", "-o", trace.to_str().unwrap(), "-e", "trace=sendto"];
    let traced = network.run_by(&strace);
    let questions = || std::fs::read_to_string(&trace).unwrap().matches("RTEXT_FILTER_VF").count();
    let pod = Pod::new("count", "pod");

    traced.add(&pod, "net1");
    assert_eq!(questions(), 1, "ADD of a configuration that changes the PF's settings");
    traced.del(&pod, "net1");
    assert_eq!(questions(), 0, "DEL");

    let mut plain = traced.clone();
    for key in ["mac", "vlan", "spoofchk", "trust"] {
        plain.config.as_object_mut().unwrap().remove(key);
    }
    plain.add(&pod, "net1");
    assert_eq!(questions(), 0, "ADD of a configuration that leaves the PF alone");
    plain.del(&pod, "net1");
}
