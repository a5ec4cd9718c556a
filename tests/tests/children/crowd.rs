//! Many at once, and pods that vanish: no address twice, no link lost.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{Lan, PARENT, address_of, host_local, reservations};
use linkspan_tests::pods::Pod;
use linkspan_tests::{cases, wait};
use serde_json::json;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        two_hundred_at_once_share_one_parent_and_one_range,
        pods_that_vanish_in_the_middle_of_an_add_leave_nothing,
    ]
}

fn two_hundred_at_once_share_one_parent_and_one_range() {
    let lan = Lan::new("crowd200");
    let before = lan.shown();
    let data = tempfile::tempdir().unwrap();
    let network = lan.network(json!({
        "type": "linkspan", "kind": "macvlan", "parent": PARENT,
        "ipam": host_local(&data, &["10.110.0.0/24"]),
    }));
    let pods: Vec<Pod> = (0..200).map(|n| lan.pod(&n.to_string())).collect();
    let attached: Vec<(String, String)> = std::thread::scope(|scope| {
        let one = |pod| {
            let result = network.add(pod, "net1");
            let mac = result["interfaces"][0]["mac"].as_str().unwrap().to_owned();
            (address_of(&result, 0), mac)
        };
        let all: Vec<_> = pods.iter().map(|pod| scope.spawn(move || one(pod))).collect();
        all.into_iter().map(|attached| attached.join().unwrap()).collect()
    });
    let addresses: HashSet<&String> = attached.iter().map(|(address, _)| address).collect();
    let macs: HashSet<&String> = attached.iter().map(|(_, mac)| mac).collect();
    assert_eq!((addresses.len(), macs.len()), (200, 200), "none is given twice");
    std::thread::scope(|scope| {
        for pod in &pods {
            scope.spawn(|| network.del(pod, "net1"));
        }
    });
    assert_eq!(reservations(&data, "crowd200"), [""; 0]);
    assert_eq!(lan.shown(), before);
}

fn pods_that_vanish_in_the_middle_of_an_add_leave_nothing() {
    let lan = Lan::new("vanish");
    let before = lan.shown();
    let data = tempfile::tempdir().unwrap();
    let network = lan.network(json!({
        "type": "linkspan", "kind": "macvlan", "parent": PARENT,
        "ipam": host_local(&data, &["10.111.0.0/24"]),
    }));
    for n in 0..30 {
        let pod = lan.pod(&n.to_string());
        std::thread::scope(|scope| {
            let added = scope.spawn(|| network.try_add(&pod, "net1"));
            let deleted = scope.spawn(|| {
                // Each time at another moment of the ADD.
                for _ in 0..n * 200 {
                    std::hint::spin_loop();
                }
                let _ = Command::new("ip").args(["netns", "delete", pod.name()]).output();
            });
            deleted.join().unwrap();
            added.join().unwrap();
        });
        network.del(&pod, "net1");
    }
    assert_eq!(reservations(&data, "vanish"), [""; 0]);
    // The kernel takes the namespaces apart in the background, and their links' share in the parent with them.
    wait::until("the node to be as before", Duration::from_secs(30), || {
        (lan.shown() == before).then_some(())
    });
}
