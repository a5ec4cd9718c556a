//! What a macvlan network asks for is what the pod has, and nothing of it stays behind.

use std::time::Duration;

use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{Lan, PARENT, address_of, host_local, reservations};
use linkspan_tests::wait;
use serde_json::{Value, json};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        a_link_of_each_mode_comes_and_goes,
        addresses_and_routes_are_set_and_told,
        the_mtu_is_the_parents_or_smaller,
        the_mac_comes_from_the_runtime_first,
        a_mac_made_of_the_address_is_the_same_everywhere,
        the_parent_may_be_the_default_routes_or_in_the_pod,
        a_name_that_is_taken_is_left_alone,
        a_link_that_the_pod_has_changed_goes_all_the_same,
        a_record_of_an_earlier_version_is_enough,
        a_failed_add_leaves_nothing,
        a_del_needs_neither_namespace_nor_parent_nor_record,
        results_are_chained,
    ]
}

fn macvlan(keys: &Value) -> Value {
    let mut config = json!({ "type": "linkspan", "kind": "macvlan", "parent": PARENT });
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    config
}

fn a_link_of_each_mode_comes_and_goes() {
    let lan = Lan::new("modes");
    let before = lan.shown();
    let network = lan.network(macvlan(&json!({})));
    for mode in ["bridge", "private", "vepa", "passthru", "source"] {
        let pod = lan.pod("pod");
        let mut network = network.with("mode", mode).with("bcqueuelen", 2000);
        if mode == "source" {
            network = network.with("sourceMacs", json!(["02:00:00:00:00:11", "02:00:00:00:00:12"]));
        }
        let result = network.add(&pod, "net1");
        let shown: Value =
            serde_json::from_str(&pod.run("ip", &["-j", "-d", "link", "show", "net1"])).unwrap();
        let info = &shown[0]["linkinfo"]["info_data"];
        assert_eq!(info["mode"], mode);
        assert_eq!(info["bcqueuelen"], 2000);
        if mode == "source" {
            assert_eq!(info["macaddr_count"], 2, "{shown}");
        }
        assert_eq!(result["interfaces"][0]["mac"], shown[0]["address"]);
        assert_eq!(result["interfaces"][0]["mtu"], shown[0]["mtu"]);
        assert!(shown[0]["flags"].as_array().unwrap().contains(&json!("UP")));
        for times in ["once", "twice"] {
            network.del(&pod, "net1");
            assert_eq!(lan.shown(), before, "{mode}, after DEL, {times}");
        }
    }
}

fn addresses_and_routes_are_set_and_told() {
    let lan = Lan::new("addresses");
    let data = tempfile::tempdir().unwrap();
    let mut ipam = host_local(&data, &["10.91.0.0/24", "fd00:91::/64"]);
    ipam["routes"] = json!([
        { "dst": "0.0.0.0/0" },
        { "dst": "10.92.0.0/16", "gw": "10.91.0.254", "mtu": 1300, "advmss": 1200, "priority": 77,
          "table": 1234 },
        { "dst": "10.93.0.0/16", "scope": 253 },
        { "dst": "fd00:92::/64", "priority": 50 },
    ]);
    let network =
        lan.network(macvlan(&json!({ "ipam": ipam, "dns": { "nameservers": ["10.91.0.9"] } })));
    let pod = lan.pod("pod");
    let result = network.add(&pod, "net1");
    assert_eq!(address_of(&result, 0), "10.91.0.2");
    assert_eq!(address_of(&result, 1), "fd00:91::2");
    assert_eq!(result["ips"][1]["interface"], 0);
    assert_eq!(result["dns"]["nameservers"], json!(["10.91.0.9"]));
    assert_eq!(result["interfaces"][0]["sandbox"], pod.netns().to_string_lossy().as_ref());

    let link = pod.link("net1");
    let local: Vec<&Value> =
        link["addr_info"].as_array().unwrap().iter().map(|info| &info["local"]).collect();
    assert!(
        local.contains(&&json!("10.91.0.2")) && local.contains(&&json!("fd00:91::2")),
        "{link}"
    );
    let routes = |arguments: &[&str]| {
        pod.run("ip", &[arguments, &["route", "show", "dev", "net1"]].concat())
    };
    assert!(routes(&[]).contains("default via 10.91.0.1"), "{}", routes(&[]));
    let table = pod.run("ip", &["route", "show", "table", "1234"]);
    for part in ["10.92.0.0/16 via 10.91.0.254", "metric 77", "mtu 1300", "advmss 1200"] {
        assert!(table.contains(part), "{part} in {table}");
    }
    let v6 = routes(&["-6"]);
    assert!(v6.contains("fd00:92::/64 via fd00:91::1 ") && v6.contains("metric 50"), "{v6}");
    network.del(&pod, "net1");
    assert_eq!(reservations(&data, "addresses"), [""; 0]);
}

fn the_mtu_is_the_parents_or_smaller() {
    let lan = Lan::new("mtu");
    lan.host.run("ip", &["link", "set", PARENT, "mtu", "9000"]);
    let before = lan.shown();
    let network = lan.network(macvlan(&json!({})));
    for (mtu, expected) in [(0, 9000), (1400, 1400)] {
        let pod = lan.pod("pod");
        let result = network.with("mtu", mtu).add(&pod, "net1");
        assert_eq!(pod.link("net1")["mtu"], expected);
        assert_eq!(result["interfaces"][0]["mtu"], expected);
        network.del(&pod, "net1");
    }
    let reply = network.with("mtu", 9001).try_add(&lan.pod("pod"), "net1");
    let message = "`mtu` is 9001, expected at most that of the parent par0, which is 9000";
    assert_eq!((reply.code(), reply.msg()), (Some(7), message));
    assert_eq!(lan.shown(), before);
}

fn the_mac_comes_from_the_runtime_first() {
    let lan = Lan::new("mac");
    let mut network = lan.network(macvlan(&json!({ "mac": "02:00:00:00:0c:01" })));
    let mac_of = |network: &linkspan_tests::cni::Network| {
        let pod = lan.pod("pod");
        let result = network.add(&pod, "net1");
        let mac = pod.link("net1")["address"].clone();
        assert_eq!(result["interfaces"][0]["mac"], mac);
        network.del(&pod, "net1");
        mac
    };
    assert_eq!(mac_of(&network), "02:00:00:00:0c:01");
    network.args = "MAC=02:00:00:00:0c:02".into();
    assert_eq!(mac_of(&network), "02:00:00:00:0c:02");
    let runtime = network.with("runtimeConfig", json!({ "mac": "02:00:00:00:0c:03" }));
    assert_eq!(mac_of(&runtime), "02:00:00:00:0c:03");
    let any = lan.network(macvlan(&json!({})));
    assert_ne!(mac_of(&any), mac_of(&any), "no two pods get the same by chance");
}

fn a_mac_made_of_the_address_is_the_same_everywhere() {
    let lan = Lan::new("macip");
    let before = lan.shown();
    let data = tempfile::tempdir().unwrap();
    let ipam = host_local(&data, &["10.94.0.0/24"]);
    let network = lan.network(macvlan(&json!({ "macFrom": "ip", "ipam": ipam })));
    let pod = lan.pod("pod");
    let result = network.add(&pod, "net1");
    assert_eq!(address_of(&result, 0), "10.94.0.2");
    assert_eq!(pod.link("net1")["address"], "02:4c:0a:5e:00:02");
    network.del(&pod, "net1");
    assert_eq!((lan.shown(), reservations(&data, "macip").len()), (before, 0));
}

fn the_parent_may_be_the_default_routes_or_in_the_pod() {
    let lan = Lan::new("parent");
    let network = lan.network(json!({ "type": "linkspan", "kind": "macvlan" }));
    let reply = network.try_add(&lan.pod("pod"), "net1");
    let message = "no parent is named, and there is no default route whose link could be it";
    assert_eq!((reply.code(), reply.msg()), (Some(7), message));

    lan.host.run("ip", &["address", "add", "10.95.0.1/24", "dev", PARENT]);
    lan.host.run("ip", &["route", "add", "default", "via", "10.95.0.254"]);
    let pod = lan.pod("pod");
    network.add(&pod, "net1");
    let index = lan.host.link(PARENT)["ifindex"].clone();
    assert_eq!(pod.link("net1")["link_index"], index);
    network.del(&pod, "net1");

    let inside = lan.network(macvlan(&json!({ "linkInContainer": true, "parent": "eth0" })));
    pod.run("ip", &["link", "add", "eth0", "type", "veth", "peer", "name", "eth1"]);
    inside.add(&pod, "net1");
    assert_eq!(pod.link("net1")["link"], "eth0");
    inside.del(&pod, "net1");
    assert!(!pod.run("ip", &["link"]).contains("net1"));
}

fn a_name_that_is_taken_is_left_alone() {
    let lan = Lan::new("taken");
    let network = lan.network(macvlan(&json!({})));
    let pod = lan.pod("pod");
    pod.run("ip", &["link", "add", "net1", "type", "veth", "peer", "name", "other"]);
    let before = pod.link("net1");
    let reply = network.try_add(&pod, "net1");
    let message = "CNI_IFNAME is net1, but the pod has an interface of this name already";
    assert_eq!((reply.code(), reply.msg()), (Some(4), message));
    network.del(&pod, "net1");
    assert_eq!(pod.link("net1"), before, "it is not ours to be removed");

    network.add(&pod, "net2");
    let (link, records) = (pod.link("net2"), lan.records());
    assert_eq!(network.try_add(&pod, "net2").code(), Some(4), "ADD twice");
    let now = (pod.link("net2"), lan.records());
    assert_eq!(now, (link, records), "what the first ADD made is still there");
    pod.run("ip", &["link", "set", "net2", "down", "name", "net3"]);
    network.add(&pod, "net2");
    assert!(!pod.run("ip", &["link"]).contains("net3"), "of two ADDs there is one link");
    assert_eq!(lan.records().len(), 1);
    network.del(&pod, "net2");
}

fn a_link_that_the_pod_has_changed_goes_all_the_same() {
    let lan = Lan::new("changed");
    let before = lan.shown();
    let network = lan.network(macvlan(&json!({})));
    let pod = lan.pod("pod");
    let links = pod.run("ip", &["-j", "link"]);
    for changes in [&["address", "02:00:00:00:00:99"][..], &["name", "net9"]] {
        network.add(&pod, "net1");
        pod.run("ip", &[&["link", "set", "net1", "down"], changes].concat());
        network.del(&pod, "net1");
        assert_eq!(pod.run("ip", &["-j", "link"]), links, "{changes:?}");
        assert_eq!(lan.shown(), before, "{changes:?}");
    }
}

/// Whose ADD has left the index to the kernel.
fn a_record_of_an_earlier_version_is_enough() {
    let lan = Lan::new("earlier");
    let before = lan.shown();
    let network = lan.network(macvlan(&json!({})));
    let pod = lan.pod("pod");
    network.add(&pod, "net1");
    let path = format!("/run/linkspan/attachments/{}", lan.records()[0]);
    let mut record: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert!(record["link"]["child"].as_object_mut().unwrap().remove("index").is_some());
    std::fs::write(&path, record.to_string()).unwrap();
    network.del(&pod, "net1");
    assert!(!pod.run("ip", &["link"]).contains("net1"));
    assert_eq!(lan.shown(), before);
}

fn a_failed_add_leaves_nothing() {
    let lan = Lan::new("failed");
    let before = lan.shown();
    let data = tempfile::tempdir().unwrap();
    let pod = lan.pod("pod");
    let links = pod.run("ip", &["-j", "link"]);
    // The link is there and the address reserved when the kernel refuses this gateway.
    let mut ipam = host_local(&data, &["10.96.0.0/24"]);
    ipam["routes"] = json!([{ "dst": "10.97.0.0/16", "gw": "10.98.0.1" }]);
    let reply = lan.network(macvlan(&json!({ "ipam": ipam }))).try_add(&pod, "net1");
    assert_eq!(reply.code(), Some(100), "{reply:#?}");
    assert!(reply.msg().contains("10.97.0.0/16 via 10.98.0.1"), "{reply:#?}");
    assert_eq!(lan.shown(), before);
    assert_eq!(reservations(&data, "failed"), [""; 0]);
    assert_eq!(pod.run("ip", &["-j", "link"]), links);

    let reply = lan.network(macvlan(&json!({ "parent": "nope0" }))).try_add(&pod, "net1");
    let message = "the parent is nope0, but there is no such link";
    assert_eq!((reply.code(), reply.msg()), (Some(103), message));
}

fn a_del_needs_neither_namespace_nor_parent_nor_record() {
    let lan = Lan::new("gone");
    let before = lan.shown();
    let data = tempfile::tempdir().unwrap();
    let ipam = host_local(&data, &["10.99.0.0/24"]);
    let network = lan.network(macvlan(&json!({ "ipam": ipam })));

    let pod = lan.pod("pod");
    network.add(&pod, "net1");
    pod.delete();
    network.del(&pod, "net1");
    assert_eq!(reservations(&data, "gone"), [""; 0], "the address is free without the namespace");
    assert_eq!(lan.records(), [""; 0]);
    // The kernel removes what was in a dead namespace in its own time.
    let as_before = || (lan.shown() == before).then_some(());
    wait::until("the parent as it was", Duration::from_mins(2), as_before);

    // As a peer would have made it, whose place we took.
    let pod = lan.pod("pod");
    network.add(&pod, "net1");
    let forget = || {
        for record in lan.records() {
            std::fs::remove_file(format!("/run/linkspan/attachments/{record}")).unwrap();
        }
    };
    forget();
    network.with("type", "macvlan").del(&pod, "net1");
    assert!(!pod.run("ip", &["link"]).contains("net1"));
    assert_eq!((lan.shown(), reservations(&data, "gone").len()), (before, 0));
    // By a configuration that no peer reads, none can have made it.
    network.add(&pod, "net1");
    forget();
    network.del(&pod, "net1");
    pod.run("ip", &["link", "delete", "net1"]);

    network.add(&pod, "net1");
    lan.host.run("ip", &["link", "delete", PARENT]);
    network.del(&pod, "net1");
    assert_eq!((lan.records().len(), reservations(&data, "gone").len()), (0, 0));
}

fn results_are_chained() {
    let lan = Lan::new("chained");
    let pod = lan.pod("pod");
    let data = tempfile::tempdir().unwrap();
    let ipam = host_local(&data, &["10.90.0.0/24"]);
    let before = json!({
        "cniVersion": "1.0.0",
        "interfaces": [{ "name": "eth0", "sandbox": "/run/netns/pod" }],
        "ips": [{ "address": "192.0.2.1/24", "interface": 0 }],
        "dns": { "search": ["before"] },
    });
    let network = lan.network(macvlan(&json!({
        "cniVersion": "1.0.0", "ipam": ipam, "prevResult": before,
    })));
    let result = network.add(&pod, "net1");
    let names: Vec<&Value> =
        result["interfaces"].as_array().unwrap().iter().map(|i| &i["name"]).collect();
    assert_eq!(names, ["eth0", "net1"]);
    assert_eq!(result["ips"][0]["address"], "192.0.2.1/24");
    assert_eq!(
        (&result["ips"][1]["address"], &result["ips"][1]["interface"]),
        (&json!("10.90.0.2/24"), &json!(1))
    );
    assert_eq!(result["dns"]["search"], json!(["before"]));
    assert_eq!(result["interfaces"][1].get("mtu"), None, "1.0.0 has no place for it");
    network.del(&pod, "net1");
}
