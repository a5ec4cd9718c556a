//! The device plugin: how long after a change of the node the kubelet has it on its list.

use std::time::{Duration, Instant};

use linkspan_tests::kubelet::{Kubelet, State};
use linkspan_tests::pods::run;
use linkspan_tests::sysfs_tree::{Pf, SysfsTree};
use linkspan_tests::uevent;

use crate::place::{OTHER, PARENT};
use crate::samples::{Samples, milliseconds};
use crate::table::table;

const BOUND: Duration = Duration::from_mins(1);

/// Times from a change to the list that shows it.
#[derive(Default)]
pub(crate) struct Changes {
    /// From the loss of the PF's carrier until all of its VFs are unhealthy.
    pub(crate) ill: Samples,
    /// From the return of the carrier until they are healthy again, without damping.
    pub(crate) well: Samples,
    /// From the event of a VF that is new until it is listed.
    pub(crate) listed: Samples,
    /// From the event of a VF that is gone until it is unhealthy.
    pub(crate) gone: Samples,
}

/// Changes one PF, whose interface is the parent, and its last VF, again and again.
pub(crate) fn measure(
    kubelet: &Kubelet,
    resource: &str,
    tree: &SysfsTree,
    pf: &Pf,
    rounds: usize,
) -> Changes {
    assert_eq!(pf.name, PARENT, "its carrier is the one that goes");
    let all = kubelet.state().allocatable(resource).len();
    let last: u32 = (tree.num_vfs(pf)).checked_sub(1).expect("it has VFs");
    let own = last as usize + 1;
    let event = |action| uevent::pci(action, &format!("/devices/pci0000:00/{}", pf.vf(last)));
    let until = |count: usize, change: &dyn Fn()| {
        let start = Instant::now();
        change();
        let changed = |state: &State| state.allocatable(resource).len() == count;
        kubelet.wait_for(&format!("told of {count} healthy VFs"), BOUND, changed);
        start.elapsed()
    };
    let mut changes = Changes::default();
    for _ in 0..rounds {
        let other = |state| drop(run("ip", &["link", "set", OTHER, state]));
        changes.ill.push(until(all - own, &|| other("down")));
        changes.well.push(until(all, &|| other("up")));
        tree.set_num_vfs(pf, last);
        changes.gone.push(until(all - 1, &|| event("remove")));
        // It stays on the list until the kubelet has said that no pod has it.
        kubelet.wait_for("told that it is no more", BOUND, |state| {
            state.resources[resource].devices.len() == all - 1
        });
        tree.set_num_vfs(pf, last + 1);
        changes.listed.push(until(all, &|| event("add")));
    }
    changes
}

/// The numbers as a table.
pub(crate) fn describe<'a>(all: impl Iterator<Item = (u32, &'a Changes)>) -> String {
    let rows: Vec<_> = all
        .flat_map(|(vfs, changes)| {
            let Changes { ill, well, listed, gone } = changes;
            let row = |what: &str, samples: &Samples| {
                [
                    format!("{vfs} VFs, {what}"),
                    milliseconds(samples, Samples::median),
                    milliseconds(samples, Samples::p99),
                    milliseconds(samples, Samples::max),
                    samples.count().to_string(),
                ]
            };
            [
                row("the PF's carrier is lost: its VFs are unhealthy", ill),
                row("the carrier is back: they are healthy", well),
                row("a VF is new: it is listed", listed),
                row("a VF is gone from the bus: it is unhealthy", gone),
            ]
        })
        .collect();
    table(["ms from a change to the kubelet's list", "median", "p99", "max", "runs"], &rows)
}
