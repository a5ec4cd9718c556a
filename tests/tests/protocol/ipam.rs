//! Called as `host-local` or `static` by a main plugin, as one that speaks CNI 1.1.0 calls it.

use std::fs;
use std::path::{Path, PathBuf};

use linkspan_tests::cases;
use linkspan_tests::cni::{Network, Reply};
use linkspan_tests::harness::Case;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) fn cases() -> [Case; 8] {
    cases![&[];
        host_local_gives_an_address_and_takes_it_back,
        host_local_checks_the_reservation,
        host_local_frees_what_is_not_valid,
        host_local_says_when_no_address_is_left,
        static_gives_what_it_is_told,
        static_checks_what_it_was_told,
        a_result_is_in_the_configuration_s_version,
        errors_name_the_key_whatever_the_name,
    ]
}

/// host-local's network in a folder of its own.
struct HostLocal {
    network: Network,
    folder: TempDir,
}

impl HostLocal {
    fn new(mut ipam: Value) -> Self {
        let folder = TempDir::new().unwrap();
        ipam["type"] = json!("host-local");
        ipam["dataDir"] = json!(folder.path());
        // Whose configuration it is, is none of an IPAM plugin's business.
        let config = json!({ "type": "bridge", "bridge": "br0", "isGateway": true, "ipam": ipam });
        Self { network: Network::new("net", config).called_as("host-local"), folder }
    }

    fn file(&self, address: &str) -> PathBuf {
        self.folder.path().join("net").join(address)
    }
}

/// Calls a plugin for an attachment.
fn call(network: &Network, verb: &str, container: &str) -> Reply {
    let environment =
        [("CNI_CONTAINERID", container), ("CNI_NETNS", "/run/netns/none"), ("CNI_IFNAME", "eth0")];
    network.call(verb, &environment)
}

fn succeed(network: &Network, verb: &str, container: &str) -> Value {
    let reply = call(network, verb, container);
    assert!(reply.success, "{verb} of {container}: {reply:#?}");
    reply.json
}

fn host_local_gives_an_address_and_takes_it_back() {
    let ipam = json!({ "subnet": "10.1.2.0/24", "routes": [{ "dst": "0.0.0.0/0" }] });
    let host_local = HostLocal::new(ipam);
    let result = json!({
        "cniVersion": "1.1.0",
        "ips": [{ "address": "10.1.2.2/24", "gateway": "10.1.2.1" }],
        "routes": [{ "dst": "0.0.0.0/0" }],
    });
    assert_eq!(succeed(&host_local.network, "ADD", "c1"), result);
    let file = host_local.file("10.1.2.2");
    assert_eq!(fs::read_to_string(&file).unwrap(), "c1\r\neth0");
    for _ in 0..2 {
        assert_eq!(succeed(&host_local.network, "DEL", "c1"), Value::Null);
        assert!(!file.exists());
    }
}

fn host_local_checks_the_reservation() {
    let host_local = HostLocal::new(json!({ "subnet": "10.1.2.0/24" }));
    let mut result = succeed(&host_local.network, "ADD", "c1");
    let missing = call(&host_local.network, "CHECK", "c1");
    assert_eq!(missing.msg(), "`prevResult` is nothing, expected the result of ADD");

    // An address of another plugin in the chain is that one's to check.
    result["ips"].as_array_mut().unwrap().push(json!({ "address": "10.9.9.9/24" }));
    let checked = host_local.network.with("prevResult", result);
    assert_eq!(succeed(&checked, "CHECK", "c1"), Value::Null);
    let nothing = call(&host_local.network.with("prevResult", json!({})), "CHECK", "c2");
    assert_eq!(nothing.msg(), "no address of network net is reserved for it");
    fs::rename(host_local.file("10.1.2.2"), host_local.file("10.1.2.3")).unwrap();
    let moved = call(&checked, "CHECK", "c1");
    assert_eq!((moved.code(), moved.msg()), (Some(105), "address 10.1.2.2 is not reserved"));
}

fn host_local_frees_what_is_not_valid() {
    let host_local = HostLocal::new(json!({ "subnet": "10.1.2.0/24" }));
    for container in ["c1", "c2"] {
        succeed(&host_local.network, "ADD", container);
    }
    let valid = json!([{ "containerID": "c2", "ifname": "eth0" }]);
    let reply = host_local.network.with("cni.dev/valid-attachments", valid).call("GC", &[]);
    assert!(reply.success, "{reply:#?}");
    assert!(reply.stderr.contains("10.1.2.2"), "what is removed is told: {reply:#?}");
    let there = |address| host_local.file(address).exists();
    assert_eq!(["10.1.2.2", "10.1.2.3"].map(there), [false, true]);

    let unlisted = host_local.network.call("GC", &[]);
    assert_eq!(unlisted.code(), Some(7), "without a list nothing is freed");
    assert!(there("10.1.2.3"));
}

fn host_local_says_when_no_address_is_left() {
    let host_local = HostLocal::new(json!({ "subnet": "10.1.2.0/30" }));
    assert!(host_local.network.call("STATUS", &[]).success);
    succeed(&host_local.network, "ADD", "c1");
    let full = host_local.network.call("STATUS", &[]);
    assert_eq!(full.code(), Some(50), "{full:#?}");
    assert_eq!(call(&host_local.network, "ADD", "c2").code(), Some(102));
    succeed(&host_local.network, "DEL", "c1");
    assert!(host_local.network.call("STATUS", &[]).success);

    let later = HostLocal::new(json!({})).network.with("capabilities", json!({ "ipRanges": true }));
    assert!(later.call("STATUS", &[]).success, "the ranges come with each ADD");
}

fn static_network(ipam: Value) -> Network {
    let mut ipam = ipam;
    ipam["type"] = json!("static");
    Network::new("net", json!({ "type": "bridge", "ipam": ipam })).called_as("static")
}

fn static_gives_what_it_is_told() {
    let mut network = static_network(json!({
        "addresses": [{ "address": "10.1.2.3/24", "gateway": "10.1.2.1" }, { "address": "fd00::3/64" }],
        "routes": [{ "dst": "0.0.0.0/0", "gw": "10.1.2.1" }],
        "dns": { "nameservers": ["10.1.2.1"], "search": ["a.b"] },
    }));
    let mut result = json!({
        "cniVersion": "1.1.0",
        "ips": [{ "address": "10.1.2.3/24", "gateway": "10.1.2.1" }, { "address": "fd00::3/64" }],
        "routes": [{ "dst": "0.0.0.0/0", "gw": "10.1.2.1" }],
        "dns": { "nameservers": ["10.1.2.1"], "search": ["a.b"] },
    });
    assert_eq!(succeed(&network, "ADD", "c1"), result);
    assert_eq!(succeed(&network, "DEL", "c1"), Value::Null);
    assert!(network.call("STATUS", &[]).success);
    assert!(network.with("cni.dev/valid-attachments", json!([])).call("GC", &[]).success);

    // The runtime may ask for more, or for something else.
    network.args = String::from("IP=10.4.5.6/16;GATEWAY=10.4.0.1");
    let more = json!({ "address": "10.4.5.6/16", "gateway": "10.4.0.1" });
    result["ips"].as_array_mut().unwrap().push(more);
    assert_eq!(succeed(&network, "ADD", "c1"), result);
    let asked = network.with("runtimeConfig", json!({ "ips": ["10.4.5.7/16"] }));
    let only = json!([{ "address": "10.4.5.7/16", "gateway": "10.4.0.1" }]);
    assert_eq!(succeed(&asked, "ADD", "c1")["ips"], only);
}

fn static_checks_what_it_was_told() {
    let network = static_network(json!({
        "addresses": [{ "address": "10.1.2.3/24", "gateway": "10.1.2.1" }],
    }));
    let result = succeed(&network, "ADD", "c1");
    assert_eq!(succeed(&network.with("prevResult", result), "CHECK", "c1"), Value::Null);
    let differ = [
        (json!([]), "address 10.1.2.3/24 is not in the result of ADD"),
        (json!([{ "address": "10.1.2.4/24" }]), "address 10.1.2.3/24 is not in the result of ADD"),
        (
            json!([{ "address": "10.1.2.3/24", "gateway": "10.1.2.9" }]),
            "address 10.1.2.3/24 has gateway 10.1.2.9 in the result of ADD, expected 10.1.2.1",
        ),
    ];
    for (ips, message) in differ {
        let reply = call(&network.with("prevResult", json!({ "ips": ips })), "CHECK", "c1");
        assert_eq!((reply.code(), reply.msg()), (Some(105), message));
    }
}

fn a_result_is_in_the_configuration_s_version() {
    let host_local = HostLocal::new(json!({
        "subnet": "10.1.2.0/24", "routes": [{ "dst": "0.0.0.0/0", "priority": 50 }],
    }));
    for (version, family) in
        [("0.3.0", true), ("0.3.1", true), ("0.4.0", true), ("1.0.0", false), ("1.1.0", false)]
    {
        let network = host_local.network.with("cniVersion", version);
        let result = succeed(&network, "ADD", version);
        assert_eq!(result["cniVersion"], version);
        assert_eq!(result["ips"][0].get("version").is_some(), family, "{result}");
        assert_eq!(result["routes"][0]["priority"], 50, "which the main plugin is to set");
        assert_eq!(result.get("interfaces"), None);
    }
}

fn errors_name_the_key_whatever_the_name() {
    let host_local = HostLocal::new(json!({ "subnet": "10.1.2.5/24" }));
    let reply = call(&host_local.network, "ADD", "c1");
    assert_eq!(reply.code(), Some(7));
    assert!(reply.msg().starts_with("`ipam.subnet` is \"10.1.2.5/24\", expected"), "{reply:#?}");
    assert!(is_empty(host_local.folder.path()));
    let reply =
        call(&static_network(json!({ "addresses": [{ "address": "10.1.2.5" }] })), "ADD", "c1");
    assert!(reply.msg().starts_with("`ipam.addresses[0].address` is \"10.1.2.5\""), "{reply:#?}");
    assert!(succeed(&host_local.network, "DEL", "c1").is_null(), "such a pod can be deleted");
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}
