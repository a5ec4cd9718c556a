//! Recorded calls of Multus, replayed on the real plugin in this kernel. Those for ipvlan are in `bed_children`, and
//! those for VFs in `vf`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::DhcpDaemon;
use linkspan_tests::dhcp_server::DhcpServer;
use linkspan_tests::harness::{self, Need};
use linkspan_tests::lan::{FAR, Lan, PARENT, reservations};
use linkspan_tests::multus::Story;
use linkspan_tests::wait;
use serde_json::{Value, json};
use tempfile::TempDir;

fn main() -> ExitCode {
    let here = cases![&[Need::Root];
        a_pod_that_asks_for_mac_and_address,
        a_default_route_of_multus_and_a_pod_that_is_gone,
        status_and_gc_of_a_network,
        a_link_of_kubevirts_pool,
    ];
    let served = cases![&[Need::Root, Need::Tool("dnsmasq")]; a_lease_in_the_pods_name];
    harness::main(here.into_iter().chain(served))
}

/// What is left of a pod: links, records, reserved addresses.
fn left(lan: &Lan, data: &TempDir, name: &str) -> (Value, Vec<String>) {
    (lan.shown(), reservations(data, name))
}

/// The network of a story: called by the name that its `type` has.
fn names(name: &'static str, data: &TempDir) -> [(&'static str, Value); 3] {
    [("NAME", json!(name)), ("PARENT", json!(PARENT)), ("DATA", json!(data.path()))]
}

fn a_pod_that_asks_for_mac_and_address() {
    let (lan, data) = (Lan::new("multusmac"), TempDir::new().unwrap());
    let before = left(&lan, &data, "multusmac");
    let (network, pod) = (lan.network(json!({})).called_as("macvlan"), lan.pod("pod"));
    let mut story = Story::read("macvlan-0.3.1", &network, &pod, &names("multusmac", &data));
    story.until("ADD");
    assert_eq!(pod.link("net1")["address"], "02:00:00:00:a0:4d");
    assert_eq!(reservations(&data, "multusmac"), ["10.160.0.77"]);
    story.to_the_end();
    assert_eq!(left(&lan, &data, "multusmac"), before);
}

fn a_default_route_of_multus_and_a_pod_that_is_gone() {
    let (lan, data) = (Lan::new("multusgone"), TempDir::new().unwrap());
    let before = left(&lan, &data, "multusgone");
    let (network, pod) = (lan.network(json!({})).called_as("macvlan"), lan.pod("pod"));
    let mut story = Story::read("macvlan-1.0.0", &network, &pod, &names("multusgone", &data));
    story.until("CHECK");
    assert_eq!(reservations(&data, "multusgone").len(), 2);
    pod.delete();
    story.to_the_end();
    // The kernel removes what was in a dead namespace in its own time.
    let as_before = || (left(&lan, &data, "multusgone") == before).then_some(());
    wait::until("the node as it was", Duration::from_mins(2), as_before);
}

fn status_and_gc_of_a_network() {
    let (lan, data) = (Lan::new("multusgc"), TempDir::new().unwrap());
    let before = left(&lan, &data, "multusgc");
    let (network, pod) = (lan.network(json!({})), lan.pod("pod"));
    let mut story = Story::read("static-1.1.0", &network, &pod, &names("multusgc", &data));
    story.until("GC");
    assert_eq!(lan.records().len(), 1, "an attachment that is told as valid stays");
    story.to_the_end();
    assert_eq!(left(&lan, &data, "multusgc"), before);
}

/// The link that kubevirt's device plugin makes for the device `dataplaneMvp0` (`xxhsum -H1`).
const POOL_LINK: &str = "mvtcc7b47d9091b";

fn a_link_of_kubevirts_pool() {
    let (lan, data) = (Lan::new("multustap"), TempDir::new().unwrap());
    let link = ["link", "add", "link", PARENT, "name", POOL_LINK, "type", "macvtap"];
    lan.host.run("ip", &[&link[..], &["mode", "bridge"]].concat());
    let before = left(&lan, &data, "multustap");
    let (network, pod) = (lan.network(json!({})).called_as("macvtap"), lan.pod("pod"));
    let info = format!("/var/run/k8s.cni.cncf.io/devinfo/cni/shop-tap-{}_net1", pod.name());
    let names = [("NAME", json!("multustap")), ("INFO", json!(info))];
    let mut story = Story::read("macvtap-0.3.1", &network, &pod, &names);
    story.until("ADD");
    let link = pod.link("net1");
    assert_eq!((&link["address"], &link["mtu"]), (&json!("02:00:00:00:a3:01"), &json!(1400)));
    story.to_the_end();
    assert_eq!(left(&lan, &data, "multustap"), before);
    assert!(!fs::exists(info).unwrap());
}

fn a_lease_in_the_pods_name() {
    let (lan, data) = (Lan::new("multusdhcp"), TempDir::new().unwrap());
    let range = "10.164.0.10,10.164.0.99,1h";
    let server = DhcpServer::start(&lan.neighbour, FAR, "10.164.0.1/24", range, &[]);
    let daemon = DhcpDaemon::start(&[]);
    let before = left(&lan, &data, "multusdhcp");
    let (network, pod) = (lan.network(json!({})).called_as("macvlan"), lan.pod("pod"));
    let mut names = names("multusdhcp", &data).to_vec();
    names.push(("SOCKET", json!(daemon.socket())));
    let mut story = Story::read("dhcp-0.4.0", &network, &pod, &names);
    story.until("CHECK");
    let told: Vec<_> = server.leases().into_iter().map(|lease| lease.host_name).collect();
    assert_eq!(told, [Some("web-0".to_owned())]);
    story.to_the_end();
    server.wait_for_no_lease();
    assert_eq!(left(&lan, &data, "multusdhcp"), before);
}
