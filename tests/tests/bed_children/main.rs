//! ipvlan links and VLAN sub-interfaces for pods, leases over both, made by the real plugin in the bed's kernel, which has both.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dhcp;
mod ipvlan;
mod killed;
mod multus;
mod vlan;

use std::process::ExitCode;

use linkspan_tests::harness;

fn main() -> ExitCode {
    let cases = ipvlan::cases().into_iter().chain(vlan::cases()).chain(dhcp::cases());
    harness::main(cases.chain(killed::cases()).chain(multus::cases()))
}
