//! macvlan and macvtap links for pods, made by the real plugin in this kernel. What needs ipvlan or VLANs is in
//! `bed_children`, for most machines' kernels have neither.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checked;
mod collected;
mod crowd;
mod killed;
mod made;
mod shares;
mod tap;
mod wire;

use std::process::ExitCode;

use linkspan_tests::harness;

fn main() -> ExitCode {
    let cases = made::cases()
        .into_iter()
        .chain(tap::cases())
        .chain(shares::cases())
        .chain(checked::cases());
    let cases = cases.chain(collected::cases()).chain(wire::cases()).chain(crowd::cases());
    harness::main(cases.chain(killed::cases()))
}
