//! CHECK tells exactly what differs, and STATUS why an ADD could not work.

use linkspan_tests::cases;
use linkspan_tests::cni::{Network, Reply};
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{Lan, PARENT, host_local};
use linkspan_tests::pods::Pod;
use serde_json::{Value, json};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        check_tells_each_difference,
        check_finds_a_duplicate_of_an_address,
        check_takes_what_later_plugins_have_changed,
        status_tells_why_an_add_could_not_work,
    ]
}

fn check(network: &Network, pod: &Pod, result: &Value) -> Reply {
    let netns = pod.netns();
    network.with("prevResult", result.clone()).call(
        "CHECK",
        &[
            ("CNI_CONTAINERID", pod.name()),
            ("CNI_NETNS", &netns.to_string_lossy()),
            ("CNI_IFNAME", "net1"),
        ],
    )
}

fn check_tells_each_difference() {
    let lan = Lan::new("check");
    let data = tempfile::tempdir().unwrap();
    let mut ipam = host_local(&data, &["10.102.0.0/24"]);
    ipam["routes"] = json!([{ "dst": "10.103.0.0/16" }]);
    let network = lan.network(json!({
        "type": "linkspan", "kind": "macvlan", "parent": PARENT, "mtu": 1400, "ipam": ipam,
    }));
    let pod = lan.pod("pod");
    let result = network.add(&pod, "net1");
    let good = check(&network, &pod, &result);
    assert!(good.success, "{good:#?}");

    let mac = result["interfaces"][0]["mac"].as_str().unwrap();
    let route = ["route", "del", "10.103.0.0/16"];
    let no_route = "net1 has no route 10.103.0.0/16 via 10.102.0.1";
    let table: [(&[&str], &[&str], String); 6] = [
        (
            &["link", "set", "net1", "mtu", "1300"],
            &["link", "set", "net1", "mtu", "1400"],
            "net1 has MTU 1300, expected 1400".to_owned(),
        ),
        (
            &["link", "set", "net1", "address", "02:00:00:00:66:01"],
            &["link", "set", "net1", "address", mac],
            format!("net1 has MAC 02:00:00:00:66:01, expected {mac}"),
        ),
        (
            &["link", "set", "net1", "type", "macvlan", "mode", "vepa"],
            &["link", "set", "net1", "type", "macvlan", "mode", "bridge"],
            "net1 has mode vepa, expected bridge".to_owned(),
        ),
        (&route, &["route", "add", "10.103.0.0/16", "via", "10.102.0.1"], no_route.to_owned()),
        (
            &["link", "set", "net1", "down"],
            &["link", "set", "net1", "up"],
            // The kernel takes the route away with it.
            format!("net1 is down, expected it up; {no_route}"),
        ),
        (
            &["link", "set", "net1", "down"],
            &["link", "set", "net1", "up"],
            format!("net1 is down, expected it up; {no_route}"),
        ),
    ];
    for (change, back, message) in table {
        pod.run("ip", change);
        let reply = check(&network, &pod, &result);
        assert_eq!((reply.code(), reply.msg()), (Some(105), message.as_str()));
        pod.run("ip", back);
        if change.contains(&"down") {
            pod.run("ip", &["route", "add", "10.103.0.0/16", "via", "10.102.0.1"]);
        }
        assert!(check(&network, &pod, &result).success, "after {back:?}");
    }

    pod.run("ip", &["address", "del", "10.102.0.2/24", "dev", "net1"]);
    let reply = check(&network, &pod, &result);
    assert!(reply.msg().starts_with("net1 has no address 10.102.0.2/24"), "{reply:#?}");
    pod.run("ip", &["address", "add", "10.102.0.2/24", "dev", "net1"]);
    pod.run("ip", &["route", "add", "10.103.0.0/16", "via", "10.102.0.1"]);
    std::fs::remove_file(data.path().join("check/10.102.0.2")).unwrap();
    let reply = check(&network, &pod, &result);
    assert_eq!(reply.msg(), "address 10.102.0.2 is not reserved");
    pod.run("ip", &["link", "del", "net1"]);
    let reply = check(&network, &pod, &result);
    assert!(reply.msg().starts_with("the pod has no interface net1"), "{reply:#?}");
    network.del(&pod, "net1");
}

/// The kernel looks for duplicates while the pod runs already.
fn check_finds_a_duplicate_of_an_address() {
    let lan = Lan::new("checkdup");
    lan.neighbour.run("ip", &["address", "add", "fd00:104::2/64", "dev", "far0", "nodad"]);
    let data = tempfile::tempdir().unwrap();
    let network = lan.network(json!({
        "type": "linkspan", "kind": "macvlan", "parent": PARENT,
        "ipam": host_local(&data, &["fd00:104::/64"]),
    }));
    let pod = lan.pod("pod");
    let result = network.add(&pod, "net1");
    let bound = std::time::Duration::from_secs(10);
    linkspan_tests::wait::until("CHECK to find the duplicate", bound, || {
        let reply = check(&network, &pod, &result);
        let message = "net1 has address fd00:104::2/64, which another host has too";
        (reply.msg() == message).then_some(())
    });
    network.del(&pod, "net1");

    let waiting = network.with("dad", "wait");
    data.close().unwrap();
    let reply = waiting.try_add(&pod, "net1");
    assert_eq!(reply.code(), Some(104), "{reply:#?}");
    assert!(reply.msg().contains("fd00:104::2"), "{reply:#?}");
    assert!(!pod.run("ip", &["link"]).contains("net1"));
}

fn check_takes_what_later_plugins_have_changed() {
    let lan = Lan::new("checklater");
    let network = lan.network(json!({ "type": "linkspan", "kind": "macvlan", "parent": PARENT }));
    let pod = lan.pod("pod");
    let mut result = network.add(&pod, "net1");
    pod.run("ip", &["link", "set", "net1", "address", "02:00:00:00:67:01", "mtu", "1300"]);
    result["interfaces"][0]["mac"] = json!("02:00:00:00:67:01");
    result["interfaces"][0]["mtu"] = json!(1300);
    let reply = check(&network, &pod, &result);
    assert!(reply.success, "{reply:#?}");
    network.del(&pod, "net1");
}

fn status_tells_why_an_add_could_not_work() {
    let lan = Lan::new("status");
    let data = tempfile::tempdir().unwrap();
    let mut ipam = host_local(&data, &[]);
    ipam["ranges"] = json!([[{ "subnet": "10.105.0.0/30" }]]);
    let network = lan.network(json!({
        "type": "linkspan", "kind": "macvlan", "parent": PARENT, "ipam": ipam,
    }));
    let status = |network: &Network| {
        let reply = network.call("STATUS", &[]);
        assert_eq!(reply.success, reply.code().is_none(), "{reply:#?}");
        (reply.code(), reply.msg().to_owned())
    };
    assert_eq!(status(&network), (None, String::new()));
    let missing = "the parent is nope0, but there is no such link";
    assert_eq!(status(&network.with("parent", "nope0")), (Some(50), missing.to_owned()));

    let pod = lan.pod("pod");
    network.add(&pod, "net1");
    assert_eq!(status(&network).0, Some(50), "the only address is given");
    network.del(&pod, "net1");
    assert_eq!(status(&network).0, None);

    let socket = data.path().join("dhcp.sock");
    let dhcp = network.with("ipam", json!({ "type": "dhcp", "daemonSocketPath": socket }));
    let (code, message) = status(&dhcp);
    assert_eq!(code, Some(51));
    assert!(message.starts_with("the DHCP daemon does not listen on "), "{message}");
    let vfs = lan.network(json!({ "type": "linkspan", "kind": "sriov" }));
    assert_eq!(status(&vfs), (Some(50), "this node has no VF".to_owned()));
}
