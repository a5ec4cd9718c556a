//! Addresses from files, by the real program called as host-local, beside the reference plugin of that name.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod boot;
mod cost;
mod crowd;
mod folder;
mod full;
mod killed;
mod shared;

use std::process::ExitCode;

use linkspan_tests::harness;

fn main() -> ExitCode {
    let cases = shared::cases().into_iter().chain(crowd::cases()).chain(killed::cases());
    harness::main(cases.chain(cost::cases()).chain(boot::cases()).chain(full::cases()))
}
