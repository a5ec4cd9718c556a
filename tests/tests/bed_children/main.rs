//! ipvlan links and VLAN sub-interfaces for pods, made by the real plugin in the bed's kernel, which has both.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ipvlan;
mod killed;
mod vlan;

use std::process::ExitCode;

use linkspan_tests::harness;

fn main() -> ExitCode {
    harness::main(ipvlan::cases().into_iter().chain(vlan::cases()).chain(killed::cases()))
}
