//! What is refused: the exact words and code, and a node as it was before.

use linkspan_hw_tests::show;
use linkspan_tests::bed::BedPf;
use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::{Pod, run};
use serde_json::json;

use crate::host_local;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(1)];
        what_is_no_vf_is_refused,
        bad_input_changes_nothing_on_the_node,
        a_vf_that_a_living_pod_holds_is_refused,
        what_the_driver_refuses_is_told_in_the_kernel_s_words,
        a_rate_is_refused_while_the_pf_has_no_link,
        an_mtu_that_is_too_large_is_refused_with_the_kernel_s_sentence,
        a_name_that_the_pod_has_already_is_refused,
        an_exhausted_range_changes_nothing,
    ]
}

#[track_caller]
fn check_refused(network: &Network, pod: &Pod, code: u64, msg: &str) {
    let pf = BedPf::nth(0);
    let before = show(&pf);
    let reply = network.try_add(pod, "net1");
    assert!(!reply.success, "{reply:#?}");
    assert_eq!((reply.code(), reply.msg()), (Some(code), msg));
    assert_eq!(show(&pf), before, "nothing on the node has changed");
    network.del(pod, "net1");
    assert_eq!(show(&pf), before, "nor by the DEL that follows");
}

fn what_is_no_vf_is_refused() {
    let pf = BedPf::nth(0);
    let pod = Pod::new("no-vf", "pod");
    let network = Network::new("no-vf", json!({}));
    check_refused(
        &network.with("deviceID", "0000:fe:1f.7"),
        &pod,
        103,
        "`deviceID` is 0000:fe:1f.7, but this node has no such PCI device",
    );
    check_refused(
        &network.with("deviceID", pf.address.to_string()),
        &pod,
        103,
        &format!(
            "`deviceID` is {}, which is a physical function (PF), expected a virtual one (VF)",
            pf.address
        ),
    );
}

/// The exact words are in `bad_input` of tests/; here it is a VF that is there, and a pod that lives.
fn bad_input_changes_nothing_on_the_node() {
    let pf = BedPf::nth(0);
    let pod = Pod::new("bad", "pod");
    let data = tempfile::tempdir().unwrap();
    let network = Network::new("bad", json!({ "deviceID": pf.vfs[0].to_string() }));
    let host_bits =
        json!({ "type": "host-local", "dataDir": data.path(), "subnet": "10.0.0.5/24" });
    let table = [
        (network.with("deviceID", json!(null)), 7),
        (network.with("deviceID", "ens1v0"), 7),
        (network.with("vlan", 4095), 7),
        (network.with("vlanQoS", 3), 7),
        (network.with("mac", "02:00:00:00:00"), 7),
        (network.with("min_tx_rate", 200).with("max_tx_rate", 100), 7),
        (network.with("ipam", host_bits), 7),
        (network.with("cniVersion", "9.9.9"), 1),
    ];
    let netns = pod.netns();
    let add = |container: &str, stdin: &str| {
        let netns = netns.to_string_lossy();
        let environment =
            [("CNI_CONTAINERID", container), ("CNI_NETNS", &netns), ("CNI_IFNAME", "net1")];
        network.call_with("ADD", &environment, stdin).code()
    };
    let node = || (show(&pf), files("/run/linkspan/attachments"), files(data.path()));
    let links = || pod.run("ip", &["-o", "link", "show"]).lines().count();
    let before = (node(), links());
    for (bad, code) in table {
        assert_eq!(add(pod.name(), &bad.config.to_string()), Some(code), "{}", bad.config);
        assert_eq!((node(), links()), before, "{}", bad.config);
    }
    assert_eq!(add(pod.name(), "{\"cniVersion\": oops}"), Some(6), "malformed JSON");
    assert_eq!(add("../../etc", &network.config.to_string()), Some(4), "a path as container ID");
    assert_eq!((node(), links()), before);
}

/// The names in a folder; none where there is no folder.
fn files(folder: impl AsRef<std::path::Path>) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn a_vf_that_a_living_pod_holds_is_refused() {
    let pf = BedPf::nth(0);
    let before = show(&pf);
    let network = Network::new("held", json!({ "deviceID": pf.vfs[0].to_string() }));
    let [holder, other] = ["holder", "other"].map(|name| Pod::new("held", name));
    network.add(&holder, "net1");
    check_refused(
        &network,
        &other,
        101,
        &format!(
            "VF {} is held by interface net1 of container held-holder on network held",
            pf.vfs[0]
        ),
    );
    assert!(holder.link("net1")["ifname"] == "net1", "the holder still has it");
    network.del(&holder, "net1");
    assert_eq!(show(&pf), before);
}

fn what_the_driver_refuses_is_told_in_the_kernel_s_words() {
    let pf = BedPf::nth(0);
    let pod = Pod::new("driver", "pod");
    let vf = pf.vfs[0].to_string();
    // With a VLAN before it, so that something has to be undone.
    let network = Network::new("driver", json!({ "deviceID": vf, "vlan": 100 }));
    check_refused(
        &network.with("link_state", "disable"),
        &pod,
        100,
        &format!(
            "the driver of PF {} did not set `link_state` disable for its VF 0: cannot set up VF 0 of \
             link {}: Operation not supported (os error 95)",
            pf.name,
            index_of(pf.name.as_str())
        ),
    );
}

/// So does the bed's driver; others set it all the same.
fn a_rate_is_refused_while_the_pf_has_no_link() {
    let pf = BedPf::nth(0);
    let pod = Pod::new("rate", "pod");
    let vf = pf.vfs[1].to_string();
    let network = Network::new("rate", json!({ "deviceID": vf, "vlan": 100, "max_tx_rate": 100 }));
    run("ip", &["link", "set", pf.name.as_str(), "down"]);
    let reply = std::panic::catch_unwind(|| {
        let before = show(&pf);
        let reply = network.try_add(&pod, "net1");
        assert_eq!(show(&pf), before, "nothing on the node has changed");
        reply
    });
    run("ip", &["link", "set", pf.name.as_str(), "up"]);
    let reply = reply.unwrap();
    assert_eq!(reply.code(), Some(100), "{reply:#?}");
    let expected = format!(
        "the driver of PF {} did not set `min_tx_rate` 0 and `max_tx_rate` 100 for its VF 1: ",
        pf.name
    );
    assert!(reply.msg().starts_with(&expected), "{reply:#?}");
    assert!(reply.msg().ends_with("Invalid argument (os error 22)"), "{reply:#?}");
}

fn an_mtu_that_is_too_large_is_refused_with_the_kernel_s_sentence() {
    let pf = BedPf::nth(0);
    let before = show(&pf);
    let pod = Pod::new("mtu", "pod");
    let vf = pf.vfs[1].to_string();
    let network = Network::new("mtu", json!({ "deviceID": vf, "mtu": 65535 }));
    let reply = network.try_add(&pod, "net1");
    assert_eq!(reply.code(), Some(100), "{reply:#?}");
    let sentence =
        "Invalid argument (os error 22); the kernel adds: mtu greater than device maximum";
    assert!(reply.msg().ends_with(sentence), "{reply:#?}");
    assert_eq!(show(&pf), before);
}

fn a_name_that_the_pod_has_already_is_refused() {
    let pf = BedPf::nth(0);
    let pod = Pod::new("taken", "pod");
    pod.run("ip", &["link", "add", "net1", "type", "dummy"]);
    let vf = pf.vfs[0].to_string();
    let network = Network::new("taken", json!({ "deviceID": vf, "mac": "02:00:00:00:62:01" }));
    let before = show(&pf);
    let reply = network.try_add(&pod, "net1");
    let message = "CNI_IFNAME is net1, but the pod has an interface of this name already";
    assert_eq!((reply.code(), reply.msg()), (Some(4), message));
    assert_eq!(show(&pf), before);
}

fn an_exhausted_range_changes_nothing() {
    let pf = BedPf::nth(0);
    let data = tempfile::tempdir().unwrap();
    // Two addresses in all, one of them the gateway's.
    let ipam = host_local(&data, &["10.63.0.0/30"]);
    let network = Network::new("full", json!({ "ipam": ipam }));
    let [first, second] = ["first", "second"].map(|name| Pod::new("full", name));
    let first_network = network.with("deviceID", pf.vfs[0].to_string());
    first_network.add(&first, "net1");
    let second_network = network.with("deviceID", pf.vfs[1].to_string());
    let before = show(&pf);
    let reply = second_network.try_add(&second, "net1");
    assert_eq!(reply.code(), Some(102), "{reply:#?}");
    assert_eq!(show(&pf), before, "the second VF is back on the host");
    first_network.del(&first, "net1");
    second_network.add(&second, "net1");
    second_network.del(&second, "net1");
}

fn index_of(link: &str) -> String {
    let path = format!("/sys/class/net/{link}/ifindex");
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}
