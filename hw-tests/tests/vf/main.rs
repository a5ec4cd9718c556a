//! VFs of real (or emulated) SR-IOV NICs, given to pods by the real plugin. They run on the test bed
//! (`make test`), or on a machine that has such NICs (`make hw-test`).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod doctor;
mod killed;
mod leased;
mod multus;
mod refused;
mod restored;
mod traffic;
mod user_space;

use std::process::ExitCode;

use linkspan_tests::harness;
use linkspan_tests::pods::Pod;
use serde_json::{Value, json};

fn main() -> ExitCode {
    harness::main(
        traffic::cases()
            .into_iter()
            .chain(leased::cases())
            .chain(restored::cases())
            .chain(refused::cases())
            .chain(user_space::cases())
            .chain(killed::cases())
            .chain(doctor::cases())
            .chain(multus::cases()),
    )
}

/// An `ipam` section that keeps its reservations in a folder of the test's own.
fn host_local(data: &tempfile::TempDir, subnets: &[&str]) -> Value {
    let ranges: Vec<Value> = subnets.iter().map(|subnet| json!([{ "subnet": subnet }])).collect();
    json!({ "type": "host-local", "dataDir": data.path(), "ranges": ranges })
}

/// The address that a pod was given, without its prefix length.
fn address_of(result: &Value, index: usize) -> String {
    let address = result["ips"][index]["address"].as_str().unwrap();
    address.split('/').next().unwrap().to_owned()
}

/// What a pod has learnt of a neighbour: its MAC, or nothing.
fn neighbour(pod: &Pod, address: &str) -> Option<String> {
    let text = pod.run("ip", &["-j", "neighbour", "show", address]);
    let all: Value = serde_json::from_str(&text).unwrap();
    all[0]["lladdr"].as_str().map(str::to_owned)
}
