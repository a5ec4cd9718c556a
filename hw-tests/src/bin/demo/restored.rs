//! Every VF before, during and after: proof that nothing stays changed.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use linkspan_hw_tests::{VfShown, show};
use linkspan_tests::bed::BedPf;
use serde_json::Value;

use crate::story::say;
use crate::table::table;

/// All VFs at one moment.
pub(crate) struct Snapshot(Vec<VfShown>);

impl Snapshot {
    pub(crate) fn take(pfs: &[BedPf]) -> Self {
        Self(pfs.iter().flat_map(show).collect())
    }
}

/// Shows all VFs, with three lines for one that was in a pod, and fails if one is not as it was
/// before. What `ip` says counts, also where the table has no column for it.
pub(crate) fn compare(before: &Snapshot, during: &[VfShown], after: &Snapshot) -> Result<()> {
    let mut rows = Vec::new();
    let mut changed = Vec::new();
    for (old, new) in before.0.iter().zip(&after.0) {
        let same = if old == new { "yes" } else { "NO" };
        let in_pod: Vec<_> = during.iter().filter(|shown| shown.device == old.device).collect();
        if in_pod.is_empty() && old == new {
            rows.push(row(&old.device.to_string(), "unused", old, same));
        } else {
            rows.push(row(&old.device.to_string(), "before", old, ""));
            rows.extend(in_pod.iter().map(|shown| row("", "in pod", shown, "")));
            rows.push(row("", "after", new, same));
        }
        if old != new {
            changed.push(format!("{} has changed in {}", old.device, differences(old, new)));
        }
    }
    let headings = ["VF", "when", "name", "MAC", "MTU", "VLAN", "trust", "spoofchk", "same"];
    say(&table(headings, &rows));
    ensure!(changed.is_empty(), "{}", changed.join("; "));
    let (all, used) = (before.0.len(), during.len());
    ensure!(after.0.len() == all, "there were {all} VFs, and now {}", after.0.len());
    say(&format!("All {all} VFs are as they were, the {used} that pods had included."));
    Ok(())
}

/// The keys of `ip`'s answers whose values differ.
fn differences(old: &VfShown, new: &VfShown) -> String {
    let parts = [(&old.netdev, &new.netdev), (&old.on_pf, &new.on_pf)];
    let differing = parts.into_iter().flat_map(|(old, new)| {
        let keys = old.as_object().into_iter().chain(new.as_object()).flat_map(|map| map.keys());
        let keys: BTreeSet<&String> = keys.filter(|&key| old[key] != new[key]).collect();
        keys.into_iter().map(|key| format!("{key} ({} became {})", old[key], new[key]))
    });
    differing.collect::<Vec<_>>().join(", ")
}

fn row(device: &str, when: &str, vf: &VfShown, same: &str) -> [String; 9] {
    let cell = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "on".to_owned(),
        Value::Bool(false) => "off".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    [
        device.to_owned(),
        when.to_owned(),
        cell(&vf.netdev["name"]),
        cell(&vf.netdev["mac"]),
        cell(&vf.netdev["mtu"]),
        cell(&vf.on_pf["vlan_list"][0]["vlan"]),
        cell(&vf.on_pf["trust"]),
        cell(&vf.on_pf["spoofchk"]),
        same.to_owned(),
    ]
}
