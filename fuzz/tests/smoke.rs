//! Every target on its seeds, and on what some changes make of them: no search, but on the stable compiler, and
//! the same inputs in each run.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use fastrand::Rng;
use linkspan_fuzz::{Donors, data_dir, dhcp_packet, mutate, net_conf, resource_list, seeds};

/// Runs a target on its seeds, and on so many other inputs.
fn try_out(name: &str, target: fn(&[u8]), others: u64) {
    let seeds = seeds(name);
    for (file, seed) in &seeds {
        run(target, seed, &format!("seeds/{name}/{file}"));
    }
    let donors = Donors::of(&seeds);
    for number in 0..others {
        let mut rng = Rng::with_seed(number);
        let mut input = rng.choice(&seeds).map(|(_, seed)| seed.clone()).unwrap_or_default();
        for _ in 0..rng.u8(1..8) {
            input = mutate(&input, &donors, &mut rng);
        }
        run(target, &input, &format!("input {number}"));
    }
}

fn run(target: fn(&[u8]), input: &[u8], what: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        eprintln!("{what} was:\n{}", String::from_utf8_lossy(input));
        resume_unwind(panic);
    }
}

#[test]
fn the_configuration_of_a_network() {
    try_out("net_conf", net_conf, 2_000);
}

#[test]
fn the_configuration_of_the_pools() {
    try_out("resource_list", resource_list, 3_000);
}

#[test]
fn the_folder_of_reservations() {
    try_out("data_dir", data_dir, 1_200);
}

#[test]
fn the_message_of_a_dhcp_server() {
    try_out("dhcp_packet", dhcp_packet, 100_000);
}
