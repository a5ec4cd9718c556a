//! What neighbours hear of a new address.

use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{FAR, Lan, PARENT, address_of, host_local};
use linkspan_tests::wire::Listener;
use serde_json::json;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("tcpdump")];
        a_macvlan_address_is_announced,
        a_macvtap_address_is_announced,
        an_ipv6_address_is_reached_while_the_kernel_looks_for_a_duplicate,
        an_address_that_a_host_has_is_refused_if_asked_for,
    ]
}

fn a_macvlan_address_is_announced() {
    announced("wiremacvlan", "macvlan");
}

fn a_macvtap_address_is_announced() {
    announced("wiremacvtap", "macvtap");
}

fn announced(test: &str, kind: &str) {
    let lan = Lan::new(test);
    let data = tempfile::tempdir().unwrap();
    let network = lan.network(json!({
        "type": "linkspan", "kind": kind, "parent": PARENT,
        "ipam": host_local(&data, &["10.107.0.0/24", "fd00:107::/64"]),
    }));
    let listener = Listener::on(&lan.neighbour, FAR);
    let pod = lan.pod("pod");
    let result = network.add(&pod, "net1");
    let mac = result["interfaces"][0]["mac"].as_str().unwrap();
    listener.wait_for_announcement("10.107.0.2", mac);
    listener.wait_for_announcement("fd00:107::2", mac);
    network.del(&pod, "net1");
}

fn an_ipv6_address_is_reached_while_the_kernel_looks_for_a_duplicate() {
    let lan = Lan::new("wiredad");
    lan.neighbour.run("ip", &["address", "add", "fd00:109::fe/64", "dev", FAR, "nodad"]);
    let data = tempfile::tempdir().unwrap();
    let network = lan.network(json!({
        "type": "linkspan", "kind": "macvlan", "parent": PARENT,
        "ipam": host_local(&data, &["fd00:109::/64"]),
    }));
    let pod = lan.pod("pod");
    pod.look_for_duplicates_for_long();
    let result = network.add(&pod, "net1");
    assert!(lan.neighbour.pings(&address_of(&result, 0), 20));
    assert!(pod.run("ip", &["address", "show", "net1"]).contains("optimistic tentative"));
    network.del(&pod, "net1");
}

fn an_address_that_a_host_has_is_refused_if_asked_for() {
    let lan = Lan::new("wireprobe");
    lan.neighbour.run("ip", &["address", "add", "10.108.0.2/24", "dev", FAR]);
    let data = tempfile::tempdir().unwrap();
    let network = lan.network(json!({
        "type": "linkspan", "kind": "macvlan", "parent": PARENT, "arpProbe": true,
        "ipam": host_local(&data, &["10.108.0.0/24"]),
    }));
    let pod = lan.pod("pod");
    let reply = network.try_add(&pod, "net1");
    assert_eq!(reply.code(), Some(104), "{reply:#?}");
    let mac = lan.neighbour.link(FAR)["address"].as_str().unwrap().to_owned();
    assert!(reply.msg().contains("10.108.0.2") && reply.msg().contains(&mac), "{reply:#?}");
    assert!(!pod.run("ip", &["link"]).contains("net1"));
    // The next address, which nobody has.
    let result = network.add(&pod, "net1");
    assert_eq!(result["ips"][0]["address"], "10.108.0.3/24");
    network.del(&pod, "net1");
}
