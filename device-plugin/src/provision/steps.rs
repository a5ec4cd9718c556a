//! Doing what was planned, one step after the other. Whatever ends it, the next look finds what is left to do.

use linkspan_linux::pci::{SetUpError, Sysfs};
use linkspan_linux::{LinkChange, NetlinkError, RouteSocket, SetVfError};
use linkspan_types::PciAddress;

use super::plan::{self, PfNow, Refusal, Step};
use super::wish::Wish;

/// A step that could not be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error(transparent)]
    SetUp(#[from] SetUpError),
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Vf(#[from] SetVfError),
}

/// What has become of a plan.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Of this PF.
    pub(super) done: Vec<(PciAddress, Step)>,
    /// Of this PF, what was to be done, and why it could not be.
    pub(super) failed: Vec<(PciAddress, String, StepError)>,
    pub(super) refused: Vec<Refusal>,
}

/// Plans for each PF, and does it. It may take seconds: drivers do.
pub(super) fn carry_out(pfs: Vec<(Wish, PfNow)>, sysfs: &Sysfs) -> Outcome {
    let mut outcome = Outcome::default();
    for (wish, mut now) in pfs {
        if wish.has_settings()
            && let Err(error) =
                RouteSocket::open().and_then(|mut host| now.read_settings(&mut host))
        {
            let what = format!("{}: read its VFs' settings", now.address);
            outcome.failed.push((now.address, what, error.into()));
        }
        let (steps, refused) = plan::plan(&wish, &now);
        outcome.refused.extend(refused);
        for step in steps {
            match step.carry_out(sysfs) {
                Ok(()) => outcome.done.push((now.address, step)),
                // The others don't build on it: a VF's driver is no matter of another VF.
                Err(error) => outcome.failed.push((now.address, step.to_string(), error)),
            }
        }
    }
    outcome
}

impl Step {
    fn carry_out(&self, sysfs: &Sysfs) -> Result<(), StepError> {
        match self {
            Self::Autoprobe { pf, on } => sysfs.pci(*pf).set_drivers_autoprobe(*on)?,
            Self::NumVfs { pf, count, .. } => sysfs.pci(*pf).set_num_vfs((*count).into())?,
            Self::Mtu { interface, mtu } => {
                let mut host = RouteSocket::open()?;
                let index = host.link_by_name(interface)?.index;
                let change = LinkChange { mtu: Some(*mtu), ..LinkChange::default() };
                host.change_link(index, &change)?;
            }
            Self::Bind { vf, vfio: true } => sysfs.pci(*vf).bind_to(plan::VFIO)?,
            Self::Bind { vf, vfio: false } => sysfs.pci(*vf).bind_to_kernel_driver()?,
            Self::Set { pf, vf, change } => {
                let mut host = RouteSocket::open()?;
                let index = host.link_by_name(pf)?.index;
                host.set_vf(index, pf.as_str(), *vf, change)?;
            }
        }
        Ok(())
    }
}
