//! Recorded calls of Multus for ipvlan, replayed on the real plugin.

use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{Lan, PARENT, reservations};
use linkspan_tests::multus::Story;
use serde_json::json;
use tempfile::TempDir;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root]; a_pod_that_asks_multus_for_an_ipvlan_address]
}

fn a_pod_that_asks_multus_for_an_ipvlan_address() {
    let (lan, data) = (Lan::new("multusip"), TempDir::new().unwrap());
    let before = lan.shown();
    let (network, pod) = (lan.network(json!({})).called_as("ipvlan"), lan.pod("pod"));
    let names =
        [("NAME", json!("multusip")), ("PARENT", json!(PARENT)), ("DATA", json!(data.path()))];
    let mut story = Story::read("ipvlan-1.0.0", &network, &pod, &names);
    let result = story.until("ADD");
    assert_eq!(result["interfaces"][0]["mac"], lan.host.link(PARENT)["address"]);
    assert_eq!(reservations(&data, "multusip"), ["10.165.0.7"]);
    story.to_the_end();
    assert_eq!((lan.shown(), reservations(&data, "multusip").len()), (before, 0));
}
