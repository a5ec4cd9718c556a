//! What a pod's VF sends and receives: the configuration proved on the wire.

use std::time::Duration;

use linkspan_hw_tests::show_vf;
use linkspan_tests::bed::BedPf;
use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::Pod;
use linkspan_tests::wait;
use linkspan_tests::wire::Listener;
use serde_json::json;

use crate::{address_of, host_local, neighbour};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    let anywhere = cases![&[Need::Root, Need::Pfs(2)];
        two_pods_on_one_pf_and_on_two_reach_each_other,
        a_vlan_keeps_others_out,
        spoofed_frames_pass_with_spoofchk_off,
        both_families_and_their_routes_are_reachable,
        an_address_with_a_new_mac_is_announced,
    ]
    .into_iter()
    .chain(cases![
        &[Need::Root, Need::Pfs(2), Need::Tool("tcpdump")];
        the_addresses_of_a_vf_are_announced_in_both_families,
    ]);
    // QEMU's igb keeps the setting in its register DTXSWC and does not look at it when it sends.
    let on_hardware = cases![
        &[Need::Root, Need::Pfs(2), Need::HardwareThat("drops spoofed frames")];
        spoofed_frames_are_dropped_with_spoofchk_on,
    ];
    anywhere.chain(on_hardware)
}

fn two_pods_on_one_pf_and_on_two_reach_each_other() {
    let (first, second) = (BedPf::nth(0), BedPf::nth(1));
    let data = tempfile::tempdir().unwrap();
    let network = Network::new("traffic", json!({ "ipam": host_local(&data, &["10.56.0.0/24"]) }));
    let names = ["a", "b", "c"];
    let vfs = [first.vfs[0], first.vfs[1], second.vfs[0]];
    let pods = names.map(|name| Pod::new("reach", name));
    let mut addresses = Vec::new();
    for ((n, pod), vf) in pods.iter().enumerate().zip(vfs) {
        let network =
            network.with("deviceID", vf.to_string()).with("mac", format!("02:00:00:00:56:0{n}"));
        addresses.push(address_of(&network.add(pod, "net1"), 0));
    }
    assert!(pods[0].pings(&addresses[1], 30), "two VFs of one PF reach each other");
    assert!(pods[0].pings(&addresses[2], 30), "VFs of two PFs reach each other");
    for (n, address) in addresses.iter().enumerate().skip(1) {
        let mac = format!("02:00:00:00:56:0{n}");
        assert_eq!(neighbour(&pods[0], address), Some(mac), "the configured MAC is on the wire");
    }
    for (pod, vf) in pods.iter().zip(vfs) {
        network.with("deviceID", vf.to_string()).del(pod, "net1");
    }
}

fn a_vlan_keeps_others_out() {
    let (first, second) = (BedPf::nth(0), BedPf::nth(1));
    let data = tempfile::tempdir().unwrap();
    let network = Network::new("vlans", json!({ "ipam": host_local(&data, &["10.57.0.0/24"]) }));
    let [a, b, c] = ["a", "b", "c"].map(|name| Pod::new("vlan", name));
    let attach = |pod: &Pod, vf: String, vlan: u16| {
        let network = network.with("deviceID", vf).with("vlan", vlan);
        address_of(&network.add(pod, "net1"), 0)
    };
    attach(&a, first.vfs[0].to_string(), 100);
    let same = attach(&b, second.vfs[0].to_string(), 100);
    let other = attach(&c, second.vfs[1].to_string(), 200);
    assert!(a.pings(&same, 30), "a pod on the same VLAN answers");
    c.wait_for_carrier("net1");
    assert!(!a.pings(&other, 3), "a pod on another VLAN doesn't");
    for (pod, vf) in [(&a, first.vfs[0]), (&b, second.vfs[0]), (&c, second.vfs[1])] {
        network.with("deviceID", vf.to_string()).del(pod, "net1");
    }
}

fn spoofed_frames_pass_with_spoofchk_off() {
    assert_eq!(learnt_from_spoofed_frames("off").as_deref(), Some(SPOOFED));
}

fn spoofed_frames_are_dropped_with_spoofchk_on() {
    assert_eq!(learnt_from_spoofed_frames("on"), None);
}

const SPOOFED: &str = "02:00:00:00:58:ff";

/// What a receiver learns of a sender that asks for it from another MAC than its VF's: that of a macvlan on
/// top of it. Who is asked for its address learns the asker's.
fn learnt_from_spoofed_frames(spoof_check: &str) -> Option<String> {
    let (first, second) = (BedPf::nth(0), BedPf::nth(1));
    let data = tempfile::tempdir().unwrap();
    let network = Network::new("spoof", json!({ "ipam": host_local(&data, &["10.58.0.0/24"]) }));
    let [sender, receiver] = ["sender", "receiver"].map(|name| Pod::new("spoof", name));
    let sending = network.with("deviceID", first.vfs[0].to_string()).with("spoofchk", spoof_check);
    let receiving = network.with("deviceID", second.vfs[0].to_string());
    sending.add(&sender, "net1");
    let target = address_of(&receiving.add(&receiver, "net1"), 0);
    assert!(sender.pings(&target, 30), "honest frames pass with spoofchk {spoof_check}");
    assert_eq!(show_vf(&first, 0).on_pf["spoofchk"], json!(spoof_check == "on"));

    let child = ["link", "add", "link", "net1", "name", "spoofed", "address", SPOOFED, "type"];
    sender.run("ip", &[&child[..], &["macvlan", "mode", "private"]].concat());
    sender.run("ip", &["address", "add", "10.58.0.200/32", "dev", "spoofed"]);
    sender.run("ip", &["link", "set", "spoofed", "up"]);
    let host_route = format!("{target}/32");
    sender.run("ip", &["route", "add", &host_route, "dev", "spoofed", "src", "10.58.0.200"]);
    let _ = sender.pings(&target, 3);
    let learnt = neighbour(&receiver, "10.58.0.200");

    sending.del(&sender, "net1");
    receiving.del(&receiver, "net1");
    learnt
}

fn both_families_and_their_routes_are_reachable() {
    let (first, second) = (BedPf::nth(0), BedPf::nth(1));
    let data = tempfile::tempdir().unwrap();
    let mut ipam = host_local(&data, &["10.59.0.0/24", "fd00:59::/64"]);
    let network = Network::new("dual", json!({ "ipam": ipam }));
    let [router, pod] = ["router", "pod"].map(|name| Pod::new("dual", name));
    let router_network = network.with("deviceID", first.vfs[0].to_string());
    let result = router_network.add(&router, "net1");
    let gateways = [address_of(&result, 0), address_of(&result, 1)];
    for address in ["10.99.0.1/32", "fd00:99::1/128"] {
        router.run("ip", &["address", "add", address, "dev", "lo"]);
    }

    ipam["routes"] = json!([
        { "dst": "10.99.0.0/16", "gw": gateways[0] },
        { "dst": "fd00:99::/48", "gw": gateways[1] },
    ]);
    let pod_network =
        network.with("ipam", ipam).with("deviceID", second.vfs[0].to_string()).with("mtu", 1400);
    let result = pod_network.add(&pod, "net1");
    assert_eq!(result["interfaces"][0]["mtu"], 1400);
    assert_eq!(result["interfaces"][0]["pciID"], second.vfs[0].to_string());
    assert_eq!(result["interfaces"][0]["mac"], pod.link("net1")["address"]);
    assert_eq!(pod.link("net1")["mtu"], 1400);
    for target in [&gateways[0], &gateways[1], "10.99.0.1", "fd00:99::1"] {
        assert!(pod.pings(target, 30), "{target} answers");
    }
    router_network.del(&router, "net1");
    pod_network.del(&pod, "net1");
}

/// What has an address in its table keeps the old MAC for a minute or more, unless it is told.
fn an_address_with_a_new_mac_is_announced() {
    let (first, second) = (BedPf::nth(0), BedPf::nth(1));
    let data = tempfile::tempdir().unwrap();
    let peer_network = Network::new(
        "announced",
        json!({
            "deviceID": second.vfs[0].to_string(),
            "ipam": { "type": "host-local", "dataDir": data.path(), "ranges": [[{
                "subnet": "10.66.0.0/24", "rangeStart": "10.66.0.10", "rangeEnd": "10.66.0.10",
            }]] },
        }),
    );
    let ipam = json!({ "type": "host-local", "dataDir": data.path(), "ranges": [[{
        "subnet": "10.66.0.0/24", "rangeStart": "10.66.0.20", "rangeEnd": "10.66.0.20",
    }]] });
    let network = Network::new("announced-too", json!({ "ipam": ipam }));
    let [peer, old, new] = ["peer", "old", "new"].map(|name| Pod::new("announce", name));
    peer_network.add(&peer, "net1");

    let old_network =
        network.with("deviceID", first.vfs[0].to_string()).with("mac", "02:00:00:00:66:01");
    old_network.add(&old, "net1");
    assert!(peer.pings("10.66.0.20", 30), "the first pod answers");
    assert_eq!(neighbour(&peer, "10.66.0.20").as_deref(), Some("02:00:00:00:66:01"));
    old_network.del(&old, "net1");

    let new_network =
        network.with("deviceID", first.vfs[1].to_string()).with("mac", "02:00:00:00:66:02");
    new_network.add(&new, "net1");
    wait::until("the new MAC in the peer's table", Duration::from_secs(5), || {
        let learnt = neighbour(&peer, "10.66.0.20");
        (learnt.as_deref() == Some("02:00:00:00:66:02")).then_some(())
    });
    new_network.del(&new, "net1");
    peer_network.del(&peer, "net1");
}

/// Heard on a VF of another PF: a router's, which is told of IPv6 addresses while the kernel looks for a
/// duplicate, and to which they answer already.
fn the_addresses_of_a_vf_are_announced_in_both_families() {
    let (first, second) = (BedPf::nth(0), BedPf::nth(1));
    let data = tempfile::tempdir().unwrap();
    let ipam = host_local(&data, &["10.67.0.0/24", "fd00:67::/64"]);
    let network = Network::new("heard", json!({ "ipam": ipam }));
    let [router, pod] = ["router", "pod"].map(|name| Pod::new("heard", name));
    router.run("sh", &["-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"]);
    let router_network = network.with("deviceID", second.vfs[0].to_string());
    router_network.add(&router, "net1");
    router.wait_for_carrier("net1");
    let old = ["lladdr", "02:00:00:00:67:ff", "dev", "net1", "nud", "stale"];
    router.run("ip", &[&["neighbour", "add", "fd00:67::3"], &old[..]].concat());
    let listener = Listener::on(&router, "net1");

    let pod_network = network.with("deviceID", first.vfs[0].to_string());
    pod.look_for_duplicates_for_long();
    let result = pod_network.add(&pod, "net1");
    let mac = result["interfaces"][0]["mac"].as_str().unwrap();
    let addresses = [address_of(&result, 0), address_of(&result, 1)];
    listener.wait_for_announcement(&addresses[0], mac);
    listener.wait_for_announcement_to_routers(&addresses[1], mac);
    wait::until("the MAC in the router's table", Duration::from_secs(5), || {
        (neighbour(&router, &addresses[1]).as_deref() == Some(mac)).then_some(())
    });
    for address in &addresses {
        assert!(router.pings(address, 30), "{address} answers");
    }
    assert!(pod.run("ip", &["address", "show", "net1"]).contains("optimistic tentative"));
    pod_network.del(&pod, "net1");
    router_network.del(&router, "net1");
}
