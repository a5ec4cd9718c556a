//! macvtap: a device node for a virtual machine, its owner, and links that a device plugin has made.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{Lan, PARENT, host_local};
use linkspan_tests::pods::Pod;
use serde_json::{Value, json};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        a_macvtap_link_has_a_node_of_its_own,
        a_link_of_a_pool_moves_in_and_back,
        a_link_of_a_pool_is_given_once,
        no_lock_is_held_while_another_plugin_gives_addresses,
    ]
}

fn node_of(pod: &Pod) -> String {
    format!("/dev/tap{}", pod.link("net1")["ifindex"])
}

fn a_macvtap_link_has_a_node_of_its_own() {
    let lan = Lan::new("tap");
    let before = lan.shown();
    let data = tempfile::tempdir().unwrap();
    let network = lan.network(json!({
        "type": "linkspan", "kind": "macvtap", "parent": PARENT, "mode": "private",
        "owner": 1234, "promiscMode": true, "queues": 4,
        "ipam": host_local(&data, &["10.101.0.0/24"]),
    }));
    let pods = ["one", "two"].map(|name| lan.pod(name));
    for pod in &pods {
        network.add(pod, "net1");
        let node = fs::metadata(node_of(pod)).unwrap();
        assert_eq!((node.uid(), node.gid()), (1234, 107));
    }
    assert_ne!(node_of(&pods[0]), node_of(&pods[1]), "two pods never share a node");
    let shown: Value =
        serde_json::from_str(&pods[0].run("ip", &["-j", "-d", "link", "show", "net1"])).unwrap();
    assert_eq!(shown[0]["linkinfo"]["info_kind"], "macvtap");
    assert_eq!(shown[0]["linkinfo"]["info_data"]["mode"], "private");
    assert_eq!((&shown[0]["num_tx_queues"], &shown[0]["num_rx_queues"]), (&json!(4), &json!(4)));
    assert!(shown[0]["flags"].as_array().unwrap().contains(&json!("PROMISC")), "{shown}");
    let nodes = pods.each_ref().map(node_of);
    for pod in &pods {
        network.del(pod, "net1");
    }
    assert!(nodes.iter().all(|node| !fs::exists(node).unwrap()));
    assert_eq!(lan.shown(), before);
}

/// The link that kubevirt's device plugin makes for the device `dataplaneMvp0`: its hash is a fact of theirs,
/// taken from `xxhsum -H1`.
const POOL_LINK: &str = "mvtcc7b47d9091b";

fn pool_link(lan: &Lan) {
    lan.host.run(
        "ip",
        &["link", "add", "link", PARENT, "name", POOL_LINK, "type", "macvtap", "mode", "bridge"],
    );
}

fn a_link_of_a_pool_moves_in_and_back() {
    let lan = Lan::new("pool");
    pool_link(&lan);
    let before = lan.shown();
    let mut network =
        lan.network(json!({ "type": "macvtap", "deviceID": "dataplaneMvp0", "mtu": 1400 }));
    network.args = "MAC=02:00:00:00:65:01".into();
    let pod = lan.pod("pod");
    let result = network.add(&pod, "net1");
    let link = pod.link("net1");
    assert_eq!((&link["address"], &link["mtu"]), (&json!("02:00:00:00:65:01"), &json!(1400)));
    assert_eq!(result["interfaces"][0]["mac"], link["address"]);
    assert_eq!(fs::metadata(node_of(&pod)).unwrap().uid(), 107);
    network.del(&pod, "net1");
    assert_eq!(lan.shown(), before);
    network.del(&pod, "net1");
}

fn a_link_of_a_pool_is_given_once() {
    let lan = Lan::new("poolheld");
    pool_link(&lan);
    let network = lan.network(json!({ "type": "macvtap", "deviceID": "dataplaneMvp0" }));
    let [first, second] = ["first", "second"].map(|name| lan.pod(name));
    network.add(&first, "net1");
    let reply = network.try_add(&second, "net1");
    assert_eq!(reply.code(), Some(101), "{reply:#?}");
    first.delete();
    // The kernel destroys the link with the pod; whoever makes it anew can give it to the next one.
    let reply = network.try_add(&second, "net1");
    assert_eq!(reply.code(), Some(103), "{reply:#?}");
    pool_link(&lan);
    network.add(&second, "net1");
    network.del(&second, "net1");
    assert_eq!(lan.records(), [""; 0]);
}

/// Whoever else wants the link would wait for a plugin that may take its time, or hang.
fn no_lock_is_held_while_another_plugin_gives_addresses() {
    let lan = Lan::new("unlocked");
    pool_link(&lan);
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("asks-for-the-lock");
    let script = format!(
        "#!/bin/sh\nflock --nonblock /run/linkspan/locks/{POOL_LINK} true || exit 1\n\
         [ $CNI_COMMAND != ADD ] || echo '{{\"cniVersion\": \"1.1.0\", \"ips\": []}}'\n"
    );
    fs::write(&plugin, script).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o700)).unwrap();
    let mut network = lan.network(json!({
        "type": "macvtap", "deviceID": "dataplaneMvp0", "ipam": { "type": "asks-for-the-lock" },
    }));
    network.path = folder.path().to_string_lossy().into_owned();
    let pod = lan.pod("pod");
    network.add(&pod, "net1");
    network.del(&pod, "net1");
    assert_eq!(lan.records(), [""; 0]);
}
