//! Leases over ipvlan links, which share a MAC and hear broadcasts only, and over VLANs.

use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::DhcpDaemon;
use linkspan_tests::dhcp_server::DhcpServer;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{FAR, Lan, PARENT, address_of};
use serde_json::json;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq")];
        ipvlan_links_of_one_mac_have_a_lease_each,
        a_pod_on_a_vlan_gets_a_lease_of_its_server,
    ]
}

const ADDRESS: &str = "10.150.0.1/24";
const RANGE: &str = "10.150.0.10,10.150.0.99,1h";

fn ipvlan_links_of_one_mac_have_a_lease_each() {
    let lan = Lan::new("ipdhcp");
    let before = lan.shown();
    let server = DhcpServer::start(&lan.neighbour, FAR, ADDRESS, RANGE, &[]);
    let daemon = DhcpDaemon::start(&[]);
    let network = lan.network(json!({
        "type": "linkspan", "kind": "ipvlan", "parent": PARENT, "ipam": daemon.ipam(&json!({})),
    }));
    let pods = ["one", "two"].map(|name| lan.pod(name));
    let [one, two] = pods.each_ref().map(|pod| address_of(&network.add(pod, "net1"), 0));
    assert_ne!(one, two);
    let macs: Vec<String> = server.leases().into_iter().map(|lease| lease.mac).collect();
    let mac = lan.host.link(PARENT)["address"].as_str().unwrap().to_owned();
    assert_eq!(macs, [mac.clone(), mac]);
    for address in [&one, &two] {
        assert!(lan.neighbour.pings(address, 20));
    }
    for (pod, address) in pods.iter().zip([&one, &two]) {
        network.del(pod, "net1");
        server.wait_for(&["DHCPRELEASE", address]);
    }
    server.wait_for_no_lease();
    assert_eq!((lan.shown(), daemon.leases_on_disk().len()), (before, 0));
}

fn a_pod_on_a_vlan_gets_a_lease_of_its_server() {
    let lan = Lan::new("vdhcp");
    let before = lan.shown();
    let tagged = "far100";
    let add = ["link", "add", "link", FAR, "name", tagged, "type", "vlan", "id", "100"];
    lan.neighbour.run("ip", &add);
    lan.neighbour.run("ip", &["link", "set", tagged, "up"]);
    let server = DhcpServer::start(&lan.neighbour, tagged, ADDRESS, RANGE, &[]);
    let daemon = DhcpDaemon::start(&[]);
    let network = lan.network(json!({
        "type": "linkspan", "kind": "macvlan", "parent": PARENT, "vlan": 100, "ipam": daemon.ipam(&json!({})),
    }));
    let pod = lan.pod("pod");
    let address = address_of(&network.add(&pod, "net1"), 0);
    assert_eq!(server.leases()[0].address.to_string(), address);
    assert!(lan.neighbour.pings(&address, 20));
    network.del(&pod, "net1");
    server.wait_for(&["DHCPRELEASE", &address]);
    assert_eq!((lan.shown(), daemon.leases_on_disk().len()), (before, 0));
}
