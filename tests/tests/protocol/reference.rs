//! The reference main plugins, with this program as their IPAM plugin: it stands alone in `CNI_PATH`, under the
//! name of the one whose place it takes.

use std::path::Path;

use linkspan_tests::cases;
use linkspan_tests::cni::{Network, Reply};
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::Pod;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Where Debian's package containernetworking-plugins has them.
const MACVLAN: &str = "/usr/lib/cni/macvlan";
const BRIDGE: &str = "/usr/lib/cni/bridge";
const PTP: &str = "/usr/lib/cni/ptp";

pub(crate) fn cases() -> [Case; 4] {
    cases![&[Need::Root, Need::Tool(MACVLAN), Need::Tool(BRIDGE), Need::Tool(PTP)];
        a_reference_macvlan_gets_its_addresses_from_host_local,
        a_reference_macvlan_gets_its_addresses_from_static,
        a_reference_bridge_and_ptp_get_theirs_in_every_version,
        a_reference_plugin_hands_on_our_errors,
    ]
}

/// A node with a network card, and a pod on it.
struct Machine {
    node: Pod,
    pod: Pod,
    data: TempDir,
}

impl Machine {
    fn new(test: &str) -> Self {
        let node = Pod::new(test, "node");
        node.run("ip", &["link", "add", "card", "type", "veth", "peer", "name", "wire"]);
        for link in ["card", "wire"] {
            node.run("ip", &["link", "set", link, "up"]);
        }
        Self { node, pod: Pod::new(test, "pod"), data: TempDir::new().unwrap() }
    }

    /// A network of a reference plugin, which finds nothing in `CNI_PATH` but this IPAM plugin.
    fn network(&self, plugin: &str, mut config: Value, mut ipam: Value) -> Network {
        let ours = ipam["type"].as_str().unwrap().to_owned();
        if ours == "host-local" {
            ipam["dataDir"] = json!(self.data.path());
        }
        config["ipam"] = ipam;
        config["type"] = json!(Path::new(plugin).file_name().unwrap().to_str());
        if config.get("cniVersion").is_none() {
            config["cniVersion"] = json!("1.0.0");
        }
        let mut network = Network::new("net", config).called_as(&ours);
        network.path = network.folder().to_str().unwrap().to_owned();
        network.run_by(&["ip", "netns", "exec", self.node.name(), plugin])
    }

    /// The addresses of the pod's interface.
    fn addresses(&self) -> Vec<String> {
        let shown = self.pod.link("net1");
        let all = shown["addr_info"].as_array().unwrap().iter();
        let global = all.filter(|address| address["scope"] == "global");
        global.map(|a| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"])).collect()
    }

    /// The reservations there are.
    fn reserved(&self) -> Vec<String> {
        let Ok(entries) = self.data.path().join("net").read_dir() else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> =
            names.filter(|name| name.parse::<std::net::IpAddr>().is_ok()).collect();
        names.sort();
        names
    }

    fn check(&self, network: &Network, result: &Value) -> Reply {
        let netns = self.pod.netns();
        let environment = [
            ("CNI_CONTAINERID", self.pod.name()),
            ("CNI_NETNS", netns.to_str().unwrap()),
            ("CNI_IFNAME", "net1"),
        ];
        network.with("prevResult", result.clone()).call("CHECK", &environment)
    }
}

fn a_reference_macvlan_gets_its_addresses_from_host_local() {
    let machine = Machine::new("ref-host-local");
    let ipam = json!({
        "type": "host-local",
        "ranges": [[{ "subnet": "10.90.0.0/24" }], [{ "subnet": "fd00:90::/64" }]],
        // With a gateway, as the reference CHECK finds no other route.
        "routes": [{ "dst": "10.0.0.0/8", "gw": "10.90.0.1" }],
    });
    let network = machine.network(MACVLAN, json!({ "master": "card" }), ipam);
    let result = network.add(&machine.pod, "net1");
    assert_eq!(machine.addresses(), ["10.90.0.2/24", "fd00:90::2/64"]);
    assert_eq!(machine.reserved(), ["10.90.0.2", "fd00:90::2"]);
    assert_eq!(result["ips"][0]["gateway"], "10.90.0.1");
    let route = machine.pod.run("ip", &["route", "show", "10.0.0.0/8"]);
    assert!(route.contains("via 10.90.0.1"), "{route}");

    let checked = machine.check(&network, &result);
    assert!(checked.success, "{checked:#?}");
    std::fs::remove_file(machine.data.path().join("net/10.90.0.2")).unwrap();
    let lost = machine.check(&network, &result);
    assert_eq!((lost.code(), lost.msg()), (Some(105), "address 10.90.0.2 is not reserved"));

    for _ in 0..2 {
        network.del(&machine.pod, "net1");
        assert_eq!(machine.reserved(), Vec::<String>::new());
    }
}

fn a_reference_macvlan_gets_its_addresses_from_static() {
    let machine = Machine::new("ref-static");
    let ipam = json!({
        "type": "static",
        "addresses": [{ "address": "10.91.0.5/24", "gateway": "10.91.0.1" }],
        "routes": [{ "dst": "0.0.0.0/0" }],
    });
    let mut network = machine.network(MACVLAN, json!({ "master": "card" }), ipam);
    network.args = String::from("IgnoreUnknown=1;IP=fd00:91::5/64;GATEWAY=fd00:91::1");
    let result = network.add(&machine.pod, "net1");
    assert_eq!(machine.addresses(), ["10.91.0.5/24", "fd00:91::5/64"]);
    let route = machine.pod.run("ip", &["route", "show", "default"]);
    assert!(route.contains("via 10.91.0.1"), "{route}");

    let checked = machine.check(&network, &result);
    assert!(checked.success, "{checked:#?}");
    network.args.clear();
    let other = network.with(
        "ipam",
        json!({
            "type": "static", "addresses": [{ "address": "10.91.0.6/24" }],
        }),
    );
    let differs = machine.check(&other, &result);
    assert_eq!(differs.msg(), "address 10.91.0.6/24 is not in the result of ADD");
    network.del(&machine.pod, "net1");
}

fn a_reference_bridge_and_ptp_get_theirs_in_every_version() {
    let machine = Machine::new("ref-versions");
    let bridge = json!({ "bridge": "br0", "isGateway": true });
    for (plugin, config) in [(BRIDGE, &bridge), (PTP, &json!({}))] {
        // Those that Debian's plugins speak, too.
        for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0"] {
            let ipam = json!({ "type": "host-local", "subnet": "10.92.0.0/24" });
            let network = machine.network(plugin, config.clone(), ipam).with("cniVersion", version);
            let result = network.add(&machine.pod, "net1");
            assert_eq!(result["cniVersion"], version);
            assert_eq!(machine.reserved().len(), 1);
            assert_eq!(machine.addresses().len(), 1);
            if version >= "0.4.0" {
                let checked = machine.check(&network, &result);
                assert!(checked.success, "{plugin}, {version}: {checked:#?}");
            }
            network.del(&machine.pod, "net1");
            assert_eq!(machine.reserved(), Vec::<String>::new());
        }
    }
}

fn a_reference_plugin_hands_on_our_errors() {
    let machine = Machine::new("ref-errors");
    let full = json!({ "type": "host-local", "subnet": "10.93.0.0/30" });
    let bridge = json!({ "bridge": "br0" });
    let network = machine.network(BRIDGE, bridge.clone(), full);
    network.add(&machine.pod, "net1");
    let other = Pod::new("ref-errors", "other");
    let reply = network.try_add(&other, "net1");
    assert_eq!(reply.code(), Some(102), "{reply:#?}");
    assert!(reply.msg().starts_with("network net has no free address"), "{reply:#?}");
    network.del(&machine.pod, "net1");

    let wrong = json!({ "type": "host-local", "subnet": "10.93.0.0/24", "gatway": "10.93.0.1" });
    let third = Pod::new("ref-errors", "third");
    let reply = machine.network(BRIDGE, bridge, wrong).try_add(&third, "net1");
    assert_eq!(reply.code(), Some(7), "{reply:#?}");
    assert!(reply.msg().starts_with("`ipam.gatway` is \"10.93.0.1\""), "{reply:#?}");
}
