//! GC removes what belongs to no valid attachment, says so, and touches nothing else.

use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{Lan, PARENT, host_local, reservations};
use serde_json::json;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        gc_removes_links_addresses_and_records_of_no_valid_attachment,
        gc_leaves_other_networks_alone,
    ]
}

fn gc_removes_links_addresses_and_records_of_no_valid_attachment() {
    let lan = Lan::new("gclinks");
    let data = tempfile::tempdir().unwrap();
    let network = lan.network(json!({
        "type": "linkspan", "kind": "macvlan", "parent": PARENT,
        "ipam": host_local(&data, &["10.106.0.0/24"]),
    }));
    let [stays, goes, dead] = ["stays", "goes", "dead"].map(|name| lan.pod(name));
    for pod in [&stays, &goes, &dead] {
        network.add(pod, "net1");
    }
    dead.delete();
    // What a killed program has left: a draft of a record, and a reservation that no record tells of.
    let draft = "/run/linkspan/attachments/.gclinks=killed=net1=-";
    std::fs::write(draft, "{").unwrap();
    std::fs::write(data.path().join("gclinks/10.106.0.99"), "killed\r\nnet1").unwrap();

    let valid = json!([{ "containerID": stays.name(), "ifname": "net1" }]);
    let reply = network.with("cni.dev/valid-attachments", valid).call("GC", &[]);
    assert!(reply.success, "{reply:#?}");
    for what in [goes.name(), dead.name(), "10.106.0.99"] {
        assert!(reply.stderr.contains(what), "GC says that it removed {what}: {}", reply.stderr);
    }
    assert!(!goes.run("ip", &["link"]).contains("net1"));
    assert!(stays.run("ip", &["link"]).contains("net1"));
    assert_eq!(reservations(&data, "gclinks"), ["10.106.0.2"]);
    assert_eq!(lan.records(), [format!("gclinks={}=net1=-", stays.name())]);
    network.del(&stays, "net1");
}

fn gc_leaves_other_networks_alone() {
    let lan = Lan::new("gcother");
    let network = lan.network(json!({ "type": "linkspan", "kind": "macvlan", "parent": PARENT }));
    let pod = lan.pod("pod");
    network.add(&pod, "net1");
    let other = network.with("name", "gcothernetwork").with("cni.dev/valid-attachments", json!([]));
    let reply = other.call("GC", &[]);
    assert!(reply.success, "{reply:#?}");
    assert!(pod.run("ip", &["link"]).contains("net1"));
    network.del(&pod, "net1");
}
