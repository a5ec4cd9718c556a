//! The PFs that are to be set up, as sysfs and netlink show them.

use std::collections::HashMap;

use linkspan_linux::pci::{PciDevice, Sysfs, SysfsError};
use linkspan_linux::{HostLinks, NetlinkError, RouteSocket};
use linkspan_types::{IfName, MacAddr, PciAddress};

use super::given::Given;
use super::plan::{Held, Interface, PfNow, VfNow};
use crate::holders::Holders;
use crate::inventory::{HostUse, Interfaces};

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
    pub(super) fn ask(
        &mut self,
        holders: Option<&Holders>,
        given: &Given,
        host: &Interfaces,
        riders: &HashMap<String, MacAddr>,
    ) {
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
                let host_use = seen.and_then(|seen| seen.host_use.clone());
                let rider = riders.get(interface.name.as_str()).copied();
                interface.host_use = host_use.or(rider.map(HostUse::TakesFramesFor));
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

/// The links of the host for which others may ride in other namespaces, by name, and the MAC of one of these.
pub(super) fn riders(host: &HostLinks) -> HashMap<String, MacAddr> {
    let riders = RouteSocket::open().and_then(|mut socket| socket.riders());
    let riders = riders.unwrap_or_else(|error| {
        tracing::warn!("which links ride on VFs is not known: {:#}", anyhow::Error::new(error));
        Vec::new()
    });
    let name = |index| host.links.iter().find(|link| link.index == index).map(|l| l.name.clone());
    riders.into_iter().filter_map(|(index, mac)| Some((name(index)?, mac))).collect()
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
