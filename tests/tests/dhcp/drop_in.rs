//! Called as `dhcp`, this program is the IPAM plugin of the reference's main plugins.

use std::path::Path;

use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::PARENT;
use serde_json::{Value, json};

use crate::{Served, check, given};

/// Where Debian's package containernetworking-plugins has them.
const MACVLAN: &str = "/usr/lib/cni/macvlan";
const BRIDGE: &str = "/usr/lib/cni/bridge";

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq"), Need::Tool(MACVLAN)];
        a_reference_macvlan_gets_its_address_from_a_server,
        a_reference_bridge_gets_its_address_from_a_server,
        called_as_dhcp_it_needs_the_link,
    ]
}

/// A network of a reference plugin whose IPAM plugin is this program.
fn network(served: &Served, plugin: &str, mut config: Value) -> Network {
    let ours = Network::new("", json!({})).called_as("dhcp");
    config["ipam"] = served.daemon.ipam(&json!({ "priority": 50 }));
    config["type"] = json!(Path::new(plugin).file_name().unwrap().to_str());
    config["cniVersion"] = json!("1.0.0");
    served.lan.network(config).served_by(Path::new(plugin)).finding(&ours)
}

/// Adds and deletes a pod of a network, and sees that the server knows of the one, and the daemon of the other.
fn comes_and_goes(served: &Served, network: &Network) {
    let pod = served.lan.pod("pod");
    let result = network.add(&pod, "net1");
    let (address, _) = given(&result);
    assert_eq!(served.server.leases()[0].address.to_string(), address);
    let shown = pod.run("ip", &["address", "show", "net1"]);
    assert!(shown.contains(&format!("inet {address}/24")) && shown.contains("mtu 1400"), "{shown}");
    let route = pod.run("ip", &["route", "show", "default"]);
    assert!(route.contains("via 10.150.0.1"), "{route}");
    assert!(served.lan.neighbour.pings(&address, 10));
    let checked = check(network, &pod, &result);
    assert!(checked.success, "{checked:#?}");
    for _ in 0..2 {
        network.del(&pod, "net1");
        assert_eq!(served.daemon.leases_on_disk().len(), 0);
    }
}

fn a_reference_macvlan_gets_its_address_from_a_server() {
    let served = Served::new("dhcprefmacvlan", &["--dhcp-option=option:mtu,1400"]);
    comes_and_goes(&served, &network(&served, MACVLAN, json!({ "master": PARENT })));
    served.server.wait_for_no_lease();
}

fn a_reference_bridge_gets_its_address_from_a_server() {
    let served = Served::new("dhcprefbridge", &["--dhcp-option=option:mtu,1400"]);
    let host = &served.lan.host;
    host.run("ip", &["link", "add", "br0", "type", "bridge"]);
    host.run("ip", &["link", "set", "br0", "up"]);
    host.run("ip", &["link", "set", PARENT, "master", "br0"]);
    // This plugin removes the link before it has its IPAM plugin take back the address: with the link goes the way
    // to the server, where the lease runs out.
    comes_and_goes(&served, &network(&served, BRIDGE, json!({ "bridge": "br0" })));
}

fn called_as_dhcp_it_needs_the_link() {
    let served = Served::new("dhcplink", &[]);
    let ipam = json!({ "type": "bridge", "ipam": served.daemon.ipam(&json!({})) });
    let network = Network::new("dhcplink", ipam).called_as("dhcp");
    let pod = served.lan.pod("pod");
    let reply = network.try_add(&pod, "net1");
    assert_eq!(reply.code(), Some(4), "{reply:#?}");
    let expected = "CNI_IFNAME is net1, but the pod has no interface of this name";
    assert_eq!(reply.msg(), expected);
    assert!(network.call("STATUS", &[]).success);
    network.del(&pod, "net1");
}
