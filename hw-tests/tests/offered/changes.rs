//! What happens beside the plugin while it runs: pods, kubelets and VFs that come and go.

use std::collections::BTreeMap;
use std::fs;

use linkspan_linux::pci::{Seen, Sysfs};
use linkspan_tests::bed::BedPf;
use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::{Pod, run};
use linkspan_tests::wait::until;
use linkspan_types::PciAddress;
use serde_json::json;

use crate::{BOUND, Node, all_of, pfs, resource};
use linkspan_hw_tests::as_before::AsBefore;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(2)];
        a_vf_in_a_pod_stays_offered,
        a_kubelet_made_anew_hears_of_every_vf,
        vfs_that_go_and_come_are_seen_at_once,
        a_card_that_is_pulled_and_plugged_in_again_is_followed,
        what_was_seen_of_sysfs_is_never_out_of_date,
        a_vf_of_a_pulled_card_is_listed_ill_while_a_pod_has_it,
        an_idle_plugin_is_one_small_thread,
    ]
}

/// The kubelet counts it as the pod's; were it not offered, there would be one device less for all pods.
fn a_vf_in_a_pod_stays_offered() {
    let [pf, _] = pfs();
    let vfs = AsBefore::of(&pf);
    let driver = Sysfs::host().pci(pf.vfs[0]).driver().unwrap().unwrap();
    let mut selectors = all_of(&pf);
    selectors["drivers"] = json!([driver]);
    let mut node = Node::start(&[("fast", selectors)]);
    node.wait_for("fast", &pf.vfs);

    let pod = Pod::new("offered", "pod");
    let network = Network::new("offered", json!({ "deviceID": pf.vfs[0].to_string() }));
    network.add(&pod, "net1");
    let attached = Attached { network, pod };
    // Another VF leaves the pool: the plugin has looked again since the first one went into the pod.
    let (last, others) = pf.vfs.split_last().unwrap();
    vfs.bind(*last, "vfio-pci");
    node.wait_for("fast", others);
    node.restart_plugin();
    node.wait_for("fast", others);
    attached.network.del(&attached.pod, "net1");
}

/// Detaches the pod also when the test fails: the VF is another test's then.
struct Attached {
    network: Network,
    pod: Pod,
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = self.network.try_del(&self.pod, "net1");
    }
}

fn a_kubelet_made_anew_hears_of_every_vf() {
    let pfs = pfs();
    let mut node = Node::start(&[("one", all_of(&pfs[0])), ("two", all_of(&pfs[1]))]);
    for round in 1..=3 {
        for (pool, pf) in ["one", "two"].into_iter().zip(&pfs) {
            let state = node.wait_for(pool, &pf.vfs);
            assert!(state.resources[&resource(pool)].registrations >= round);
        }
        node.kubelet.restart();
    }
}

fn vfs_that_go_and_come_are_seen_at_once() {
    let [pf, changing] = pfs();
    let vfs = AsBefore::of(&changing);
    let node = Node::start(&[("constant", all_of(&pf)), ("changing", all_of(&changing))]);
    node.wait_for("changing", &changing.vfs);
    vfs.set_count(0);
    node.wait_for("changing", &[]);
    vfs.set_count(changing.vfs.len());
    node.wait_for("changing", &changing.vfs);
    let state = node.wait_for("constant", &pf.vfs);
    for pool in ["constant", "changing"] {
        let registrations = state.resources[&resource(pool)].registrations;
        assert_eq!(registrations, 1, "a change of devices is no reason to register {pool} again");
    }
}

fn a_card_that_is_pulled_and_plugged_in_again_is_followed() {
    let [pf, pulled] = pfs();
    let vfs = AsBefore::of(&pulled);
    let card = Card(&pulled);
    let node = Node::start(&[("constant", all_of(&pf)), ("pulled", all_of(&pulled))]);
    node.wait_for("pulled", &pulled.vfs);
    fs::write(format!("/sys/bus/pci/devices/{}/remove", pulled.address), "1").unwrap();
    node.wait_for("pulled", &[]);
    drop(card);
    vfs.set_count(pulled.vfs.len());
    node.wait_for("pulled", &pulled.vfs);
    let state = node.wait_for("constant", &pf.vfs);
    for pool in ["constant", "pulled"] {
        assert_eq!(state.resources[&resource(pool)].registrations, 1, "{pool}");
    }
}

/// What is looked at with the memory of all looks before is the same as what is read anew.
fn what_was_seen_of_sysfs_is_never_out_of_date() {
    let [_, pf] = pfs();
    let vfs = AsBefore::of(&pf);
    let mut seen = Seen::default();
    let mut compare = |after: &str| {
        // Names are still being given.
        until(&format!("seen {after} what is there"), BOUND, || {
            (everything(&mut seen, &pf) == everything(&mut Seen::default(), &pf)).then_some(())
        });
    };
    compare("at first");
    vfs.set_count(0);
    compare("without VFs");
    vfs.set_count(pf.vfs.len());
    compare("with VFs made anew");
    vfs.bind(pf.vfs[0], "vfio-pci");
    compare("with a VF on another driver");
    let card = Card(&pf);
    fs::write(format!("/sys/bus/pci/devices/{}/remove", pf.address), "1").unwrap();
    compare("without the card");
    drop(card);
    compare("with the card in its place");
    vfs.set_count(pf.vfs.len());
    compare("with all VFs");
}

/// All functions, a PF's VFs, and whose the interfaces are.
fn everything(seen: &mut Seen, pf: &BedPf) -> impl PartialEq + use<> {
    let sysfs = Sysfs::host();
    let functions: Vec<_> = (seen.pci_addresses(&sysfs).unwrap().into_iter())
        .map(|address| {
            let device = sysfs.pci(address);
            (address, seen.identity(&device).ok())
        })
        .collect();
    let vfs = seen.virtual_functions(&sysfs.pci(pf.address)).unwrap();
    let interfaces = sysfs.interfaces(seen).unwrap();
    let owners: BTreeMap<_, _> = interfaces.into_iter().map(|i| (i.name, i.owner)).collect();
    (functions, vfs, owners)
}

/// VFs go with their card alone: the kernel has no `remove` for one.
fn a_vf_of_a_pulled_card_is_listed_ill_while_a_pod_has_it() {
    let [_, pulled] = pfs();
    let vfs = AsBefore::of(&pulled);
    let card = Card(&pulled);
    let node = Node::start(&[("pulled", all_of(&pulled))]);
    let fast = resource("pulled");
    node.wait_for("pulled", &pulled.vfs);
    let held = pulled.vfs[1];
    assert!(!fs::exists(format!("/sys/bus/pci/devices/{held}/remove")).unwrap());
    node.kubelet.run_pod("ns", "pod", &fast, &[&held.to_string()]).unwrap();
    let listed = |expected: &[PciAddress]| {
        let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        node.kubelet.wait_for(&format!("told of {expected:?}"), BOUND, |state| {
            state.resources[&fast].devices.iter().map(|device| &device.id).eq(&expected)
        });
    };
    fs::write(format!("/sys/bus/pci/devices/{}/remove", pulled.address), "1").unwrap();
    node.wait_for("pulled", &[]);
    listed(&[held]);
    let refused = node.kubelet.allocate(&fast, &[&held.to_string()]).unwrap_err();
    assert!(refused.message().contains("it is gone from the bus"), "{refused}");
    drop(card);
    vfs.set_count(pulled.vfs.len());
    node.wait_for("pulled", &pulled.vfs);
    listed(&pulled.vfs);
    node.kubelet.end_pod("ns", "pod");
}

/// Finds a card on the bus again, whatever the test does, and sets its PF up as it was.
struct Card<'a>(&'a BedPf);

impl Drop for Card<'_> {
    fn drop(&mut self) {
        let (device, name) = (Sysfs::host().pci(self.0.address), self.0.name.as_str());
        fs::write("/sys/bus/pci/rescan", "1").unwrap();
        let now = until("the PF's interface", BOUND, || device.pf_name().ok().flatten());
        if now.as_str() != name {
            run("ip", &["link", "set", now.as_str(), "name", name]);
        }
        run("ip", &["link", "set", name, "up"]);
        let link = Sysfs::host().net(&self.0.name);
        until("carrier", BOUND, || link.carrier().ok().flatten().filter(|carrier| *carrier));
    }
}

fn an_idle_plugin_is_one_small_thread() {
    let pfs = pfs();
    let node = Node::start(&[("one", all_of(&pfs[0])), ("two", all_of(&pfs[1]))]);
    for (pool, pf) in ["one", "two"].into_iter().zip(&pfs) {
        node.wait_for(pool, &pf.vfs);
    }
    let status = fs::read_to_string(format!("/proc/{}/status", node.plugin.id())).unwrap();
    let field = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap().trim().to_owned()
    };
    println!("the idle plugin's memory: {} resident, at most {}", field("VmRSS"), field("VmHWM"));
    assert_eq!(field("Threads"), "1");
}
