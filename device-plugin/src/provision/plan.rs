//! What is to be done to a PF and its VFs, and what must be left undone because it would disturb a pod. Pure.

use std::fmt;

use linkspan_config::resource_list::{Bind, VfDriver};
use linkspan_linux::{VfChange, VfSettings};
use linkspan_types::{IfName, Mtu, PciAddress};

use super::wish::{VfWish, Wish};
use crate::inventory::HostUse;

/// A PF as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PfNow {
    pub(crate) address: PciAddress,
    /// Nothing where it has no interface in this network namespace.
    pub(crate) interface: Option<Interface>,
    /// How many VFs it has, and how many it can have; nothing where it can't have any.
    pub(crate) count: Option<(u32, u32)>,
    /// Whether the kernel gives new VFs to their drivers.
    pub(crate) autoprobe: Option<bool>,
    pub(crate) vfs: Vec<VfNow>,
}

/// A VF as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VfNow {
    pub(crate) address: PciAddress,
    pub(crate) index: u32,
    pub(crate) driver: Option<String>,
    /// Its interfaces in this network namespace.
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) held: Held,
    /// What its PF has set for it; nothing where nobody asked.
    pub(crate) settings: Option<VfSettings>,
}

/// A network interface of a PF or a VF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: IfName,
    pub(crate) mtu: Option<Mtu>,
    /// What the host uses it for; nothing where it is idle, or nobody asked.
    pub(crate) host_use: Option<HostUse>,
}

/// Whether a pod holds a VF, by the kubelet's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// No pod does.
    Free,
    /// This one does.
    By(String),
    /// One may: it was given to a pod a moment ago.
    Given,
    /// The kubelet does not say.
    Unknown,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Lets the kernel give new VFs to their drivers, or not.
    Autoprobe { pf: PciAddress, on: bool },
    /// Makes so many VFs, in place of those that there are.
    NumVfs { pf: PciAddress, before: u32, count: u16 },
    /// Sets the MTU of an interface.
    Mtu { interface: IfName, mtu: Mtu },
    /// Gives a VF to `vfio-pci`, or back to the kernel's driver.
    Bind { vf: PciAddress, vfio: bool },
    /// Changes what the PF has set for a VF.
    Set { pf: IfName, vf: u32, change: VfChange },
}

/// What was left undone, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{pool}: {pf} is no PCI function of this network namespace, expected a PF")]
    NoPf { pool: String, pf: String },
    #[error("{pf} can't have VFs, expected a PF with SR-IOV: see the machine's firmware set-up")]
    NoVfs { pf: PciAddress },
    #[error("{pf} can have {most} VFs, expected at most that in `numVfs`, which is {wanted}")]
    TooMany { pf: PciAddress, most: u32, wanted: u16 },
    #[error(
        "{first} and {second} name the PF {pf} and differ in its `{key}`, expected the same in both: {value} is kept"
    )]
    Conflict { pf: PciAddress, key: &'static str, value: String, first: String, second: String },
    #[error("{pf} keeps {what}: its VF {vf} {in_use}")]
    PfInUse { pf: PciAddress, what: String, vf: PciAddress, in_use: InUse },
    #[error("{vf} keeps its driver {driver}: it {in_use}")]
    VfInUse { pf: PciAddress, vf: PciAddress, driver: String, in_use: InUse },
}

/// Why a VF must not be touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InUse {
    /// A pod holds it.
    Held(String),
    /// A pod is about to hold it.
    Given,
    /// Its driver is one of the kernel's, and its interface is not here.
    Away,
    /// A program may drive it, and the kubelet does not say whether a pod holds it.
    Unknown,
    /// The host uses its interface.
    Host(IfName, HostUse),
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(pod) => write!(f, "is the pod {pod}'s"),
            Self::Given => f.write_str("was given to a pod a moment ago"),
            Self::Away => f.write_str("has its interface in another network namespace"),
            Self::Unknown => f.write_str(
                "may be a pod's, as the kubelet does not say whose it is (mount its directory pod-resources)",
            ),
            Self::Host(interface, host_use) => {
                write!(f, "is in use by the host as {interface}: {host_use}")
            }
        }
    }
}

/// Drivers that leave a device to a program: it has no network interface then, wherever one looks.
const USER_SPACE: [&str; 4] = ["vfio-pci", "uio_pci_generic", "igb_uio", "uio"];
pub(super) const VFIO: &str = "vfio-pci";

impl VfNow {
    pub(crate) fn is_for_user_space(&self) -> bool {
        self.driver.as_deref().is_some_and(|driver| USER_SPACE.contains(&driver))
    }

    /// Why it must not be touched, if it must not.
    fn in_use(&self) -> Option<InUse> {
        match &self.held {
            Held::By(pod) => return Some(InUse::Held(pod.clone())),
            Held::Given => return Some(InUse::Given),
            Held::Free | Held::Unknown => {}
        }
        // Without a driver nobody can use it.
        self.driver.as_ref()?;
        if self.is_for_user_space() {
            return (self.held == Held::Unknown).then_some(InUse::Unknown);
        }
        if self.interfaces.is_empty() {
            return Some(InUse::Away);
        }
        self.interfaces.iter().find_map(|interface| {
            let host_use = interface.host_use.clone()?;
            Some(InUse::Host(interface.name.clone(), host_use))
        })
    }
}

/// The steps for one PF, in their order, and what must be left undone. With the number of VFs yet to be changed
/// that comes alone: what its VFs are like then is seen by another look.
pub(crate) fn plan(wish: &Wish, now: &PfNow) -> (Vec<Step>, Vec<Refusal>) {
    let mut plan = Plan { now, steps: Vec::new(), refusals: Vec::new() };
    let busy = now.vfs.iter().find_map(|vf| Some((vf.address, vf.in_use()?)));
    if plan.number(wish, busy.as_ref()) {
        return (plan.steps, plan.refusals);
    }
    plan.autoprobe(wish);
    plan.mtu(wish.mtu, busy.as_ref());
    for vf in &now.vfs {
        plan.vf(vf, &wish.vf(vf.index), wish.mtu);
    }
    (plan.steps, plan.refusals)
}

struct Plan<'a> {
    now: &'a PfNow,
    steps: Vec<Step>,
    refusals: Vec<Refusal>,
}

impl Plan<'_> {
    /// Whether the VFs are made anew.
    fn number(&mut self, wish: &Wish, busy: Option<&(PciAddress, InUse)>) -> bool {
        let pf = self.now.address;
        let Some(wanted) = wish.num_vfs else { return false };
        let Some((before, most)) = self.now.count else {
            self.refusals.push(Refusal::NoVfs { pf });
            return false;
        };
        if before == u32::from(wanted) {
            return false;
        }
        if u32::from(wanted) > most {
            self.refusals.push(Refusal::TooMany { pf, most, wanted });
        } else if let Some((vf, in_use)) = busy {
            let what = format!("its {before} VFs, of which `numVfs` wants {wanted}");
            let (vf, in_use) = (*vf, in_use.clone());
            self.refusals.push(Refusal::PfInUse { pf, what, vf, in_use });
        } else {
            self.autoprobe(wish);
            self.steps.push(Step::NumVfs { pf, before, count: wanted });
            return true;
        }
        false
    }

    /// VFs that are `vfio-pci`'s from the start need not be anybody else's before.
    fn autoprobe(&mut self, wish: &Wish) {
        let Some(on) = wish.autoprobe() else { return };
        if self.now.autoprobe.is_some_and(|now| now != on) {
            self.steps.push(Step::Autoprobe { pf: self.now.address, on });
        }
    }

    /// Drivers reset the whole card when its MTU changes.
    fn mtu(&mut self, mtu: Option<Mtu>, busy: Option<&(PciAddress, InUse)>) {
        let (Some(mtu), Some(interface)) = (mtu, &self.now.interface) else { return };
        if interface.mtu == Some(mtu) {
            return;
        }
        let pf = self.now.address;
        if let Some((vf, in_use)) = busy {
            let now = interface.mtu.map_or_else(String::new, |now| format!(" {now}"));
            let what = format!("its MTU{now}, which `mtu` wants to be {mtu}");
            let (vf, in_use) = (*vf, in_use.clone());
            self.refusals.push(Refusal::PfInUse { pf, what, vf, in_use });
        } else {
            self.steps.push(Step::Mtu { interface: interface.name.clone(), mtu });
        }
    }

    fn vf(&mut self, vf: &VfNow, wish: &VfWish, mtu: Option<Mtu>) {
        let in_use = vf.in_use();
        let vfio = vf.driver.as_deref() == Some(VFIO);
        let to_vfio = match wish.driver {
            None => None,
            Some(VfDriver::VfioPci(Bind::Always)) => (!vfio).then_some(true),
            // As long as a pod has it, it is as it should be.
            Some(VfDriver::VfioPci(Bind::PerPod))
                if matches!(vf.held, Held::By(_) | Held::Given) =>
            {
                None
            }
            Some(VfDriver::Kernel | VfDriver::VfioPci(Bind::PerPod)) => {
                (vf.driver.is_none() || vf.is_for_user_space()).then_some(false)
            }
        };
        match (to_vfio, in_use) {
            (Some(_), Some(in_use)) => {
                let driver = vf.driver.clone().unwrap_or_default();
                let (pf, vf) = (self.now.address, vf.address);
                self.refusals.push(Refusal::VfInUse { pf, vf, driver, in_use });
                return;
            }
            // What the CNI plugin has set for a pod is the pod's.
            (None, Some(_)) => return,
            (Some(vfio), None) => self.steps.push(Step::Bind { vf: vf.address, vfio }),
            (None, None) => {}
        }
        if let Some(mtu) = mtu.filter(|_| to_vfio.is_none()) {
            let others = vf.interfaces.iter().filter(|interface| interface.mtu != Some(mtu));
            let set = others.map(|interface| Step::Mtu { interface: interface.name.clone(), mtu });
            self.steps.extend(set);
        }
        if let (Some(pf), Some(settings)) = (&self.now.interface, &vf.settings) {
            let change = wish.settings.clone().against(settings);
            if !change.is_empty() {
                self.steps.push(Step::Set { pf: pf.name.clone(), vf: vf.index, change });
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Autoprobe { pf, on: true } => {
                write!(f, "{pf}: new VFs go to the kernel's driver")
            }
            Self::Autoprobe { pf, on: false } => write!(f, "{pf}: new VFs have no driver at first"),
            Self::NumVfs { pf, before, count } => {
                write!(f, "{pf} has {count} VFs in place of {before}")
            }
            Self::Mtu { interface, mtu } => write!(f, "{interface} has the MTU {mtu}"),
            Self::Bind { vf, vfio: true } => write!(f, "{vf} is bound to {VFIO}"),
            Self::Bind { vf, vfio: false } => write!(f, "{vf} is bound to the kernel's driver"),
            Self::Set { pf, vf, change } => {
                write!(f, "VF {vf} of {pf} has {}", change.in_words().join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests;
