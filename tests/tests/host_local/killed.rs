//! The program killed between any two of its system calls: nothing is lost, and nothing is given twice.

use std::fs;
use std::path::Path;

use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::killed::{At, Steps, Sweep};
use linkspan_tests::pods::Pod;
use serde_json::json;

use crate::folder::{Folder, PEER, add, del};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("strace"), Need::Tool(PEER)];
        an_add_killed_anywhere_is_undone_by_del,
        an_add_killed_anywhere_is_undone_by_the_peers_del,
        an_add_killed_anywhere_while_it_reads_all_files_is_undone_by_del,
        a_del_killed_anywhere_is_finished_by_the_next,
        a_del_killed_anywhere_is_finished_by_the_peers,
        an_add_killed_anywhere_is_undone_by_gc,
    ]
}

fn an_add_killed_anywhere_is_undone_by_del() {
    sweep("hladd", Steps { heal: next_pod_then_del, ..Steps::ADD_THEN_DEL }, At::EveryCall);
}

fn an_add_killed_anywhere_is_undone_by_the_peers_del() {
    sweep(
        "hladdpeer",
        Steps { heal: next_pod_then_peers_del, ..Steps::ADD_THEN_DEL },
        At::EveryChange,
    );
}

fn an_add_killed_anywhere_while_it_reads_all_files_is_undone_by_del() {
    let steps = Steps { first: lose_index, heal: next_pod_then_del, ..Steps::ADD_THEN_DEL };
    sweep("hladdall", steps, At::EveryChange);
}

fn a_del_killed_anywhere_is_finished_by_the_next() {
    sweep("hldel", Steps { heal: next_pod_then_del, ..Steps::DEL_THEN_DEL }, At::EveryChange);
}

fn a_del_killed_anywhere_is_finished_by_the_peers() {
    sweep(
        "hldelpeer",
        Steps { heal: next_pod_then_peers_del, ..Steps::DEL_THEN_DEL },
        At::EveryChange,
    );
}

fn an_add_killed_anywhere_is_undone_by_gc() {
    sweep("hlgc", Steps { heal: gc_of_all_but_the_others, ..Steps::ADD_THEN_GC }, At::EveryChange);
}

/// Two containers that have their addresses all the while.
const OTHERS: [&str; 2] = ["other-1", "other-2"];

fn sweep(test: &str, steps: Steps, at: At) {
    let folder =
        Folder::new(&json!([[{ "subnet": "10.9.0.0/28" }], [{ "subnet": "fd00:9::/64" }]]));
    add(&folder.ours, OTHERS[0]);
    add(&folder.peers, OTHERS[1]);
    let before = folder.addresses();
    let verify = |place: &str| {
        assert_eq!(folder.addresses(), before, "{place}");
        let beside = [".linkspan-index", "last_reserved_ip.0", "last_reserved_ip.1", "lock"];
        let names = folder.names().into_iter().filter(|name| !before.contains(name));
        assert_eq!(names.collect::<Vec<_>>(), beside, "{place}");
    };
    let pod = Pod::new(test, "pod");
    let kills = Sweep { steps, verify: &verify, at }.run(&folder.ours, &pod);
    let expected = if at == At::EveryCall { 50 } else { 4 };
    assert!(kills > expected, "{test} has killed {kills} times only");
}

/// Attaches and detaches another pod, whose addresses must be nobody's, and then detaches the killed one.
fn next_pod_then_del(network: &Network, pod: &Pod) {
    next_pod(network);
    network.del(pod, "net1");
}

fn next_pod_then_peers_del(network: &Network, pod: &Pod) {
    let peers = network.served_by(Path::new(PEER));
    next_pod(&peers);
    peers.del(pod, "net1");
    // The index is made anew, and the draft goes.
    del(network, "nobody");
}

fn next_pod(network: &Network) {
    let data_dir = network.config["ipam"]["dataDir"].as_str().unwrap();
    let folder = Path::new(data_dir).join("net");
    let names = || -> Vec<String> {
        let entries = fs::read_dir(&folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let before = names();
    for address in add(network, "next") {
        assert!(!before.contains(&address), "{address} is given twice");
    }
    del(network, "next");
}

fn lose_index(network: &Network, _: &Pod) {
    let data_dir = network.config["ipam"]["dataDir"].as_str().unwrap();
    let _ = fs::remove_file(Path::new(data_dir).join("net/.linkspan-index"));
}

fn gc_of_all_but_the_others(network: &Network, _: &Pod) {
    let valid = OTHERS.map(|container| json!({ "containerID": container, "ifname": "net1" }));
    let network =
        network.with("cniVersion", "1.1.0").with("cni.dev/valid-attachments", json!(valid));
    let reply = network.call("GC", &[]);
    assert!(reply.success, "{reply:#?}");
}
