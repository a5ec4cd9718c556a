//! Pools that set up their PFs: how many VFs there are, and how these are.

use std::fs;

use linkspan_hw_tests::as_before::AsBefore;
use linkspan_linux::pci::Sysfs;
use linkspan_tests::bed::BedPf;
use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::daemon::Signal;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::{Pod, run};
use linkspan_tests::wait::until;
use linkspan_types::PciAddress;
use serde_json::{Value, json};

use crate::{BOUND, Node, pfs, start_plugin};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(2)];
        vfs_are_made_while_the_plugin_runs,
        a_pf_is_left_alone_while_a_pod_has_one_of_its_vfs,
        a_pf_is_left_alone_while_a_pods_macvlan_rides_on_one_of_its_vfs,
        vfs_are_given_to_vfio_and_back,
        a_vf_is_on_vfio_for_as_long_as_a_pod_has_it,
        a_plugin_killed_in_the_midst_is_followed_by_one_that_finishes,
    ]
}

/// A pool with all VFs of a PF, which are to be as `provision` says.
pub(crate) fn pool(pf: &BedPf, provision: &Value) -> Value {
    let selectors = json!({ "pfNames": [pf.name.as_str()] });
    json!([{ "resourceName": "made", "selectors": selectors, "provision": provision }])
}

/// What `ip` shows of a PF.
pub(crate) fn shown(pf: &BedPf) -> Value {
    let text = run("ip", &["-j", "-d", "link", "show", pf.name.as_str()]);
    serde_json::from_str::<Value>(&text).unwrap()[0].take()
}

pub(crate) fn driver(vf: PciAddress) -> Option<String> {
    Sysfs::host().pci(vf).driver().ok().flatten()
}

pub(crate) fn wait_for_driver(vfs: &[PciAddress], expected: &str) {
    for &vf in vfs {
        until(&format!("{vf} is bound to {expected}"), BOUND, || {
            (driver(vf).as_deref() == Some(expected)).then_some(())
        });
    }
}

/// The PF's VFs and MTU as they were, when this is dropped.
pub(crate) struct Before<'a> {
    vfs: AsBefore<'a>,
    mtu: Mtu<'a>,
}

struct Mtu<'a>(&'a BedPf, String);

impl Drop for Mtu<'_> {
    fn drop(&mut self) {
        run("ip", &["link", "set", self.0.name.as_str(), "mtu", &self.1]);
    }
}

impl<'a> Before<'a> {
    pub(crate) fn of(pf: &'a BedPf) -> Self {
        let mtu = Mtu(pf, shown(pf)["mtu"].to_string());
        Self { mtu, vfs: AsBefore::of(pf) }
    }

    pub(crate) fn without_vfs(pf: &'a BedPf) -> Self {
        let before = Self::of(pf);
        before.vfs.set_count(0);
        before
    }
}

fn vfs_are_made_while_the_plugin_runs() {
    let [_, pf] = pfs();
    let _before = Before::without_vfs(&pf);
    let node = Node::configured(&pool(&pf, &json!({})));
    node.wait_for("made", &[]);
    node.configure(&pool(
        &pf,
        &json!({ "numVfs": 4, "mtu": 1400, "trust": "on", "spoofchk": "off" }),
    ));
    node.wait_for("made", &pf.vfs[..4]);
    until("all is as it was asked for", BOUND, || {
        let link = shown(&pf);
        let vfs = link["vfinfo_list"].as_array()?;
        let all_set = vfs.iter().all(|vf| vf["trust"] == true && vf["spoofchk"] == false);
        let of_vf = |vf: &PciAddress| {
            let names = Sysfs::host().pci(*vf).net_names().ok()?;
            Some(Sysfs::host().net(names.first()?).mtu().ok()?.to_string())
        };
        let mtus = pf.vfs[..4].iter().all(|vf| of_vf(vf).as_deref() == Some("1400"));
        (vfs.len() == 4 && all_set && mtus && link["mtu"] == 1400).then_some(())
    });
    // Another number is by way of none.
    node.configure(&pool(&pf, &json!({ "numVfs": 2 })));
    node.wait_for("made", &pf.vfs[..2]);
    // Nothing is done where there is nothing to do, also by a plugin that starts.
    let said = || node.plugin.log().matches("set up: ").count();
    let before = said();
    node.plugin.signal(Signal::HUP);
    node.configure(&pool(&pf, &json!({ "numVfs": 2, "driver": "kernel" })));
    node.configure(
        &json!([{ "resourceName": "other", "selectors": { "pfNames": [pf.name.as_str()] } }]),
    );
    node.wait_for("other", &pf.vfs[..2]);
    assert_eq!(said(), before, "{}", node.plugin.log());
}

fn a_pf_is_left_alone_while_a_pod_has_one_of_its_vfs() {
    let [_, pf] = pfs();
    let before = Before::of(&pf);
    let node = Node::configured(&pool(&pf, &json!({})));
    node.wait_for("made", &pf.vfs);
    let pod = Pod::new("provisioned", "pod");
    let network = Network::new("provisioned", json!({ "deviceID": pf.vfs[1].to_string() }));
    network.add(&pod, "net1");

    node.configure(&pool(&pf, &json!({ "numVfs": 3, "mtu": 1400 })));
    let refusal = |what: &str| {
        until(what, BOUND, || node.plugin.log().contains(what).then_some(()));
    };
    refusal(&format!(
        "keeps its {} VFs, of which `numVfs` wants 3: its VF {}",
        pf.vfs.len(),
        pf.vfs[1]
    ));
    refusal("has its interface in another network namespace");
    // Said once, however often it is looked at.
    node.plugin.signal(Signal::HUP);
    node.plugin.signal(Signal::HUP);
    assert_eq!(shown(&pf)["mtu"].to_string(), before.mtu.1);
    node.wait_for("made", &pf.vfs);
    // It has to wait for the pod's end alone.
    network.del(&pod, "net1");
    node.wait_for("made", &pf.vfs[..3]);
    until("the PF's MTU is set", BOUND, || (shown(&pf)["mtu"] == 1400).then_some(()));
    assert_eq!(node.plugin.log().matches("of which `numVfs` wants 3").count(), 1);

    // The kubelet has given one to a pod, which has not taken it yet.
    node.kubelet.run_pod("ns", "early", "linkspan.dev/made", &[&pf.vfs[0].to_string()]).unwrap();
    node.configure(&pool(&pf, &json!({ "numVfs": 4 })));
    refusal(&format!("its VF {} is the pod ns/early's", pf.vfs[0]));
    node.kubelet.end_pod("ns", "early");
    node.plugin.signal(Signal::HUP);
    node.wait_for("made", &pf.vfs[..4]);
}

/// No list of the kernel's has it, as it is in the pod.
fn a_pf_is_left_alone_while_a_pods_macvlan_rides_on_one_of_its_vfs() {
    let [_, pf] = pfs();
    let _before = Before::of(&pf);
    let node = Node::configured(&pool(&pf, &json!({})));
    node.wait_for("made", &pf.vfs);
    let vf = Sysfs::host().pci(pf.vfs[1]).net_names().unwrap().remove(0);
    let pod = Pod::new("ridden", "pod");
    run("ip", &["link", "set", vf.as_str(), "up"]);
    let add = ["link", "add", "net1", "link", vf.as_str(), "netns", pod.name(), "type", "macvlan"];
    run("ip", &add);
    pod.run("ip", &["link", "set", "net1", "up"]);
    node.configure(&pool(&pf, &json!({ "numVfs": 3 })));
    let refusal =
        format!("its VF {} is in use by the host as {vf}: a link with the MAC", pf.vfs[1]);
    until(&refusal, BOUND, || node.plugin.log().contains(&refusal).then_some(()));
    pod.run("ip", &["link", "delete", "net1"]);
    node.plugin.signal(Signal::HUP);
    node.wait_for("made", &pf.vfs[..3]);
}

fn vfs_are_given_to_vfio_and_back() {
    let [_, pf] = pfs();
    let _before = Before::without_vfs(&pf);
    let kernel = json!({ "numVfs": 2, "driver": "kernel" });
    let node = Node::configured(&pool(&pf, &kernel));
    node.wait_for("made", &pf.vfs[..2]);
    let own = driver(pf.vfs[0]).unwrap();
    node.configure(&pool(&pf, &json!({ "numVfs": 2, "driver": "vfio-pci" })));
    wait_for_driver(&pf.vfs[..2], "vfio-pci");
    let group = Sysfs::host().pci(pf.vfs[0]).iommu_group().unwrap().unwrap().number;
    assert!(fs::exists(format!("/dev/vfio/{group}")).unwrap());
    // More of them, which have never had another driver.
    node.configure(&pool(&pf, &json!({ "numVfs": 3, "driver": "vfio-pci" })));
    wait_for_driver(&pf.vfs[..3], "vfio-pci");
    node.wait_for("made", &pf.vfs[..3]);
    node.configure(&pool(&pf, &kernel));
    wait_for_driver(&pf.vfs[..2], &own);
    node.wait_for("made", &pf.vfs[..2]);
}

fn a_vf_is_on_vfio_for_as_long_as_a_pod_has_it() {
    let [_, pf] = pfs();
    let _before = Before::of(&pf);
    let own = driver(pf.vfs[0]).unwrap();
    let mut resources = pool(&pf, &json!({ "driver": "vfio-pci", "bind": "perPod" }));
    resources[0]["selectors"]["drivers"] = json!([own]);
    let mut node = Node::configured(&resources);
    node.wait_for("made", &pf.vfs);
    let (first, second) = (pf.vfs[0].to_string(), pf.vfs[1].to_string());
    let resource = "linkspan.dev/made";
    let given = node.kubelet.run_pod("ns", "one", resource, &[&first]).unwrap();
    assert_eq!(driver(pf.vfs[0]).as_deref(), Some("vfio-pci"));
    let group = Sysfs::host().pci(pf.vfs[0]).iommu_group().unwrap().unwrap().number;
    let nodes: Vec<_> = given.devices.iter().map(|node| node.host_path.clone()).collect();
    assert_eq!(nodes, ["/dev/vfio/vfio".to_owned(), format!("/dev/vfio/{group}")]);
    // It keeps its place, also for a plugin that starts, which leaves it to the pod.
    node.restart_plugin();
    node.wait_for("made", &pf.vfs);
    node.plugin.signal(Signal::HUP);
    node.kubelet.run_pod("ns", "two", resource, &[&second]).unwrap();
    assert_eq!(driver(pf.vfs[0]).as_deref(), Some("vfio-pci"));
    // The next look finds that its pod has ended, and leaves the other's to it.
    node.kubelet.end_pod("ns", "one");
    node.plugin.signal(Signal::HUP);
    wait_for_driver(&pf.vfs[..1], &own);
    assert_eq!(driver(pf.vfs[1]).as_deref(), Some("vfio-pci"));
    node.wait_for("made", &pf.vfs);
    node.kubelet.end_pod("ns", "two");
    node.plugin.signal(Signal::HUP);
    wait_for_driver(&pf.vfs, &own);
}

fn a_plugin_killed_in_the_midst_is_followed_by_one_that_finishes() {
    let [_, pf] = pfs();
    let _before = Before::without_vfs(&pf);
    let count = |driven: bool| {
        let vfs = Sysfs::host().pci(pf.address).virtual_functions().unwrap();
        let bound = |vf| driver(vf).as_deref() == Some("vfio-pci");
        vfs.into_iter().filter(|(_, vf)| !driven || bound(*vf)).count()
    };
    let mut node = Node::configured(&pool(&pf, &json!({ "numVfs": 4, "driver": "vfio-pci" })));
    // While it makes them, and while it binds them.
    for driven in [false, true] {
        until("it has begun", BOUND, || (count(driven) > 0).then_some(()));
        node.plugin.signal(Signal::KILL);
        assert!(!node.plugin.wait(BOUND).success());
        println!("killed with {} VFs, {} on vfio-pci", count(false), count(true));
        node.plugin = start_plugin(&node.kubelet, node.folder.path());
    }
    wait_for_driver(&pf.vfs[..4], "vfio-pci");
    node.wait_for("made", &pf.vfs[..4]);
}
