//! What calls cost, counted in system calls: as many with 60,000 addresses taken as with a thousand.

use std::fs;

use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::syscalls::Trace;
use serde_json::json;

use crate::folder::{Folder, add, call, del};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Tool("strace")]; with_one_of_60000_left_every_call_costs_what_it_did_before]
}

/// 10.9.0.2 and the addresses after it, as many as are wanted.
fn address(n: usize) -> String {
    format!("10.9.{}.{}", (n + 2) / 256, (n + 2) % 256)
}

/// A network of 60,000 addresses where these are taken, and this one was given last.
fn folder(taken: impl IntoIterator<Item = usize>, last: usize) -> Folder {
    let range = json!({ "subnet": "10.9.0.0/16", "rangeEnd": address(60_000 - 1) });
    let folder = Folder::new(&json!([[range]]));
    fs::create_dir(folder.path("")).unwrap();
    for n in taken {
        fs::write(folder.path(&address(n)), format!("{}\r\nnet1", container(n))).unwrap();
    }
    fs::write(folder.path("last_reserved_ip.0"), address(last)).unwrap();
    // The first call reads all there are.
    del(&folder.ours, "nobody");
    folder
}

fn container(n: usize) -> String {
    format!("{n:064x}")
}

/// The calls of a pod's life and some others, and how many system calls each makes.
fn costs(folder: &Folder) -> [(&'static str, usize); 6] {
    let cost = |network: &Network, verb, container: &str| {
        let trace = folder.data().join("trace");
        let reply = call(&network.run_by(&Trace::strace(&trace)), verb, container);
        assert!(reply.success, "{reply:#?}");
        Trace::read(&trace).own().total()
    };
    let added = cost(&folder.ours, "ADD", "c1");
    let address = format!("{}/16", add(&folder.ours, "c1")[0]);
    let result = json!({ "cniVersion": "1.0.0", "ips": [{ "address": address }] });
    let checked = cost(&folder.ours.with("prevResult", result), "CHECK", "c1");
    let freed = cost(&folder.ours, "DEL", &container(17));
    [
        ("ADD", added),
        ("CHECK", checked),
        ("DEL of an old one", freed),
        // In the full range that is the one that has just been freed, wherever it is.
        ("the next ADD", cost(&folder.ours, "ADD", "c2")),
        ("DEL", cost(&folder.ours, "DEL", "c2")),
        ("DEL of nothing", cost(&folder.ours, "DEL", "c2")),
    ]
}

fn with_one_of_60000_left_every_call_costs_what_it_did_before() {
    const FREE: usize = 31_415;
    let few = costs(&folder(0..1000, FREE));
    let full = folder((0..60_000).filter(|n| *n != FREE), FREE);
    for ((call, few), (_, many)) in few.into_iter().zip(costs(&full)) {
        // One more page of the index may be read, and the address that is given last may be shorter.
        assert!(many <= few + 2, "{call}: {few} system calls, and {many} of 60,000 addresses");
    }
    assert!([FREE, 17].iter().all(|n| full.path(&address(*n)).exists() == (*n == FREE)));
}
