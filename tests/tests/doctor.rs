//! The doctor against real links: what is wrong with them is told, and once it is put right no longer.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::ExitCode;

use linkspan_tests::cases;
use linkspan_tests::harness::{self, Need};
use linkspan_tests::pods::Pod;
use linkspan_tests::program::program;
use serde_json::Value;
use tempfile::TempDir;

fn main() -> ExitCode {
    harness::main(cases![&[Need::Root]; what_is_wrong_with_links_is_told_until_it_is_put_right])
}

/// The exit code, and the check and what was seen of each finding.
fn doctor(node: &Pod, root: &TempDir) -> (Option<i32>, Vec<String>) {
    let (program, root) = (program("linkspan"), root.path());
    let arguments = ["doctor", "--json", "--root", root.to_str().unwrap()];
    let output = node.output(program.to_str().unwrap(), &arguments);
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let seen = findings.iter().map(|one| format!("{}: {}", text(one, "check"), text(one, "seen")));
    (output.status.code(), seen.collect())
}

fn what_is_wrong_with_links_is_told_until_it_is_put_right() {
    let node = Pod::new("doctor", "node");
    let root = tempfile::tempdir().unwrap();
    let networks = root.path().join("etc/cni/net.d");
    fs::create_dir_all(&networks).unwrap();
    let network = r#"{"name": "lan", "type": "macvlan", "master": "one", "mtu": 9000}"#;
    fs::write(networks.join("10-lan.conf"), network).unwrap();

    let missing = "parent: network lan rides on one, which this node has not".to_owned();
    assert_eq!(doctor(&node, &root), (Some(1), vec![missing]));

    node.run("ip", &["link", "add", "one", "type", "veth", "peer", "name", "other"]);
    let mtu = "mtu: network lan asks for an MTU of 9000, and one below it has 1500".to_owned();
    let down = "link-down: one is down".to_owned();
    assert_eq!(doctor(&node, &root), (Some(1), vec![mtu, down.clone()]));

    node.run("ip", &["link", "set", "one", "mtu", "9000"]);
    assert_eq!(doctor(&node, &root), (Some(3), vec![down]));

    node.run("ip", &["link", "set", "one", "up"]);
    let silent = "link-down: one has no carrier".to_owned();
    assert_eq!(doctor(&node, &root), (Some(3), vec![silent]));

    node.run("ip", &["link", "set", "other", "up"]);
    node.wait_for_carrier("one");
    assert_eq!(doctor(&node, &root), (Some(0), Vec::new()));

    // Two links of one parent can't have one MAC; of two parents they can, and the switch does not know which is meant.
    let mac = "02:00:00:00:00:77";
    for (name, parent) in [("a", "one"), ("b", "other")] {
        node.run(
            "ip",
            &["link", "add", "link", parent, "name", name, "address", mac, "type", "macvlan"],
        );
    }
    let twice = format!("duplicate-mac: a and b have the MAC {mac}");
    assert_eq!(doctor(&node, &root), (Some(1), vec![twice]));
}
