//! How many system calls an ADD and a DEL take of each kind that this kernel has, so that a regression is seen
//! without a clock.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::ExitCode;

use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{self, Need};
use linkspan_tests::pods::Pod;
use linkspan_tests::syscalls::Trace;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

fn main() -> ExitCode {
    harness::main(cases![&[Need::Root, Need::Tool("strace")];
        a_macvlan_takes_few_system_calls,
        a_macvlan_with_an_address_takes_few_system_calls,
        a_macvtap_takes_few_system_calls,
    ])
}

/// No more than this, two or three more than there are now; what libraries ask for isn't counted.
struct Bound {
    add: usize,
    del: usize,
}

fn a_macvlan_takes_few_system_calls() {
    check("macvlan-calls", &json!({ "type": "macvlan" }), &Bound { add: 29, del: 35 });
}

fn a_macvlan_with_an_address_takes_few_system_calls() {
    let data = tempfile::tempdir().unwrap();
    let ipam = json!({ "type": "host-local", "subnet": "10.61.0.0/24", "dataDir": data.path() });
    let config = json!({ "type": "macvlan", "ipam": ipam });
    check("macvlan-address-calls", &config, &Bound { add: 76, del: 57 });
}

fn a_macvtap_takes_few_system_calls() {
    check("macvtap-calls", &json!({ "type": "macvtap" }), &Bound { add: 32, del: 35 });
}

/// Attaches and detaches a pod twice. The second time is counted: the first one makes the folders.
fn check(test: &str, config: &Value, bound: &Bound) {
    let (host, pod) = (Pod::new(test, "host"), Pod::new(test, "pod"));
    host.run("ip", &["link", "add", "parent", "type", "veth", "peer", "name", "other"]);
    for end in ["parent", "other"] {
        host.run("ip", &["link", "set", end, "up"]);
    }
    let network = Network::new(test, config.clone()).with("master", "parent");
    let trace = NamedTempFile::new().unwrap();
    let in_host = ["ip", "netns", "exec", host.name()];
    let traced = network.run_by(&[&in_host[..], &Trace::strace(trace.path())].concat());
    let count = |verb: &str, bound: usize| {
        let calls = Trace::read(trace.path()).own();
        let count = calls.total();
        assert!(count <= bound, "{verb}: {count} system calls, expected at most {bound}:\n{calls}");
    };
    network.run_by(&in_host).add(&pod, "net1");
    network.run_by(&in_host).del(&pod, "net1");
    traced.add(&pod, "net1");
    count("ADD", bound.add);
    traced.del(&pod, "net1");
    count("DEL", bound.del);
}
