//! An ADD or a DEL that is killed anywhere leaves nothing that the next DEL, or GC, does not put right.

use linkspan_tests::cases;
use linkspan_tests::cni::{Network, Reply};
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::killed::{At, Sweep};
use linkspan_tests::lan::{Lan, PARENT, host_local, reservations};
use linkspan_tests::pods::Pod;
use serde_json::json;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("strace")];
        a_macvlan_add_killed_before_any_system_call_is_undone_by_del,
        a_macvlan_add_killed_before_any_change_is_undone_by_gc,
        a_macvlan_del_killed_before_any_system_call_is_finished_by_the_next,
        a_macvlan_del_killed_before_any_change_is_finished_by_gc,
        a_macvtap_add_killed_before_any_change_is_undone_by_del,
        a_macvtap_add_killed_before_any_change_is_undone_by_gc,
        a_macvtap_del_killed_before_any_change_is_finished_by_the_next,
    ]
}

fn add(network: &Network, pod: &Pod) -> Reply {
    network.try_add(pod, "net1")
}

fn del(network: &Network, pod: &Pod) -> Reply {
    network.try_del(pod, "net1")
}

fn attach(network: &Network, pod: &Pod) {
    network.add(pod, "net1");
}

fn nothing(_: &Network, _: &Pod) {}

fn detach(network: &Network, pod: &Pod) {
    network.del(pod, "net1");
}

fn collect(network: &Network, _: &Pod) {
    let reply = network.with("cni.dev/valid-attachments", json!([])).call("GC", &[]);
    assert!(reply.success, "{reply:#?}");
}

type Step = fn(&Network, &Pod);

fn sweep(
    test: &str,
    kind: &str,
    first: Step,
    call: fn(&Network, &Pod) -> Reply,
    heal: Step,
    at: At,
) -> usize {
    let lan = Lan::new(test);
    let data = tempfile::tempdir().unwrap();
    let network = lan.network(json!({
        "type": "linkspan", "kind": kind, "parent": PARENT, "mtu": 1400,
        "ipam": host_local(&data, &["10.112.0.0/24", "fd00:112::/64"]),
    }));
    let pod = lan.pod("pod");
    let show = || (lan.shown(), reservations(&data, test), pod.run("ip", &["-j", "link"]));
    let before = show();
    let verify = |place: &str| assert_eq!(show(), before, "{place}");
    Sweep { call, first, heal, verify: &verify, at }.run(&network, &pod)
}

fn a_macvlan_add_killed_before_any_system_call_is_undone_by_del() {
    let kills = sweep("killa", "macvlan", nothing, add, detach, At::EveryCall);
    assert!(kills > 60, "the sweep has killed {kills} times only");
}

fn a_macvlan_add_killed_before_any_change_is_undone_by_gc() {
    let kills = sweep("killb", "macvlan", nothing, add, collect, At::EveryChange);
    assert!(kills > 20, "the sweep has killed {kills} times only");
}

fn a_macvlan_del_killed_before_any_system_call_is_finished_by_the_next() {
    let kills = sweep("killc", "macvlan", attach, del, detach, At::EveryCall);
    assert!(kills > 40, "the sweep has killed {kills} times only");
}

fn a_macvlan_del_killed_before_any_change_is_finished_by_gc() {
    let kills = sweep("killd", "macvlan", attach, del, collect, At::EveryChange);
    assert!(kills > 10, "the sweep has killed {kills} times only");
}

fn a_macvtap_add_killed_before_any_change_is_undone_by_del() {
    let kills = sweep("kille", "macvtap", nothing, add, detach, At::EveryChange);
    assert!(kills > 20, "the sweep has killed {kills} times only");
}

fn a_macvtap_add_killed_before_any_change_is_undone_by_gc() {
    let kills = sweep("killf", "macvtap", nothing, add, collect, At::EveryChange);
    assert!(kills > 20, "the sweep has killed {kills} times only");
}

fn a_macvtap_del_killed_before_any_change_is_finished_by_the_next() {
    let kills = sweep("killg", "macvtap", attach, del, detach, At::EveryChange);
    assert!(kills > 10, "the sweep has killed {kills} times only");
}
