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
    let network = network(json!({}));
    let reply = network.call("VERSION", &[]);
    assert!(reply.success, "{reply:#?}");
    let spoken = json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
    assert_eq!(reply.json["supportedVersions"], spoken);
    assert!(network.call("STATUS", &[]).success);
}
