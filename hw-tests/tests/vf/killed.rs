//! The plugin killed before each of the system calls by which it changes anything: DEL puts the node right.

use linkspan_hw_tests::show;
use linkspan_tests::bed::BedPf;
use linkspan_tests::cases;
use linkspan_tests::cni::Network;
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

/// Kills the plugin as it enters its `n`-th call of this name; false if it never came so far.
fn run_killed(
    network: &Network,
    verb: fn(&Network, &Pod) -> bool,
    pod: &Pod,
    call: &str,
    n: u32,
) -> bool {
    let inject = format!("inject={call}:signal=KILL:when={n}");
    let trace = format!("trace={call}");
    let killed = network.run_by(&["strace", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject]);
    !verb(&killed, pod)
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
    let pf = BedPf::nth(0);
    let before = show(&pf);
    let data = tempfile::tempdir().unwrap();
    let network = network(&pf, &data);
    let mut kills = 0;
    for call in CHANGING {
        for n in 1.. {
            let pod = Pod::new("killadd", "pod");
            let add = |network: &Network, pod: &Pod| network.try_add(pod, "net1").success;
            let was_killed = run_killed(&network, add, &pod, call, n);
            network.del(&pod, "net1");
            assert_eq!(show(&pf), before, "ADD killed before {call} number {n}");
            assert_eq!(reservations(&data), [""; 0], "ADD killed before {call} number {n}");
            assert_eq!(journal(), [""; 0], "ADD killed before {call} number {n}");
            if !was_killed {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 15, "the sweep has killed {kills} times only");
}

fn a_del_killed_anywhere_is_finished_by_the_next() {
    let pf = BedPf::nth(0);
    let before = show(&pf);
    let data = tempfile::tempdir().unwrap();
    let network = network(&pf, &data);
    let mut kills = 0;
    for call in CHANGING {
        for n in 1.. {
            let pod = Pod::new("killdel", "pod");
            network.add(&pod, "net1");
            let del = |network: &Network, pod: &Pod| network.try_del(pod, "net1").success;
            let was_killed = run_killed(&network, del, &pod, call, n);
            network.del(&pod, "net1");
            assert_eq!(show(&pf), before, "DEL killed before {call} number {n}");
            assert_eq!(reservations(&data), [""; 0], "DEL killed before {call} number {n}");
            assert_eq!(journal(), [""; 0], "DEL killed before {call} number {n}");
            if !was_killed {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 5, "the sweep has killed {kills} times only");
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
