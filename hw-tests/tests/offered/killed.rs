//! The plugin killed before each of the system calls by which it binds a VF for a pod: the next one puts it right.

use std::collections::BTreeSet;

use linkspan_linux::pci::Sysfs;
use linkspan_tests::cases;
use linkspan_tests::daemon::Signal;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::trap::Trap;
use linkspan_types::PciAddress;
use serde_json::json;

use crate::provisioned::{Before, driver, pool, wait_for_driver};
use crate::{BOUND, Node, pfs, start_plugin};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(2), Need::Tool("strace")];
        a_plugin_killed_while_it_binds_a_vf_is_followed_by_one_that_takes_it_back,
    ]
}

/// The driver of a VF, and the one that it is reserved for.
fn place(vf: PciAddress) -> (Option<String>, Option<String>) {
    (driver(vf), Sysfs::host().pci(vf).driver_override().unwrap())
}

fn a_plugin_killed_while_it_binds_a_vf_is_followed_by_one_that_takes_it_back() {
    const VFIO: &str = "vfio-pci";
    /// The first thread writes too, to wake itself, and may come first.
    const MOST: usize = 12;
    let [_, pf] = pfs();
    let _before = Before::of(&pf);
    let vf = pf.vfs[0];
    let own = driver(vf).unwrap();
    let mut node = Node::configured(&pool(&pf, &json!({ "driver": VFIO, "bind": "perPod" })));
    let give =
        |node: &Node| node.kubelet.run_pod("ns", "pod", "linkspan.dev/made", &[&vf.to_string()]);
    let reserved = || Some(VFIO.to_owned());
    let mut unseen = BTreeSet::from([
        (Some(own.clone()), None),
        (None, None),
        (None, reserved()),
        (reserved(), reserved()),
    ]);
    // The last: Multus is told.
    let calls = (1..=MOST).map(|number| ("write", number)).chain([("rename", 1)]);
    for (call, number) in calls {
        if unseen.is_empty() && call == "write" {
            continue;
        }
        node.wait_for("made", &pf.vfs);
        let trap = Trap::set(&node.plugin, call, number);
        give(&node).unwrap_err();
        node.plugin.wait(BOUND);
        drop(trap);
        let left = place(vf);
        println!("killed before {call} {number}: {left:?}");
        unseen.remove(&left);
        node.plugin = start_plugin(&node.kubelet, node.folder.path());
        wait_for_driver(&[vf], &own);
        assert_eq!(place(vf), (Some(own.clone()), None), "{call} {number}");
    }
    assert!(unseen.is_empty(), "it was never killed at {unseen:?}");
    node.wait_for("made", &pf.vfs);
    give(&node).unwrap();
    assert_eq!(driver(vf).as_deref(), Some(VFIO));
    // The next one has not given it away a moment ago, and goes by the kubelet's word alone.
    node.restart_plugin();
    node.wait_for("made", &pf.vfs);
    node.kubelet.end_pod("ns", "pod");
    node.plugin.signal(Signal::HUP);
    wait_for_driver(&[vf], &own);
}
