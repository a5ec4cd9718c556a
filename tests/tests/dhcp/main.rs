//! Addresses from real DHCP servers, by the real plugin and the real daemon, in this kernel. What needs ipvlan or
//! VLANs is in `bed_children`, and VFs are in `vf`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod acquired;
mod asked;
mod drop_in;
mod given_back;
mod killed;
mod missing;
mod other_server;
mod warm;

use std::process::ExitCode;

use linkspan_tests::cni::{Network, Reply};
use linkspan_tests::dhcp_daemon::DhcpDaemon;
use linkspan_tests::dhcp_server::DhcpServer;
use linkspan_tests::harness;
use linkspan_tests::lan::{FAR, Lan, PARENT};
use linkspan_tests::pods::Pod;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let cases = acquired::cases().into_iter().chain(asked::cases()).chain(given_back::cases());
    let cases = cases.chain(missing::cases()).chain(drop_in::cases());
    harness::main(cases.chain(other_server::cases()).chain(killed::cases()).chain(warm::cases()))
}

/// A node with its daemon, and a server on its wire: the neighbour, 10.150.0.1, which gives 10.150.0.10 to .99.
struct Served {
    lan: Lan,
    server: DhcpServer,
    daemon: DhcpDaemon,
}

impl Served {
    fn new(test: &str, options: &[&str]) -> Self {
        Self::with_flags(test, options, &[])
    }

    fn with_flags(test: &str, options: &[&str], flags: &[&str]) -> Self {
        let lan = Lan::new(test);
        let range = "10.150.0.10,10.150.0.99,1h";
        let server = DhcpServer::start(&lan.neighbour, FAR, "10.150.0.1/24", range, options);
        let daemon = DhcpDaemon::start(flags);
        Self { lan, server, daemon }
    }

    /// A macvlan network with these keys in its section `ipam`.
    fn network(&self, ipam: &Value) -> Network {
        self.lan.network(json!({
            "type": "linkspan", "kind": "macvlan", "parent": PARENT, "ipam": self.daemon.ipam(ipam),
        }))
    }
}

/// The address of a result and the MAC of its interface.
fn given(result: &Value) -> (String, String) {
    let mac = result["interfaces"][0]["mac"].as_str().unwrap_or_default();
    (linkspan_tests::lan::address_of(result, 0), mac.to_owned())
}

fn check(network: &Network, pod: &Pod, result: &Value) -> Reply {
    let netns = pod.netns();
    network.with("prevResult", result.clone()).call(
        "CHECK",
        &[
            ("CNI_CONTAINERID", pod.name()),
            ("CNI_NETNS", &netns.to_string_lossy()),
            ("CNI_IFNAME", "net1"),
        ],
    )
}
