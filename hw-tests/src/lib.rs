//! What the tests on SR-IOV NICs and the demo share: a VF as `ip` shows it, which is not our code.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

pub mod as_before;

use linkspan_linux::pci::Sysfs;
use linkspan_tests::bed::BedPf;
use linkspan_tests::pods::run;
use linkspan_types::PciAddress;
use serde_json::{Value, json};

/// All that an attachment may change of a VF.
#[derive(Clone, Debug, PartialEq)]
pub struct VfShown {
    /// The VF.
    pub device: PciAddress,
    /// Its netdev: name, other names, MAC, MTU, and whether it is up. Null while it is in a pod.
    pub netdev: Value,
    /// What its PF has set for it.
    pub on_pf: Value,
}

/// All VFs of a PF.
#[must_use]
pub fn show(pf: &BedPf) -> Vec<VfShown> {
    let text = run("ip", &["-j", "link", "show", pf.name.as_str()]);
    let parsed: Value = serde_json::from_str(&text).unwrap();
    let all = parsed[0]["vfinfo_list"].as_array().cloned().unwrap_or_default();
    assert_eq!(all.len(), pf.vfs.len(), "ip shows every VF of {}", pf.name);
    let shown = pf.vfs.iter().zip(all);
    shown
        .map(|(device, on_pf)| VfShown { device: *device, netdev: netdev(*device), on_pf })
        .collect()
}

/// One VF of a PF.
#[must_use]
pub fn show_vf(pf: &BedPf, number: usize) -> VfShown {
    show(pf).swap_remove(number)
}

/// A VF's netdev as [`VfShown`] has it.
#[must_use]
pub fn netdev(device: PciAddress) -> Value {
    let names = Sysfs::host().pci(device).net_names().unwrap();
    let Some(name) = names.first() else { return Value::Null };
    let text = run("ip", &["-j", "link", "show", name.as_str()]);
    let link = serde_json::from_str::<Value>(&text).unwrap()[0].take();
    let up = link["flags"].as_array().is_some_and(|flags| flags.contains(&json!("UP")));
    json!({
        "name": link["ifname"],
        "alt_names": link["altnames"],
        "mac": link["address"],
        "mtu": link["mtu"],
        "up": up,
    })
}
