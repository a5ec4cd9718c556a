//! Devices that pods hold, when they or the configuration change: they stay in the pool that gave them, and
//! nobody else gets them.

use linkspan_proto::deviceplugin::HEALTHY;
use linkspan_tests::daemon::Signal;
use linkspan_tests::kubelet::State;
use linkspan_tests::wait::until;
use serde_json::{Value, json};

use crate::{BOUND, Node, fast, measured, pfs};

const KERNEL: &str = "linkspan.dev/kernel";
const USER: &str = "linkspan.dev/user";

/// Pools by driver: a device that is rebound belongs to the other one.
fn by_driver() -> Value {
    json!([
        {"resourceName": "kernel", "selectors": {"pfNames": ["ens1"], "drivers": ["igbvf"]}},
        {"resourceName": "user", "selectors": {"pfNames": ["ens1"], "drivers": ["vfio-pci"]}}
    ])
}

impl Node {
    /// Waits until a pool lists exactly these VFs of the first PF, whatever their health.
    fn wait_for_vfs(&self, resource: &str, vfs: &[u32]) -> State {
        let expected: Vec<String> = vfs.iter().map(|&vf| pfs()[0].vf(vf).to_string()).collect();
        self.wait(&format!("{resource} has the VFs {vfs:?}"), |state| {
            let known = state.resources.get(resource).filter(|known| known.streaming);
            known.is_some_and(|known| known.devices.iter().map(|d| &d.id).eq(&expected))
        })
    }

    /// Ends a pod, and has the kubelet write its state, as it does when it next gives a device.
    fn end_pod(&self, pod: &str) {
        self.kubelet.end_pod("default", pod);
        self.write_checkpoint();
    }
}

#[test]
fn a_held_device_stays_where_it_was_given_through_every_restart() {
    let mut node = Node::start(by_driver());
    node.wait_for_vfs(KERNEL, &[0, 1, 2, 3]);
    let [held, free] = [0, 1].map(|index| pfs()[0].vf(index));
    node.kubelet.run_pod("default", "pod", KERNEL, &[&held.to_string()]).unwrap();
    for vf in [held, free] {
        node.tree.bind(vf, Some("vfio-pci"));
    }
    node.plugin.signal(Signal::HUP);
    let as_held = |node: &Node| {
        node.wait_for_vfs(KERNEL, &[0, 2, 3]);
        node.wait_for_vfs(USER, &[1]);
    };
    as_held(&node);
    node.kubelet.restart();
    as_held(&node);
    node.restart_plugin(Signal::TERM);
    as_held(&node);
    node.kubelet.kill();
    node.restart_plugin(Signal::KILL);
    node.kubelet.restart();
    as_held(&node);
    node.end_pod("pod");
    node.wait_for_vfs(KERNEL, &[2, 3]);
    node.wait_for_vfs(USER, &[0, 1]);
}

/// It comes without an event, and gives away what it hears of first.
#[test]
fn a_plugin_watcher_hears_of_a_held_device_where_it_was_given_from_the_first() {
    let mut node = Node::start_with(by_driver(), &["--plugin-watcher"]);
    node.wait_for_vfs(KERNEL, &[0, 1, 2, 3]);
    let [held, free] = [0, 1].map(|index| pfs()[0].vf(index));
    let held_text = held.to_string();
    node.kubelet.run_pod("default", "pod", KERNEL, &[&held_text]).unwrap();
    for vf in [held, free] {
        node.tree.bind(vf, Some("vfio-pci"));
    }
    node.kubelet.kill();
    node.restart_plugin(Signal::KILL);
    until("it waits for the watcher", BOUND, || {
        node.plugin.log().contains("user waits for the kubelet's plugin watcher").then_some(())
    });
    node.kubelet.restart();
    let mut offered = Vec::new();
    node.wait("a list was heard", |state| {
        offered.extend(state.allocatable(USER).into_iter().map(str::to_owned));
        !offered.is_empty()
    });
    assert!(!offered.contains(&held_text), "{offered:?}");
    node.wait_for_vfs(KERNEL, &[0, 2, 3]);
    node.wait_for_vfs(USER, &[1]);
}

#[test]
fn a_held_device_of_a_removed_pool_is_nobody_else_s() {
    let node = Node::start(fast());
    node.wait_for_vfs("linkspan.dev/fast", &[0, 1, 2, 3]);
    let held = pfs()[0].vf(2).to_string();
    node.kubelet.run_pod("default", "pod", "linkspan.dev/fast", &[&held]).unwrap();
    node.configure(json!([{"resourceName": "other", "selectors": {"pfNames": ["ens1"]}}]));
    node.wait_for_vfs("linkspan.dev/other", &[0, 1, 3]);
    // Also when the pool is there again, with other devices.
    node.configure(json!([
        {"resourceName": "other", "selectors": {"pfNames": ["ens1"]}},
        {"resourceName": "fast", "selectors": {"pfNames": ["ens2"]}}
    ]));
    node.wait("the held one is back among others", |state| {
        let known = state.resources["linkspan.dev/fast"].devices.iter();
        known.map(|device| &device.id).any(|id| *id == held)
    });
    node.wait_for_vfs("linkspan.dev/other", &[0, 1, 3]);
    node.end_pod("pod");
    node.wait_for_vfs("linkspan.dev/other", &[0, 1, 2, 3]);
    node.wait_for_devices("linkspan.dev/fast", 4);
}

#[test]
fn a_device_that_is_gone_is_listed_ill_while_a_pod_holds_it() {
    let node = Node::start(fast());
    node.wait_for_vfs("linkspan.dev/fast", &[0, 1, 2, 3]);
    let [held, free] = [1, 2].map(|index| pfs()[0].vf(index));
    node.kubelet.run_pod("default", "pod", "linkspan.dev/fast", &[&held.to_string()]).unwrap();
    for vf in [held, free] {
        node.tree.remove_device(vf);
    }
    node.plugin.signal(Signal::HUP);
    let state = node.wait_for_vfs("linkspan.dev/fast", &[0, 1, 3]);
    let ill: Vec<_> = state.resources["linkspan.dev/fast"].devices.iter().collect();
    let ill: Vec<_> = ill.into_iter().filter(|d| d.health != HEALTHY).map(|d| &d.id).collect();
    assert_eq!(ill, [&held.to_string()]);
    node.end_pod("pod");
    node.wait_for_vfs("linkspan.dev/fast", &[0, 3]);
}

#[test]
fn a_device_that_is_gone_and_held_is_missed_also_by_another_plugin() {
    let mut node = Node::start(fast());
    node.wait_for_vfs("linkspan.dev/fast", &[0, 1, 2, 3]);
    let [held, free] = [1, 2].map(|index| pfs()[0].vf(index));
    let held = held.to_string();
    node.kubelet.run_pod("default", "pod", "linkspan.dev/fast", &[&held]).unwrap();
    // What is another plugin's is not ours to miss.
    node.kubelet.hold("default", "pod", "example.com/other", &["0000:81:10.0", "0000:ff:10.0"]);
    node.plugin.signal(Signal::TERM);
    node.plugin.wait(BOUND);
    node.tree.remove_vf(&pfs()[0], 1);
    node.tree.remove_vf(&pfs()[0], 2);
    let as_held = |node: &Node| {
        node.wait_for_devices("linkspan.dev/fast", 2);
        node.wait_for_vfs("linkspan.dev/fast", &[0, 1, 3]);
    };
    node.start_plugin();
    as_held(&node);
    node.restart_plugin(Signal::KILL);
    node.kubelet.restart();
    as_held(&node);
    let told = measured::metrics(&node);
    let ill = format!(
        r#"linkspan_device_unhealthy{{pool="linkspan.dev/fast",device="{held}",reason="it is gone from the bus"}} 1"#
    );
    assert!(told.contains(&ill), "{told}");
    assert!(!told.contains("0000:ff:10.0") && !told.contains(&free.to_string()), "{told}");
    // Its pool goes, and comes back.
    node.configure(json!([{"resourceName": "other", "selectors": {"pfNames": ["ens2"]}}]));
    node.wait_for_devices("linkspan.dev/other", 3);
    node.configure(fast());
    as_held(&node);
    // It is there again, in whosever hands.
    node.tree.add_vf(&pfs()[0], 1);
    node.plugin.signal(Signal::HUP);
    node.wait_for_devices("linkspan.dev/fast", 3);
    node.tree.remove_vf(&pfs()[0], 1);
    node.restart_plugin(Signal::TERM);
    as_held(&node);
    node.end_pod("pod");
    node.wait_for_vfs("linkspan.dev/fast", &[0, 3]);
}

#[test]
fn a_whole_nic_in_a_pod_is_still_its_pool_s_after_a_restart() {
    let whole = || {
        json!([
            {"resourceName": "whole", "selectors": {"pfNames": ["lo"]}, "allowInUse": ["lo"]},
            {"resourceName": "fast", "selectors": {"pfNames": ["ens1"]}}
        ])
    };
    let mut node = Node::start(whole());
    node.wait_for_vfs("linkspan.dev/fast", &[0, 1, 2, 3]);
    let nic = "0000:03:00.0".parse().unwrap();
    node.tree.add_device(nic, 0x8086, 0x1572, 0);
    node.tree.bind(nic, Some("i40e"));
    // Every machine has such a link, which may as well be the NIC's.
    node.tree.add_interface(nic, "lo");
    node.plugin.signal(Signal::HUP);
    node.wait_for_devices("linkspan.dev/whole", 1);
    let id = nic.to_string();
    node.kubelet.run_pod("default", "pod", "linkspan.dev/whole", &[&id]).unwrap();
    // Its name, by which the pool selects it, goes into the pod with its interface.
    node.tree.take_interfaces(nic);
    node.plugin.signal(Signal::HUP);
    node.wait_for_devices("linkspan.dev/whole", 1);
    for signal in [Signal::TERM, Signal::KILL] {
        node.restart_plugin(signal);
        let state = node.wait_for_devices("linkspan.dev/whole", 1);
        assert_eq!(state.allocatable("linkspan.dev/whole"), [id.as_str()]);
    }
    node.end_pod("pod");
    node.wait("nobody has it, and nothing selects it", |state| {
        state.resources["linkspan.dev/whole"].devices.is_empty()
    });
}
