//! As `children`'s sweeps, for ipvlan links on a shared VLAN: everything that the bed's kernel has and others
//! have not.

use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::killed::{At, Steps, sweep};
use serde_json::json;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("strace")];
        an_ipvlan_add_on_a_vlan_killed_before_any_change_is_undone_by_del,
        an_ipvlan_add_on_a_vlan_killed_before_any_change_is_undone_by_gc,
        an_ipvlan_del_on_a_vlan_killed_before_any_change_is_finished_by_the_next,
        an_ipvlan_del_on_a_vlan_killed_before_any_change_is_finished_by_gc,
    ]
}

fn kills(test: &str, steps: Steps) -> usize {
    sweep(test, json!({ "kind": "ipvlan", "vlan": 100 }), steps, At::EveryChange)
}

fn an_ipvlan_add_on_a_vlan_killed_before_any_change_is_undone_by_del() {
    let kills = kills("ipkilla", Steps::ADD_THEN_DEL);
    assert!(kills > 20, "the sweep has killed {kills} times only");
}

fn an_ipvlan_add_on_a_vlan_killed_before_any_change_is_undone_by_gc() {
    let kills = kills("ipkillb", Steps::ADD_THEN_GC);
    assert!(kills > 20, "the sweep has killed {kills} times only");
}

fn an_ipvlan_del_on_a_vlan_killed_before_any_change_is_finished_by_the_next() {
    let kills = kills("ipkillc", Steps::DEL_THEN_DEL);
    assert!(kills > 5, "the sweep has killed {kills} times only");
}

fn an_ipvlan_del_on_a_vlan_killed_before_any_change_is_finished_by_gc() {
    let kills = kills("ipkilld", Steps::DEL_THEN_GC);
    assert!(kills > 5, "the sweep has killed {kills} times only");
}
