//! An ADD or a DEL that is killed anywhere leaves nothing that the next DEL, or GC, does not put right.

use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::killed::{At, Steps, sweep};
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
