//! What an ADD makes of a lease: on the interface, in the result, and on the wire.

use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{FAR, PARENT};
use linkspan_tests::wire::Listener;
use serde_json::json;

use crate::{Served, check, given};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq"), Need::Tool("tcpdump")];
        a_pod_gets_all_that_the_server_says,
        classless_routes_take_the_place_of_the_gateway,
        a_macvtap_link_gets_a_lease,
        two_pods_of_one_network_have_a_lease_each,
        a_mtu_that_the_network_sets_stays,
        a_leased_address_is_announced,
        a_mac_that_the_runtime_names_is_the_lease_s,
    ]
}

fn a_pod_gets_all_that_the_server_says() {
    let served = Served::new(
        "dhcpall",
        &[
            "--dhcp-option=option:router,10.150.0.254",
            "--dhcp-option=option:dns-server,10.150.0.53,10.150.0.54",
            "--dhcp-option=option:domain-name,example.org",
            "--dhcp-option=option:domain-search,a.example.org,b.example.org",
            "--dhcp-option=option:mtu,1400",
        ],
    );
    let before = served.lan.shown();
    let network = served.network(&json!({ "priority": 50 }));
    let pod = served.lan.pod("pod");
    let result = network.add(&pod, "net1");
    let (address, mac) = given(&result);
    let leases = served.server.leases();
    assert_eq!((leases.len(), &leases[0].mac), (1, &mac));
    assert_eq!(leases[0].address.to_string(), address);

    assert_eq!(result["ips"][0]["address"], format!("{address}/24"));
    assert_eq!(result["ips"][0]["gateway"], "10.150.0.254");
    let default = json!([{ "dst": "0.0.0.0/0", "gw": "10.150.0.254", "priority": 50 }]);
    assert_eq!(result["routes"], default);
    assert_eq!(result["interfaces"][0]["mtu"], 1400);
    let dns = json!({
        "nameservers": ["10.150.0.53", "10.150.0.54"], "domain": "example.org",
        "search": ["a.example.org", "b.example.org"],
    });
    assert_eq!(result["dns"], dns);

    let shown = pod.run("ip", &["address", "show", "net1"]);
    assert!(shown.contains(&format!("inet {address}/24")) && shown.contains("mtu 1400"), "{shown}");
    let routes = pod.run("ip", &["route", "show", "default"]);
    assert!(routes.contains("via 10.150.0.254") && routes.contains("metric 50"), "{routes}");
    assert!(served.lan.neighbour.pings(&address, 10));
    let checked = check(&network, &pod, &result);
    assert!(checked.success, "{checked:#?}");

    network.del(&pod, "net1");
    served.server.wait_for(&["DHCPRELEASE", &address]);
    served.server.wait_for_no_lease();
    assert_eq!((served.lan.shown(), served.daemon.leases_on_disk().len()), (before, 0));
}

fn classless_routes_take_the_place_of_the_gateway() {
    let served = Served::new(
        "dhcproutes",
        &[
            "--dhcp-option=option:router,10.150.0.254",
            "--dhcp-option=121,10.151.0.0/16,10.150.0.2,10.152.0.0/16,0.0.0.0,0.0.0.0/0,10.150.0.3",
        ],
    );
    let network = served.network(&json!({}));
    let pod = served.lan.pod("pod");
    let result = network.add(&pod, "net1");
    let routes = pod.run("ip", &["route", "show"]);
    for expected in
        ["default via 10.150.0.3", "10.151.0.0/16 via 10.150.0.2", "10.152.0.0/16 dev net1"]
    {
        assert!(routes.contains(expected), "{expected}: {routes}");
    }
    assert!(!routes.contains("10.150.0.254"), "{routes}");
    assert_eq!(result["routes"].as_array().unwrap().len(), 3);
    let checked = check(&network, &pod, &result);
    assert!(checked.success, "{checked:#?}");
    pod.run("ip", &["route", "delete", "10.151.0.0/16"]);
    let lost = check(&network, &pod, &result);
    assert_eq!(lost.msg(), "net1 has no route 10.151.0.0/16 via 10.150.0.2");
    network.del(&pod, "net1");
}

fn a_macvtap_link_gets_a_lease() {
    let served = Served::new("dhcptap", &[]);
    let network = served.network(&json!({})).with("kind", "macvtap");
    let pod = served.lan.pod("pod");
    let result = network.add(&pod, "net1");
    let (address, mac) = given(&result);
    assert_eq!(served.server.leases()[0].mac, mac);
    assert!(pod.run("ip", &["address", "show", "net1"]).contains(&address));
    network.del(&pod, "net1");
    served.server.wait_for(&["DHCPRELEASE", &address]);
}

fn two_pods_of_one_network_have_a_lease_each() {
    let served = Served::new("dhcptwo", &[]);
    let network = served.network(&json!({}));
    let pods = ["one", "two"].map(|name| served.lan.pod(name));
    let [one, two] = pods.each_ref().map(|pod| given(&network.add(pod, "net1")).0);
    assert_ne!(one, two);
    assert!(pods[0].pings(&two, 10));
    network.del(&pods[0], "net1");
    served.server.wait_for(&["DHCPRELEASE", &one]);
    let left: Vec<String> =
        served.server.leases().iter().map(|lease| lease.address.to_string()).collect();
    assert_eq!((left, served.daemon.leases_on_disk().len()), (vec![two], 1));
    network.del(&pods[1], "net1");
    assert_eq!(served.daemon.leases_on_disk().len(), 0);
}

fn a_mtu_that_the_network_sets_stays() {
    let served = Served::new("dhcpmtu", &["--dhcp-option=option:mtu,1400"]);
    let pods = ["set", "large"].map(|name| served.lan.pod(name));
    let network = served.network(&json!({}));
    let result = network.with("mtu", 1450).add(&pods[0], "net1");
    assert_eq!(result["interfaces"][0]["mtu"], 1450);
    // No server knows what a link can do: it makes the MTU smaller only.
    served.lan.host.run("ip", &["link", "set", PARENT, "mtu", "1300"]);
    let result = network.add(&pods[1], "net1");
    assert_eq!(result["interfaces"][0]["mtu"], 1300);
    for pod in &pods {
        network.del(pod, "net1");
    }
}

fn a_leased_address_is_announced() {
    let served = Served::new("dhcpwire", &[]);
    let listener = Listener::on(&served.lan.neighbour, FAR);
    let network = served.network(&json!({ "probe": "never" }));
    let pod = served.lan.pod("pod");
    let (address, mac) = given(&network.add(&pod, "net1"));
    listener.wait_for_announcement(&address, &mac);
    network.del(&pod, "net1");
}

fn a_mac_that_the_runtime_names_is_the_lease_s() {
    let served = Served::new("dhcpmac", &[]);
    let mac = "02:00:00:00:01:50";
    let network = served.network(&json!({})).with("runtimeConfig", json!({ "mac": mac }));
    let pod = served.lan.pod("pod");
    network.add(&pod, "net1");
    assert_eq!(served.server.leases()[0].mac, mac);
    network.del(&pod, "net1");
}
