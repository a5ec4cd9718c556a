//! The PFs that are to be set up, as sysfs and netlink show them.

use linkspan_linux::pci::{PciDevice, Sysfs, SysfsError};
use linkspan_linux::{NetlinkError, RouteSocket};
use linkspan_types::{IfName, PciAddress};

use super::given::Given;
use super::plan::{Held, Interface, PfNow, VfNow};
use crate::holders::Holders;
use crate::inventory::Interfaces;

impl PfNow {
    /// What sysfs shows. Whether VFs are in use takes more than that: [`Self::ask`].
    pub(super) fn look(sysfs: &Sysfs, address: PciAddress) -> Result<Self, SysfsError> {
        let pf = sysfs.pci(address);
        let mut vfs = Vec::new();
        for (index, address) in pf.virtual_functions()? {
            let vf = sysfs.pci(address);
            vfs.push(VfNow {
                address,
                index,
                driver: vf.driver()?,
                interfaces: interfaces(sysfs, vf.net_names()?)?,
                held: Held::Free,
                settings: None,
            });
        }
        let count = pf.num_vfs()?.zip(pf.total_vfs()?);
        let autoprobe = pf.drivers_autoprobe()?;
        let interface = interfaces(sysfs, own_name(&pf)?)?.pop();
        Ok(Self { address, interface, count, autoprobe, vfs })
    }

    /// Adds who uses the VFs, by the word of the kubelet, where it gave it, and of the host's network.
    pub(super) fn ask(&mut self, holders: Option<&Holders>, given: &Given, host: &Interfaces) {
        for vf in &mut self.vfs {
            let holder = holders.and_then(|holders| holders.holder_of(&vf.address.to_string()));
            vf.held = match holder {
                Some(pod) => {
                    given.is_told(&vf.address);
                    Held::By(format!("{}/{}", pod.namespace, pod.pod))
                }
                None if given.has(&vf.address) => Held::Given,
                None if holders.is_none() => Held::Unknown,
                None => Held::Free,
            };
            for interface in &mut vf.interfaces {
                let seen = host.get(&interface.name);
                interface.host_use = seen.and_then(|seen| seen.host_use.clone());
            }
        }
    }

    /// Adds what the PF has set for its VFs. It takes the kernel's network lock for a millisecond or two a VF.
    pub(super) fn read_settings(&mut self, host: &mut RouteSocket) -> Result<(), NetlinkError> {
        let Some(interface) = &self.interface else { return Ok(()) };
        let index = host.link_by_name(&interface.name)?.index;
        let all = host.vf_settings(index)?;
        for vf in &mut self.vfs {
            vf.settings = all.get(vf.index as usize).cloned();
        }
        Ok(())
    }
}

fn own_name(pf: &PciDevice) -> Result<Vec<IfName>, SysfsError> {
    Ok(pf.pf_name()?.into_iter().collect())
}

fn interfaces(sysfs: &Sysfs, names: Vec<IfName>) -> Result<Vec<Interface>, SysfsError> {
    let interface = |name: IfName| match sysfs.net(&name).mtu() {
        // It has just gone, or has another name by now: there will be an event.
        Err(error) if error.is_missing() => Ok(Interface { name, mtu: None, host_use: None }),
        mtu => Ok(Interface { mtu: Some(mtu?), name, host_use: None }),
    };
    names.into_iter().map(interface).collect()
}
