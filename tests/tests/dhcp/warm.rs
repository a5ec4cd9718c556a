//! Leases that are ready before their pods come.

use std::net::Ipv4Addr;

use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::DhcpDaemon;
use linkspan_tests::dhcp_server::DhcpServer;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{FAR, Lan, PARENT};
use serde_json::json;

use crate::{Served, check, given};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq")];
        a_pod_has_the_address_and_the_mac_of_a_lease_that_was_ready,
        a_pod_with_a_mac_of_its_own_has_a_lease_of_its_own,
    ]
}

fn a_pod_has_the_address_and_the_mac_of_a_lease_that_was_ready() {
    let lan = Lan::new("dhcpwarm");
    let before = lan.shown();
    let range = "10.150.0.10,10.150.0.99,1h";
    let server = DhcpServer::start(&lan.neighbour, FAR, "10.150.0.1/24", range, &[]);
    let mut daemon = DhcpDaemon::start_on(&lan.host, &[]);
    for kind in ["macvlan", "macvtap"] {
        let ipam = daemon.ipam(&json!({"prefetch": 2, "hostname": "pod"}));
        let network = lan.network(json!({
            "type": "linkspan", "kind": kind, "parent": PARENT, "ipam": ipam,
        }));
        let (one, two) = (lan.pod("one"), lan.pod("two"));
        network.add(&one, "net1");
        let ready = daemon.wait_for_ready(2);
        let result = network.add(&two, "net1");
        let (address, mac) = given(&result);
        assert!(ready.contains(&address.parse::<Ipv4Addr>().unwrap()), "{address} in {ready:?}");
        assert_eq!(server.count(&format!("DHCPDISCOVER({FAR}) {mac}")), 1, "before its pod came");
        assert_eq!(two.link("net1")["address"], mac);
        assert!(lan.neighbour.pings(&address, 20));
        assert!(check(&network, &two, &result).success);
        let _ready = daemon.wait_for_ready(2);
        for pod in [&one, &two] {
            network.del(pod, "net1");
        }
        server.wait_for(&["DHCPRELEASE", &address]);
        assert_eq!(daemon.leases_on_disk().len(), 2);
    }
    // Other links of its parent show in a link of the host.
    daemon.wait_for_no_links();
    assert_eq!(lan.shown(), before);
    daemon.end();
    server.wait_for_no_lease();
}

fn a_pod_with_a_mac_of_its_own_has_a_lease_of_its_own() {
    let mut served = Served::new("dhcpwarmmac", &[]);
    served.daemon = DhcpDaemon::start_on(&served.lan.host, &[]);
    let network = served.network(&json!({ "prefetch": 1 }));
    let pods = ["first", "second"].map(|name| served.lan.pod(name));
    network.add(&pods[0], "net1");
    let ready = served.daemon.wait_for_ready(1);
    let mac = "02:00:00:00:01:51";
    let result = network.with("runtimeConfig", json!({ "mac": mac })).add(&pods[1], "net1");
    let (address, given) = given(&result);
    assert_eq!(given, mac);
    assert_ne!(address, ready[0].to_string());
    assert_eq!(served.daemon.wait_for_ready(1), ready);
    for pod in &pods {
        network.del(pod, "net1");
    }
}
