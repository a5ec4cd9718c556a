//! The plugin killed before each of the system calls by which it changes anything: DEL puts the node right.

use linkspan_hw_tests::show;
use linkspan_tests::bed::BedPf;
use linkspan_tests::cases;
use linkspan_tests::cni::{Network, Reply};
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::Pod;
use serde_json::json;

use crate::host_local;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(1), Need::Tool("strace")];
        an_add_killed_anywhere_is_undone_by_del,
        a_del_killed_anywhere_is_finished_by_the_next,
        an_add_asks_for_the_vfs_once_and_del_never,
    ]
}

/// The calls that change the kernel or the disk, and the plugin's own exits from a pod's namespace.
const CHANGING: [&str; 6] = ["sendto", "rename", "unlink", "setns", "write", "linkat"];

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

fn reservations(data: &tempfile::TempDir) -> Vec<String> {
    let names = std::fs::read_dir(data.path().join("killed")).into_iter().flatten();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("10.") || name.starts_with("fd00")).collect()
}

/// What is in the plugin's journal, whole or not.
fn journal() -> Vec<String> {
    let names = std::fs::read_dir("/run/linkspan/attachments").into_iter().flatten();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn an_add_killed_anywhere_is_undone_by_del() {
    let kills = sweep("killadd", |_, _| (), |killed, pod| killed.try_add(pod, "net1"));
    assert!(kills > 15, "the sweep has killed {kills} times only");
}

fn a_del_killed_anywhere_is_finished_by_the_next() {
    let attach = |network: &Network, pod: &Pod| drop(network.add(pod, "net1"));
    let kills = sweep("killdel", attach, |killed, pod| killed.try_del(pod, "net1"));
    assert!(kills > 5, "the sweep has killed {kills} times only");
}

/// Makes the call, its plugin killed as it enters each of its changing system calls in turn, and has DEL put
/// the node right each time. Returns how often the plugin was killed.
fn sweep(test: &str, first: fn(&Network, &Pod), call: fn(&Network, &Pod) -> Reply) -> u32 {
    let pf = BedPf::nth(0);
    let before = show(&pf);
    let data = tempfile::tempdir().unwrap();
    let network = network(&pf, &data);
    let mut kills = 0;
    for name in CHANGING {
        for n in 1.. {
            let pod = Pod::new(test, "pod");
            first(&network, &pod);
            let (trace, inject) =
                (format!("trace={name}"), format!("inject={name}:signal=KILL:when={n}"));
            let strace = ["strace", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let reply = call(&network.run_by(&strace), &pod);
            network.del(&pod, "net1");
            assert_eq!(show(&pf), before, "killed before {name} number {n}");
            assert_eq!(reservations(&data), [""; 0], "killed before {name} number {n}");
            assert_eq!(journal(), [""; 0], "killed before {name} number {n}");
            // strace dies of what its tracee died of.
            if !reply.status.contains("SIGKILL") {
                assert!(reply.success, "there is no {name} number {n} to be killed at: {reply:#?}");
                break;
            }
            kills += 1;
        }
    }
    kills
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
