//! The CNI protocol as runtimes and other plugins speak it, by the real program under each of its names.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod delegate;
mod devices;
mod ipam;
mod logs;
mod reference;
mod verbs;

use std::process::ExitCode;

use linkspan_tests::cni::{Network, Reply};
use linkspan_tests::harness;
use linkspan_tests::pods::Pod;
use serde_json::Value;

fn main() -> ExitCode {
    harness::main(
        verbs::cases()
            .into_iter()
            .chain(ipam::cases())
            .chain(logs::cases())
            .chain(reference::cases())
            .chain(delegate::cases())
            .chain(devices::cases()),
    )
}

/// The addresses of a pod's interface, but for those that the kernel has given it.
fn addresses_of(pod: &Pod, interface: &str) -> Vec<String> {
    let shown = pod.link(interface);
    let all = shown["addr_info"].as_array().unwrap().iter();
    let global = all.filter(|address| address["scope"] == "global");
    global.map(|a| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"])).collect()
}

/// Checks a pod's interface, which ADD has attached with this result.
fn check(network: &Network, pod: &Pod, interface: &str, result: &Value) -> Reply {
    let netns = pod.netns();
    let environment = [
        ("CNI_CONTAINERID", pod.name()),
        ("CNI_NETNS", netns.to_str().unwrap()),
        ("CNI_IFNAME", interface),
    ];
    network.with("prevResult", result.clone()).call("CHECK", &environment)
}
