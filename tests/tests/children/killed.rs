//! An ADD or a DEL that is killed anywhere leaves nothing that the next DEL, or GC, does not put right.

use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::killed::{At, Steps, sweep, sweep_prepared};
use linkspan_tests::lan::{Lan, PARENT};
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
        a_refused_add_killed_before_any_system_call_leaves_the_link_that_has_the_name,
        a_refused_add_killed_before_any_change_leaves_it_to_gc_too,
        a_second_add_killed_before_any_system_call_is_undone_with_the_first_by_del,
        a_second_add_killed_before_any_change_is_undone_with_the_first_by_gc,
    ]
}

fn kills(test: &str, kind: &str, steps: Steps, at: At) -> usize {
    sweep(test, json!({ "kind": kind }), steps, at)
}

fn a_macvlan_add_killed_before_any_system_call_is_undone_by_del() {
    let kills = kills("killa", "macvlan", Steps::ADD_THEN_DEL, At::EveryCall);
    assert!(kills > 60, "the sweep has killed {kills} times only");
}

fn a_macvlan_add_killed_before_any_change_is_undone_by_gc() {
    let kills = kills("killb", "macvlan", Steps::ADD_THEN_GC, At::EveryChange);
    assert!(kills > 20, "the sweep has killed {kills} times only");
}

fn a_macvlan_del_killed_before_any_system_call_is_finished_by_the_next() {
    let kills = kills("killc", "macvlan", Steps::DEL_THEN_DEL, At::EveryCall);
    assert!(kills > 40, "the sweep has killed {kills} times only");
}

fn a_macvlan_del_killed_before_any_change_is_finished_by_gc() {
    let kills = kills("killd", "macvlan", Steps::DEL_THEN_GC, At::EveryChange);
    assert!(kills > 4, "the sweep has killed {kills} times only");
}

fn a_macvtap_add_killed_before_any_change_is_undone_by_del() {
    let kills = kills("kille", "macvtap", Steps::ADD_THEN_DEL, At::EveryChange);
    assert!(kills > 20, "the sweep has killed {kills} times only");
}

fn a_macvtap_add_killed_before_any_change_is_undone_by_gc() {
    let kills = kills("killf", "macvtap", Steps::ADD_THEN_GC, At::EveryChange);
    assert!(kills > 20, "the sweep has killed {kills} times only");
}

fn a_macvtap_del_killed_before_any_change_is_finished_by_the_next() {
    let kills = kills("killg", "macvtap", Steps::DEL_THEN_DEL, At::EveryChange);
    assert!(kills > 4, "the sweep has killed {kills} times only");
}

/// A link that is like ours in all but that somebody else has made it.
fn take_the_name(lan: &Lan, pod: &Pod) {
    let link = ["link", "add", "net1", "link", PARENT, "netns", pod.name()];
    lan.host.run("ip", &[&link[..], &["type", "macvlan", "mode", "bridge"]].concat());
}

fn a_refused_add_killed_before_any_system_call_leaves_the_link_that_has_the_name() {
    let (keys, steps) = (json!({ "kind": "macvlan" }), Steps::REFUSED_THEN_DEL);
    let kills = sweep_prepared("killh", keys, steps, At::EveryCall, take_the_name);
    assert!(kills > 40, "the sweep has killed {kills} times only");
}

fn a_refused_add_killed_before_any_change_leaves_it_to_gc_too() {
    let (keys, steps) = (json!({ "kind": "macvlan" }), Steps::REFUSED_THEN_GC);
    let kills = sweep_prepared("killi", keys, steps, At::EveryChange, take_the_name);
    assert!(kills > 4, "the sweep has killed {kills} times only");
}

fn a_second_add_killed_before_any_system_call_is_undone_with_the_first_by_del() {
    let kills = kills("killj", "macvlan", Steps::SECOND_ADD_THEN_DEL, At::EveryCall);
    assert!(kills > 30, "the sweep has killed {kills} times only");
}

fn a_second_add_killed_before_any_change_is_undone_with_the_first_by_gc() {
    let kills = kills("killk", "macvtap", Steps::SECOND_ADD_THEN_GC, At::EveryChange);
    assert!(kills > 3, "the sweep has killed {kills} times only");
}
