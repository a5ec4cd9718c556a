//! Leases over ipvlan links, which share a MAC and hear broadcasts only, and over VLANs.

use std::net::Ipv4Addr;
use std::time::Duration;

use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::DhcpDaemon;
use linkspan_tests::dhcp_server::DhcpServer;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{FAR, Lan, PARENT, address_of};
use linkspan_tests::wait::until;
use serde_json::json;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq")];
        ipvlan_links_of_one_mac_have_a_lease_each,
        a_pod_on_a_vlan_gets_a_lease_of_its_server,
        leases_of_a_vlan_are_ready_for_its_pods_and_stay_when_these_have_gone,
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

fn leases_of_a_vlan_are_ready_for_its_pods_and_stay_when_these_have_gone() {
    let lan = Lan::new("vwarm");
    let tagged = "far100";
    let before = lan.shown();
    let add = ["link", "add", "link", FAR, "name", tagged, "type", "vlan", "id", "100"];
    lan.neighbour.run("ip", &add);
    lan.neighbour.run("ip", &["link", "set", tagged, "up"]);
    // More time is asked for after half a minute.
    let options = ["--dhcp-option-force=58,30", "--dhcp-option-force=59,100"];
    let range = "10.150.0.10,10.150.0.99,120";
    let server = DhcpServer::start(&lan.neighbour, tagged, ADDRESS, range, &options);
    let mut daemon = DhcpDaemon::start_on(&lan.host, &[]);
    let network = lan.network(json!({
        "type": "linkspan", "kind": "macvlan", "parent": PARENT, "vlan": 100,
        "ipam": daemon.ipam(&json!({"prefetch": 2})),
    }));
    let (one, two) = (lan.pod("one"), lan.pod("two"));
    network.add(&one, "net1");
    let ready = daemon.wait_for_ready(2);
    let address = address_of(&network.add(&two, "net1"), 0);
    assert!(ready.contains(&address.parse::<Ipv4Addr>().unwrap()), "{address} in {ready:?}");
    assert!(lan.neighbour.pings(&address, 20));
    let ready = daemon.wait_for_ready(2);
    for pod in [&one, &two] {
        network.del(pod, "net1");
    }
    // Other links of its parent show in a link of the host.
    daemon.wait_for_no_links();
    assert_eq!(lan.shown(), before, "the sub-interface has gone with the last pod");
    for address in &ready {
        let granted = format!("DHCPACK({tagged}) {address}");
        let times = server.count(&granted);
        until("a renewal", Duration::from_mins(2), || {
            (server.count(&granted) > times).then_some(())
        });
    }
    assert_eq!(daemon.wait_for_ready(2), ready);
    daemon.wait_for_no_links();
    daemon.end();
    server.wait_for_no_lease();
}
