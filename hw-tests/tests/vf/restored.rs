//! Every VF is as it was before, however its pod has ended.

use linkspan_hw_tests::{show, show_vf};
use linkspan_tests::bed::BedPf;
use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::{Pod, run};
use serde_json::{Value, json};

use crate::{address_of, host_local};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(2)];
        a_vf_comes_back_as_it_was,
        a_vf_comes_back_from_a_namespace_that_is_gone,
        one_vf_serves_four_pods_in_turn,
        a_vf_of_a_dead_pod_is_free_without_a_del,
        other_names_and_the_link_s_state_come_back,
        a_vf_gets_and_returns_its_mac_after_its_pf_was_reset,
        all_vfs_come_and_go_at_once,
        check_tells_what_differs,
        a_vf_out_of_reach_keeps_its_vlan_until_it_is_back,
        gc_removes_what_is_not_valid,
    ]
}

/// Everything that a configuration can ask of the bed's driver.
fn network(vf: &str) -> Network {
    Network::new(
        "restored",
        json!({
            "deviceID": vf, "mac": "02:00:00:00:60:01", "mtu": 1400, "vlan": 100, "vlanQoS": 3,
            "spoofchk": "off", "trust": "on",
        }),
    )
}

fn a_vf_comes_back_as_it_was() {
    let pf = BedPf::nth(0);
    let before = show(&pf);
    let network = network(&pf.vfs[2].to_string());
    let pod = Pod::new("back", "pod");
    network.add(&pod, "net1");

    let during = show_vf(&pf, 2);
    assert_eq!(during.netdev, Value::Null, "the VF is in the pod");
    for (key, value) in [
        ("address", json!("02:00:00:00:60:01")),
        ("vlan_list", json!([{ "vlan": 100, "qos": 3 }])),
        ("spoofchk", json!(false)),
        ("trust", json!(true)),
    ] {
        assert_eq!(during.on_pf[key], value, "{key} in {}", during.on_pf);
    }
    let link = pod.link("net1");
    assert_eq!((&link["address"], &link["mtu"]), (&json!("02:00:00:00:60:01"), &json!(1400)));

    for times in ["once", "twice"] {
        network.del(&pod, "net1");
        assert_eq!(show(&pf), before, "after DEL, {times}");
    }
}

fn a_vf_comes_back_from_a_namespace_that_is_gone() {
    let pf = BedPf::nth(1);
    let before = show(&pf);
    let network = network(&pf.vfs[3].to_string());
    let pod = Pod::new("gone", "pod");
    network.add(&pod, "net1");
    pod.delete();
    // The kernel may still be at it: DEL waits until the VF is back.
    network.del(&pod, "net1");
    assert_eq!(show(&pf), before);
    network.del(&pod, "net1");
    assert_eq!(show(&pf), before, "a second DEL changes nothing");
}

fn one_vf_serves_four_pods_in_turn() {
    let (pf, other) = (BedPf::nth(0), BedPf::nth(1));
    let before = show(&pf);
    let data = tempfile::tempdir().unwrap();
    let ipam = host_local(&data, &["10.61.0.0/24"]);
    let shared = Network::new("turns", json!({ "ipam": ipam }));
    for turn in 1..=4 {
        let mac = format!("02:00:00:00:61:0{turn}");
        let with_vlan = shared.with("vlan", 100 + turn);
        let network = with_vlan
            .with("deviceID", pf.vfs[4].to_string())
            .with("mac", mac.clone())
            .with("mtu", 1500 - turn);
        let partner = with_vlan.with("deviceID", other.vfs[4].to_string());
        let [pod, peer] =
            [format!("pod{turn}"), format!("peer{turn}")].map(|n| Pod::new("turn", &n));
        let result = network.add(&pod, "net1");
        assert_eq!(result["interfaces"][0]["mac"], mac);
        assert_eq!(result["interfaces"][0]["mtu"], 1500 - turn);
        partner.add(&peer, "net1");
        assert!(peer.pings(&address_of(&result, 0), 30), "pod {turn} answers");
        network.del(&pod, "net1");
        partner.del(&peer, "net1");
        assert_eq!(show(&pf), before, "after pod {turn}");
    }
}

fn a_vf_of_a_dead_pod_is_free_without_a_del() {
    let pf = BedPf::nth(0);
    let before = show(&pf);
    let network = network(&pf.vfs[5].to_string());
    let [dead, living] = ["dead", "living"].map(|name| Pod::new("heir", name));
    network.add(&dead, "net1");
    dead.delete();
    network.add(&living, "net1");
    // The dead pod's own DEL comes late, and must not touch what is another's now.
    network.del(&dead, "net1");
    assert_eq!(living.link("net1")["address"], "02:00:00:00:60:01");
    network.del(&living, "net1");
    assert_eq!(show(&pf), before);
}

fn other_names_and_the_link_s_state_come_back() {
    let pf = BedPf::nth(0);
    let name = show_vf(&pf, 6).netdev["name"].as_str().unwrap().to_owned();
    for alt_name in ["net1", "a-name-that-is-longer-than-fifteen"] {
        run("ip", &["link", "property", "add", "dev", &name, "altname", alt_name]);
    }
    run("ip", &["link", "set", &name, "up"]);
    let before = show(&pf);
    let network = network(&pf.vfs[6].to_string());
    let pod = Pod::new("names", "pod");
    // The pod's name for it is one of its other names, which the kernel would refuse as taken.
    network.add(&pod, "net1");
    network.del(&pod, "net1");
    let after = show(&pf);

    run("ip", &["link", "set", &name, "down"]);
    for alt_name in ["net1", "a-name-that-is-longer-than-fifteen"] {
        run("ip", &["link", "property", "del", "dev", &name, "altname", alt_name]);
    }
    assert_eq!(sorted(after), sorted(before));
}

/// The kernel lists a link's other names in the order in which it got them.
fn sorted(mut shown: Vec<linkspan_hw_tests::VfShown>) -> Vec<linkspan_hw_tests::VfShown> {
    for vf in &mut shown {
        if let Some(names) = vf.netdev["alt_names"].as_array_mut() {
            names.sort_by_key(ToString::to_string);
        }
    }
    shown
}

/// A PF that is reset forgets which VFs speak to it, and those that are down have no part in its revival.
fn a_vf_gets_and_returns_its_mac_after_its_pf_was_reset() {
    let pf = BedPf::nth(0);
    let before = show(&pf);
    let reset = || {
        for state in ["down", "up"] {
            run("ip", &["link", "set", pf.name.as_str(), state]);
        }
    };
    let network = network(&pf.vfs[2].to_string());
    let pod = Pod::new("reset", "pod");
    reset();
    network.add(&pod, "net1");
    assert_eq!(pod.link("net1")["address"], "02:00:00:00:60:01");
    pod.run("ip", &["link", "set", "net1", "down"]);
    reset();
    network.del(&pod, "net1");
    assert_eq!(show(&pf), before);

    network.add(&pod, "net1");
    pod.delete();
    reset();
    network.del(&pod, "net1");
    assert_eq!(show(&pf), before);
}

/// Someone in the pod has moved it on. DEL waits for it in vain, and must not open the untagged network to it.
fn a_vf_out_of_reach_keeps_its_vlan_until_it_is_back() {
    let pf = BedPf::nth(1);
    let before = show(&pf);
    let network = network(&pf.vfs[5].to_string());
    let [pod, elsewhere] = ["pod", "elsewhere"].map(|name| Pod::new("astray", name));
    network.add(&pod, "net1");
    pod.run("ip", &["link", "set", "net1", "netns", elsewhere.name()]);
    let reply = network.try_del(&pod, "net1");
    let vf = pf.vfs[5];
    assert_eq!(
        (reply.code(), reply.msg().to_owned()),
        (Some(11), format!("VF {vf} is neither in the host's namespace nor in the pod's"))
    );
    assert_eq!(show_vf(&pf, 5).on_pf["vlan_list"], json!([{ "vlan": 100, "qos": 3 }]));
    elsewhere.delete();
    network.del(&pod, "net1");
    assert_eq!(show(&pf), before);
}

fn check_tells_what_differs() {
    let pf = BedPf::nth(1);
    let before = show(&pf);
    let network = network(&pf.vfs[2].to_string());
    let pod = Pod::new("check", "pod");
    let check = || {
        let netns = pod.netns();
        let reply = network.call(
            "CHECK",
            &[
                ("CNI_CONTAINERID", pod.name()),
                ("CNI_NETNS", &netns.to_string_lossy()),
                ("CNI_IFNAME", "net1"),
            ],
        );
        assert_eq!(reply.success, reply.code().is_none(), "{reply:#?}");
        reply.code().map(|code| (code, reply.msg().to_owned()))
    };
    let differs = |what: &str| Some((105, what.to_owned()));
    let missing = "there is no interface net1 of container check-pod on network restored";
    assert_eq!(check(), differs(missing));
    network.add(&pod, "net1");
    assert_eq!(check(), None);
    pod.run("ip", &["link", "set", "net1", "down"]);
    assert_eq!(check(), differs("net1 is down, expected it up"));
    pod.run("ip", &["link", "set", "net1", "name", "other"]);
    assert_eq!(check(), differs("the pod has no interface net1"));
    // DEL finds it under any name.
    network.del(&pod, "net1");
    assert_eq!(show(&pf), before);
}

fn all_vfs_come_and_go_at_once() {
    let pfs = [BedPf::nth(0), BedPf::nth(1)];
    let before = pfs.each_ref().map(show);
    let data = tempfile::tempdir().unwrap();
    let shared = Network::new("crowd", json!({ "ipam": host_local(&data, &["10.65.0.0/24"]) }));
    let vfs: Vec<String> = pfs.iter().flat_map(|pf| &pf.vfs).map(ToString::to_string).collect();
    let pods: Vec<Pod> = (0..vfs.len()).map(|n| Pod::new("crowd", &n.to_string())).collect();
    let network = |n: usize| {
        let vlan = u32::try_from(100 + n).unwrap();
        shared.with("deviceID", vfs[n].clone()).with("vlan", vlan)
    };
    let addresses: Vec<String> = std::thread::scope(|scope| {
        let one = |n: usize| address_of(&network(n).add(&pods[n], "net1"), 0);
        let all: Vec<_> = (0..vfs.len()).map(|n| scope.spawn(move || one(n))).collect();
        all.into_iter().map(|attached| attached.join().unwrap()).collect()
    });
    let distinct: std::collections::HashSet<&String> = addresses.iter().collect();
    assert_eq!(distinct.len(), vfs.len(), "no address is given twice: {addresses:?}");
    std::thread::scope(|scope| {
        for (n, pod) in pods.iter().enumerate() {
            scope.spawn(move || network(n).del(pod, "net1"));
        }
    });
    assert_eq!(pfs.each_ref().map(show), before);
}

fn gc_removes_what_is_not_valid() {
    let pf = BedPf::nth(1);
    let before = show(&pf);
    let [stays, goes] = ["stays", "goes"].map(|name| Pod::new("gc", name));
    let (first, second) = (network(&pf.vfs[0].to_string()), network(&pf.vfs[1].to_string()));
    first.add(&stays, "net1");
    second.add(&goes, "net1");
    let valid = json!([{ "containerID": stays.name(), "ifname": "net1" }]);
    let reply = first.with("cni.dev/valid-attachments", valid).call("GC", &[]);
    assert!(reply.success, "{reply:#?}");
    assert_eq!(show_vf(&pf, 1), before[1]);
    assert_eq!(stays.link("net1")["address"], "02:00:00:00:60:01");
    first.del(&stays, "net1");
    assert_eq!(show(&pf), before);
}
