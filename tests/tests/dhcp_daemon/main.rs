//! The DHCP daemon, asked over its socket, beside a real server: dnsmasq.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod activated;
mod crowd;
mod gone;
mod hostile;
mod kept;
mod privileges;
mod restarted;
mod warm;

use std::process::ExitCode;
use std::time::Duration;

use linkspan_proto::dhcp::{Probe, Wishes};
use linkspan_tests::dhcp_daemon::INTERFACE;
use linkspan_tests::dhcp_server::DhcpServer;
use linkspan_tests::harness;
use linkspan_tests::lan::{FAR, Lan, PARENT};
use linkspan_tests::pods::Pod;

fn main() -> ExitCode {
    let cases = kept::cases().into_iter().chain(gone::cases()).chain(restarted::cases());
    let cases = cases.chain(activated::cases()).chain(hostile::cases());
    harness::main(cases.chain(crowd::cases()).chain(warm::cases()).chain(privileges::cases()))
}

/// Longer than anything takes that is waited for here.
const BOUND: Duration = Duration::from_mins(1);
/// The server's address.
const SERVER: &str = "10.120.0.1";
/// The addresses that it has to give, and for how long: dnsmasq's shortest time.
const RANGE: &str = "10.120.0.10,10.120.0.250,120";
/// T1 and T2, so that more time is asked for after seconds.
const SOON: [&str; 2] = ["--dhcp-option-force=58,2", "--dhcp-option-force=59,6"];

/// A server at the other end of the wire.
fn serve(lan: &Lan, more: &[&str]) -> DhcpServer {
    DhcpServer::start(&lan.neighbour, FAR, &format!("{SERVER}/24"), RANGE, more)
}

/// A pod with a macvlan link that is up, and has no address.
fn pod(lan: &Lan, name: &str) -> Pod {
    let pod = lan.pod(name);
    let netns = pod.name().to_owned();
    let add = ["link", "add", "link", PARENT, "name", INTERFACE, "netns", &netns];
    lan.host.run("ip", &[&add[..], &["type", "macvlan", "mode", "bridge"]].concat());
    pod.run("ip", &["link", "set", INTERFACE, "up"]);
    pod
}

/// What most of these pods want.
fn wishes() -> Wishes {
    Wishes {
        request: vec![1, 3, 6, 15, 26, 51, 58, 59, 121],
        probe: Probe::Never.into(),
        ..Wishes::default()
    }
}
