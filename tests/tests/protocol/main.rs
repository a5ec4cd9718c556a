//! The CNI protocol as runtimes and other plugins speak it, by the real program under each of its names.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ipam;
mod reference;
mod verbs;

use std::process::ExitCode;

use linkspan_tests::harness;

fn main() -> ExitCode {
    harness::main(verbs::cases().into_iter().chain(ipam::cases()).chain(reference::cases()))
}
