//! Bad input to the real program: the exact message, code and advice, and nothing written.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use linkspan_tests::cni::{Network, Reply};
use serde_json::{Value, json};

/// An ADD for a pod that does not exist: what is wrong here is found before anything is looked at.
fn add(network: &Network) -> Reply {
    add_with(network, "c1", &network.config.to_string())
}

fn add_with(network: &Network, container: &str, stdin: &str) -> Reply {
    let environment =
        [("CNI_CONTAINERID", container), ("CNI_NETNS", "/run/netns/none"), ("CNI_IFNAME", "net1")];
    network.call_with("ADD", &environment, stdin)
}

#[track_caller]
fn check(reply: &Reply, code: u64, msg: &str, details: &str) {
    assert!(!reply.success);
    assert_eq!(reply.json["code"], json!(code), "{reply:#?}");
    assert_eq!(reply.json["msg"], json!(msg));
    assert_eq!(reply.json.get("details").and_then(Value::as_str).unwrap_or_default(), details);
}

fn network(config: Value) -> Network {
    Network::new("bad", config)
}

#[test]
fn a_vf_is_needed_and_is_a_pci_address() {
    let expected = "expected the PCI address of the VF, such as 0000:3b:02.1";
    check(
        &add(&network(json!({}))),
        7,
        &format!("`deviceID` is nothing, {expected}"),
        "Multus fills it in from the resource that the pod asks for: see that the \
         NetworkAttachmentDefinition's annotation k8s.v1.cni.cncf.io/resourceName names the resource \
         in the pod's limits; without Multus, set deviceID here",
    );
    check(
        &add(&network(json!({ "deviceID": "ens1f0v0" }))),
        7,
        &format!("`deviceID` is \"ens1f0v0\", {expected}"),
        "",
    );
}

#[test]
fn what_a_pf_is_to_set_must_make_sense() {
    let table = [
        (json!({ "vlan": 4095 }), "`vlan` is 4095, expected a VLAN ID from 0 to 4094", ""),
        (
            json!({ "vlanQoS": 3 }),
            "`vlanQoS` is 3, expected no such key where `vlan` is not set",
            "Set `vlan` to the VLAN's ID, or remove `vlanQoS`",
        ),
        (
            json!({ "mac": "02:00:00:00:00" }),
            "`mac` is \"02:00:00:00:00\", expected a MAC address such as 02:00:00:00:00:01",
            "",
        ),
        (
            json!({ "min_tx_rate": 200, "max_tx_rate": 100 }),
            "`min_tx_rate` is 200, expected at most `max_tx_rate`, which is 100",
            "Lower min_tx_rate, raise max_tx_rate, or set max_tx_rate to 0 for no bound",
        ),
    ];
    for (keys, msg, details) in table {
        let network = network(keys).with("deviceID", "0000:3b:02.1");
        check(&add(&network), 7, msg, details);
    }
}

#[test]
fn a_subnet_has_no_host_bits() {
    let ipam = json!({ "type": "host-local", "subnet": "10.0.0.5/24" });
    let network = network(json!({ "deviceID": "0000:3b:02.1", "ipam": ipam }));
    let reply = add(&network);
    assert_eq!(reply.code(), Some(7), "{reply:#?}");
    assert!(reply.msg().starts_with("`ipam.subnet` is \"10.0.0.5/24\", expected "), "{reply:#?}");
    assert!(format!("{reply:?}").contains("10.0.0.0/24"), "the subnet that was meant is named");
}

#[test]
fn every_kind_has_its_keys_and_is_strict_in_our_own_style() {
    let table = [
        (
            json!({ "type": "linkspan" }),
            "`kind` is nothing, expected \"sriov\", \"macvlan\", \"ipvlan\" or \"macvtap\"",
            "Set `kind` to what pods are to get",
        ),
        (
            json!({ "type": "linkspan", "kind": "macvlan", "spoofchk": "on" }),
            "`spoofchk` is \"on\", expected a key of kind macvlan, not of sriov",
            "Remove `spoofchk`, or set `kind` to sriov",
        ),
        (
            json!({ "type": "linkspan", "kind": "macvlan", "parent": "eth0", "master": "eth1" }),
            "`master` is \"eth1\", expected the same as `parent`, which is eth0",
            "Remove one of the two",
        ),
        (
            json!({ "type": "macvlan", "mode": "passthrough" }),
            "`mode` is \"passthrough\", expected a macvlan mode: bridge, private, vepa, passthru or source",
            "",
        ),
        (
            json!({ "type": "macvlan", "mode": "source" }),
            "`sourceMacs` is nothing, expected a list of one or more MAC addresses where `mode` is \"source\"",
            "List those whose frames the pod is to get",
        ),
        (
            json!({ "type": "macvlan", "macFrom": "ip" }),
            "`macFrom` is \"ip\", expected no such key where no address is known before the link is made",
            "Set `ipam` to host-local or static, or remove `macFrom`",
        ),
        (
            json!({ "type": "ipvlan", "runtimeConfig": { "mac": "02:00:00:00:00:01" } }),
            "`runtimeConfig.mac` is \"02:00:00:00:00:01\", expected no such key: an ipvlan link has the MAC of \
             its parent",
            "Remove `runtimeConfig.mac`, or use kind macvlan, whose links have MACs of their own",
        ),
        (
            json!({ "type": "macvtap", "queues": 257 }),
            "`queues` is 257, expected a number of pairs of queues from 1 to 256",
            "",
        ),
        (
            json!({ "type": "sriov", "deviceID": "0000:3b:02.1", "trunk": [{ "id": 5 }, { "id": 5 }] }),
            "`trunk[1].id` is 5, expected no VLAN that is there already, as part of 5-5",
            "",
        ),
    ];
    for (config, msg, details) in table {
        let network = network(config);
        check(&add(&network), 7, msg, details);
        // The pod must be deletable all the same.
        let gone = [("CNI_CONTAINERID", "c1"), ("CNI_IFNAME", "net1")];
        assert!(network.call("DEL", &gone).success, "{msg}");
        if !network.config["runtimeConfig"].is_object() {
            check(&network.call("STATUS", &[]), 7, msg, details);
        }
    }
}

#[test]
fn a_resource_has_a_domain() {
    let network = network(json!({ "type": "macvlan", "resourceName": "fast" }));
    let msg = "`resourceName` is \"fast\", expected an extended resource such as linkspan.dev/fast";
    check(&add(&network), 7, msg, "");
    check(&network.call("STATUS", &[]), 7, msg, "");
}

#[test]
fn addresses_that_are_named_have_their_prefix_length() {
    let cidr = "expected an address for a pod with its prefix length, such as 10.1.2.3/24";
    let static_ips = json!({ "type": "macvlan", "ipam": { "type": "static" } });
    let mut network = network(static_ips).with("runtimeConfig", json!({ "ips": ["10.1.2.3"] }));
    check(&add(&network), 7, &format!("`runtimeConfig.ips[0]` is \"10.1.2.3\", {cidr}"), "");

    network = network.with("runtimeConfig", json!({}));
    network.args = "IP=10.1.2.3".to_owned();
    check(&add(&network), 7, &format!("`CNI_ARGS IP` is \"10.1.2.3\", {cidr}"), "");
    network.args = "GATEWAY=10.1.2.0/24".to_owned();
    let gateway = "expected IP addresses joined by ',', without prefix lengths";
    check(&add(&network), 4, &format!("CNI_ARGS GATEWAY is \"10.1.2.0/24\", {gateway}"), "");
}

#[test]
fn an_ipam_plugin_is_no_path() {
    let network = network(json!({ "type": "macvlan", "ipam": { "type": "../bin/sh" } }));
    let msg = "`ipam.type` is \"../bin/sh\", expected the name of a plugin, without '/'";
    check(&add(&network), 7, msg, "");
}

#[test]
fn what_is_no_json_is_told_with_its_place() {
    let reply = add_with(&network(json!({})), "c1", "{\"cniVersion\": \"1.1.0\",\n oops}");
    assert_eq!(reply.code(), Some(6), "{reply:#?}");
    assert!(reply.msg().contains("line 2 column 2"), "{reply:#?}");
}

#[test]
fn versions_that_are_not_spoken_are_refused_with_those_that_are() {
    let reply = add(&network(json!({ "cniVersion": "9.9.9" })));
    assert_eq!(reply.code(), Some(1), "{reply:#?}");
    assert!(reply.msg().contains("\"9.9.9\""), "{reply:#?}");
    assert!(format!("{reply:?}").contains("0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"), "{reply:#?}");
}

#[test]
fn a_container_id_is_no_path() {
    let network = network(json!({ "deviceID": "0000:3b:02.1" }));
    check(
        &add_with(&network, "../../etc/passwd", &network.config.to_string()),
        4,
        "CNI_CONTAINERID is \"../../etc/passwd\", expected a container ID: letters, digits, '_', '.' and \
         '-', the first a letter or a digit",
        "See what the container runtime passes; nothing was changed",
    );
}

#[test]
fn a_pod_that_is_gone_or_is_the_host_gets_nothing() {
    let network = network(json!({ "deviceID": "0000:3b:02.1" }));
    let advice = "CNI_NETNS must be the path of the pod's network namespace";
    check(&add(&network), 3, "network namespace /run/netns/none does not exist", advice);

    let environment =
        [("CNI_CONTAINERID", "c1"), ("CNI_NETNS", "/proc/self/ns/net"), ("CNI_IFNAME", "net1")];
    check(
        &network.call("ADD", &environment),
        4,
        "CNI_NETNS is /proc/self/ns/net, which is the host's own namespace",
        "A pod with hostNetwork: true has all the host's interfaces already, and gets no others",
    );
}

#[test]
fn version_and_status_are_answered() {
    let network = network(json!({ "type": "macvlan", "master": "lo" }));
    let reply = network.call("VERSION", &[]);
    assert!(reply.success, "{reply:#?}");
    let spoken = json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
    assert_eq!(reply.json["supportedVersions"], spoken);
    assert!(network.call("STATUS", &[]).success);
}
