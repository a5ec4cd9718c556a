//! An ADD or a DEL that is killed leaves no lease that DEL or GC does not give back.

use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::killed::{At, Steps, Sweep};
use serde_json::json;

use crate::Served;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq"), Need::Tool("strace")];
        a_leased_add_killed_before_any_change_is_undone_by_del,
        a_leased_add_killed_before_any_change_is_undone_by_gc,
        a_leased_del_killed_before_any_change_is_finished_by_the_next,
    ]
}

/// Sweeps, and sees that it was killed at least so often.
fn sweep(test: &str, steps: Steps, least: usize) {
    let served = Served::new(test, &[]);
    let network = served.network(&json!({ "probe": "never" }));
    let pod = served.lan.pod("pod");
    let show = || {
        (served.lan.shown(), served.daemon.leases_on_disk().len(), pod.run("ip", &["-j", "link"]))
    };
    let before = show();
    let verify = |place: &str| {
        assert_eq!(show(), before, "{place}");
        served.server.wait_for_no_lease();
    };
    let kills = Sweep { steps, verify: &verify, at: At::EveryChange }.run(&network, &pod);
    assert!(kills >= least, "{kills}");
}

fn a_leased_add_killed_before_any_change_is_undone_by_del() {
    sweep("dhcpkilladd", Steps::ADD_THEN_DEL, 10);
}

fn a_leased_add_killed_before_any_change_is_undone_by_gc() {
    sweep("dhcpkillgc", Steps::ADD_THEN_GC, 10);
}

fn a_leased_del_killed_before_any_change_is_finished_by_the_next() {
    sweep("dhcpkilldel", Steps::DEL_THEN_DEL, 3);
}
