//! ipvlan: each mode and flag, addresses, and what neighbours hear of them.

use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{FAR, Lan, PARENT, address_of, host_local};
use linkspan_tests::wire::Listener;
use serde_json::{Value, json};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        an_ipvlan_link_of_each_mode_and_flag_comes_and_goes,
        an_ipvlan_address_is_announced_and_reached,
        ipvlan_takes_the_addresses_of_the_plugins_before_it,
        macvlan_and_ipvlan_on_one_parent_are_refused_in_plain_words,
    ]
}

fn an_ipvlan_link_of_each_mode_and_flag_comes_and_goes() {
    let lan = Lan::new("ipmodes");
    let before = lan.shown();
    let pod = lan.pod("pod");
    for mode in ["l2", "l3", "l3s"] {
        for flag in ["bridge", "private", "vepa"] {
            let network = lan.network(json!({
                "type": "linkspan", "kind": "ipvlan", "parent": PARENT, "mode": mode, "flag": flag,
                "mtu": 1400,
            }));
            let result = network.add(&pod, "net1");
            let shown: Value =
                serde_json::from_str(&pod.run("ip", &["-j", "-d", "link", "show", "net1"]))
                    .unwrap();
            let info = &shown[0]["linkinfo"];
            let data = &info["info_data"];
            assert_eq!((&info["info_kind"], &data["mode"]), (&json!("ipvlan"), &json!(mode)));
            assert_eq!(data[flag], json!(true), "{flag} in {shown}");
            assert_eq!(
                (&result["interfaces"][0]["mtu"], &shown[0]["mtu"]),
                (&json!(1400), &json!(1400))
            );
            assert_eq!(result["interfaces"][0]["mac"], lan.host.link(PARENT)["address"]);
            network.del(&pod, "net1");
            assert_eq!(lan.shown(), before, "{mode} {flag}");
        }
    }
}

fn an_ipvlan_address_is_announced_and_reached() {
    let lan = Lan::new("ipwire");
    let data = tempfile::tempdir().unwrap();
    lan.neighbour.run("ip", &["address", "add", "10.121.0.254/24", "dev", FAR]);
    let network = lan.network(json!({
        "type": "linkspan", "kind": "ipvlan", "parent": PARENT,
        "ipam": host_local(&data, &["10.121.0.0/24", "fd00:121::/64"]),
    }));
    let listener = Listener::on(&lan.neighbour, FAR);
    let pod = lan.pod("pod");
    let result = network.add(&pod, "net1");
    let mac = result["interfaces"][0]["mac"].as_str().unwrap();
    listener.wait_for_announcement("10.121.0.2", mac);
    listener.wait_for_announcement("fd00:121::2", mac);
    assert!(lan.neighbour.pings(&address_of(&result, 0), 20));
    network.del(&pod, "net1");
}

fn ipvlan_takes_the_addresses_of_the_plugins_before_it() {
    let lan = Lan::new("ipchain");
    let pod = lan.pod("pod");
    let before = json!({
        "cniVersion": "1.0.0", "ips": [{ "address": "10.122.0.7/24" }],
        "routes": [{ "dst": "10.123.0.0/16", "gw": "10.122.0.1" }],
    });
    let network = lan.network(json!({
        "cniVersion": "1.0.0", "type": "ipvlan", "master": PARENT, "prevResult": before,
    }));
    let result = network.add(&pod, "net1");
    assert!(pod.run("ip", &["address", "show", "net1"]).contains("10.122.0.7/24"));
    assert!(pod.run("ip", &["route"]).contains("10.123.0.0/16 via 10.122.0.1"));
    assert_eq!(result["ips"].as_array().unwrap().len(), 1, "it is one address: {result}");
    assert_eq!(result["ips"][0]["interface"], 0);
    network.del(&pod, "net1");
}

fn macvlan_and_ipvlan_on_one_parent_are_refused_in_plain_words() {
    let lan = Lan::new("ipmac");
    let [first, second] = ["first", "second"].map(|name| lan.pod(name));
    let network = lan.network(json!({ "type": "linkspan", "kind": "ipvlan", "parent": PARENT }));
    network.add(&first, "net1");
    let before = lan.shown();
    let reply = network.with("kind", "macvlan").try_add(&second, "net1");
    assert_eq!(reply.code(), Some(100), "{reply:#?}");
    assert!(reply.json["details"].as_str().unwrap().contains("can't share a parent"), "{reply:#?}");
    assert_eq!(lan.shown(), before);
    network.del(&first, "net1");
}
