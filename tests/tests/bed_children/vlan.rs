//! VLAN sub-interfaces between a parent and its children: made once, shared, counted, and never anybody else's.

use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{FAR, Lan, PARENT, address_of, host_local};
use linkspan_tests::pods::run;
use linkspan_tests::program::program;
use serde_json::{Value, json};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        a_vlan_is_shared_and_goes_with_its_last_user,
        a_vlan_that_somebody_else_made_is_used_and_left,
        many_users_of_one_vlan_come_and_go_at_once,
        gc_removes_a_vlan_that_nobody_uses,
        gc_by_hand_removes_a_vlan_that_nobody_uses,
        traffic_is_tagged,
        a_vlan_needs_a_parent_that_is_up,
    ]
}

fn config(kind: &str) -> Value {
    json!({ "type": "linkspan", "kind": kind, "parent": PARENT, "vlan": 100 })
}

fn vlans(lan: &Lan) -> Vec<String> {
    let links: Value =
        serde_json::from_str(&lan.host.run("ip", &["-j", "link", "show", "type", "vlan"])).unwrap();
    let names = links.as_array().unwrap().iter().filter_map(|link| link["ifname"].as_str());
    names.map(str::to_owned).collect()
}

fn a_vlan_is_shared_and_goes_with_its_last_user() {
    let lan = Lan::new("vshared");
    let before = lan.shown();
    let [first, second, third] = ["first", "second", "third"].map(|name| lan.pod(name));
    let macvlan = lan.network(config("macvlan"));
    let macvtap = lan.network(config("macvtap"));
    let result = macvlan.add(&first, "net1");
    macvtap.add(&second, "net1");
    macvlan.with("vlan", 101).add(&third, "net1");
    let index = lan.host.link(PARENT)["ifindex"].as_u64().unwrap();
    assert_eq!(vlans(&lan), [format!("ls{index:x}.100"), format!("ls{index:x}.101")]);
    let netns = first.netns();
    let check = macvlan.with("prevResult", result).call(
        "CHECK",
        &[
            ("CNI_CONTAINERID", first.name()),
            ("CNI_NETNS", &netns.to_string_lossy()),
            ("CNI_IFNAME", "net1"),
        ],
    );
    assert!(check.success, "{check:#?}");

    macvlan.del(&first, "net1");
    assert_eq!(vlans(&lan).len(), 2, "the second pod has a share in it");
    macvtap.del(&second, "net1");
    assert_eq!(vlans(&lan), [format!("ls{index:x}.101")]);
    macvlan.with("vlan", 101).del(&third, "net1");
    assert_eq!(lan.shown(), before);
}

fn a_vlan_that_somebody_else_made_is_used_and_left() {
    let lan = Lan::new("vforeign");
    lan.host
        .run("ip", &["link", "add", "link", PARENT, "name", "theirs", "type", "vlan", "id", "100"]);
    lan.host.run("ip", &["link", "set", "theirs", "up"]);
    let before = lan.shown();
    let pod = lan.pod("pod");
    let network = lan.network(config("macvlan"));
    network.add(&pod, "net1");
    assert_eq!(pod.link("net1")["link_index"], lan.host.link("theirs")["ifindex"]);
    network.del(&pod, "net1");
    assert!(!pod.run("ip", &["link"]).contains("net1"));
    assert_eq!(lan.shown(), before);
}

fn many_users_of_one_vlan_come_and_go_at_once() {
    let lan = Lan::new("vmany");
    let before = lan.shown();
    let network = lan.network(config("macvlan"));
    let pods: Vec<_> = (0..12).map(|n| lan.pod(&n.to_string())).collect();
    std::thread::scope(|scope| {
        for pod in &pods {
            scope.spawn(|| {
                for _ in 0..4 {
                    network.add(pod, "net1");
                    network.del(pod, "net1");
                }
            });
        }
    });
    assert_eq!(lan.shown(), before);
}

fn gc_removes_a_vlan_that_nobody_uses() {
    let lan = Lan::new("vgc");
    let before = lan.shown();
    let network = lan.network(config("ipvlan"));
    let pod = lan.pod("pod");
    network.add(&pod, "net1");
    pod.delete();
    let reply = network.with("cni.dev/valid-attachments", json!([])).call("GC", &[]);
    assert!(reply.success, "{reply:#?}");
    assert_eq!(lan.shown(), before);
}

fn gc_by_hand_removes_a_vlan_that_nobody_uses() {
    let lan = Lan::new("vgchand");
    let network = lan.network(config("ipvlan"));
    let [stays, goes] = ["stays", "goes"].map(|name| lan.pod(name));
    network.add(&stays, "net1");
    let before = vlans(&lan);
    network.with("vlan", 101).add(&goes, "net1");
    goes.delete();
    // As a program leaves it that was killed between removing the record and the VLAN.
    for record in lan.records().iter().filter(|record| record.contains(goes.name())) {
        std::fs::remove_file(format!("/run/linkspan/attachments/{record}")).unwrap();
    }
    let netns = format!("--net={}", lan.host.netns().display());
    let linkspan = program("linkspan").display().to_string();
    let vlan = vlans(&lan).into_iter().find(|vlan| vlan.ends_with(".101")).unwrap();
    let told = run("nsenter", &[&netns, &linkspan, "gc", "--dry-run"]);
    assert!(told.contains(&format!("would remove VLAN sub-interface {vlan}\n")), "{told}");
    assert!(!told.contains(".100"), "a pod has a share in it: {told}");
    assert_eq!(vlans(&lan).len(), 2);
    let removed = run("nsenter", &[&netns, &linkspan, "gc"]);
    assert_eq!(removed, told.replace("would remove", "removed"));
    assert_eq!(vlans(&lan), before);
    network.del(&stays, "net1");
}

fn traffic_is_tagged() {
    let lan = Lan::new("vtagged");
    lan.neighbour
        .run("ip", &["link", "add", "link", FAR, "name", "far100", "type", "vlan", "id", "100"]);
    lan.neighbour.run("ip", &["link", "set", "far100", "up"]);
    lan.neighbour.run("ip", &["address", "add", "10.124.0.254/24", "dev", "far100"]);
    let data = tempfile::tempdir().unwrap();
    let network =
        lan.network(config("macvlan")).with("ipam", host_local(&data, &["10.124.0.0/24"]));
    let pod = lan.pod("pod");
    let result = network.add(&pod, "net1");
    assert_eq!(address_of(&result, 0), "10.124.0.2");
    assert!(pod.pings("10.124.0.254", 20));
    network.del(&pod, "net1");
}

fn a_vlan_needs_a_parent_that_is_up() {
    let lan = Lan::new("vdown");
    lan.host.run("ip", &["link", "set", PARENT, "down"]);
    let before = lan.shown();
    let reply = lan.network(config("macvlan")).try_add(&lan.pod("pod"), "net1");
    let message = "the parent par0 is down, expected it up, as a VLAN of it is asked for";
    assert_eq!((reply.code(), reply.msg()), (Some(11), message));
    assert_eq!(lan.shown(), before);
}
