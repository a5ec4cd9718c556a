//! Which device belongs to which pool.  Pure: no I/O.
//!
//! Only VFs are offered, whatever a selector says: a network card that is not a VF may be the one
//! that the node itself lives by, and no list of checks proves that it isn't.

use std::fmt;

use linkspan_config::resource_list::{Indices, Resource, ResourceList, ResourcePrefix, Selector};
use linkspan_types::{IfName, VdpaType};

use crate::inventory::{Device, Inventory};

/// The devices advertised to the kubelet as one extended resource, as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    pub(crate) name: PoolName,
    pub(crate) resource: Resource,
}

/// A pool's whole name, as pods ask for it: `linkspan.dev/fast`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PoolName {
    prefix: ResourcePrefix,
    name: String,
}

/// Two resources have the same name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`resourceList[{second}]` is called {name} like `resourceList[{first}]`, expected a name of its own"
)]
pub(crate) struct DuplicateName {
    name: String,
    first: usize,
    second: usize,
}

/// A device as a pool has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) device: Device,
    pub(crate) health: Health,
    pub(crate) needs: Needs,
}

/// What a container needs beside the device itself, as the selector says that chose the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) rdma: bool,
    pub(crate) vhost_net: bool,
    pub(crate) vdpa: Option<VdpaType>,
}

/// Whether the kubelet may give a device to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "the inventory is about to tell")]
pub(crate) enum Health {
    Healthy,
    Unhealthy(Reason),
}

/// Why a device is not healthy: for logs, metrics and the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "the inventory is about to tell")]
pub(crate) enum Reason {
    /// This interface, the device's own or its PF's, has no carrier.
    NoCarrier(IfName),
    /// No driver has the device.
    NoDriver,
    /// The device is not on the bus any more, though a pod may have it.
    Gone,
    /// It was not well a short while ago.
    Recovering,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCarrier(interface) => write!(f, "{interface} has no carrier"),
            Self::NoDriver => f.write_str("it is bound to no driver"),
            Self::Gone => f.write_str("it is gone from the bus"),
            Self::Recovering => f.write_str("it is well again, but only just"),
        }
    }
}

impl Pool {
    /// The pools of a configuration, in its order.
    pub(crate) fn all(
        list: ResourceList,
        default_prefix: &ResourcePrefix,
    ) -> Result<Vec<Self>, DuplicateName> {
        let mut pools: Vec<Self> = Vec::new();
        for (second, resource) in list.resources.into_iter().enumerate() {
            let prefix = resource.prefix.as_ref().unwrap_or(default_prefix).clone();
            let name = PoolName { prefix, name: resource.name.clone() };
            if let Some(first) = pools.iter().position(|pool| pool.name == name) {
                return Err(DuplicateName { name: name.to_string(), first, second });
            }
            pools.push(Self { name, resource });
        }
        Ok(pools)
    }

    /// What a container needs beside the device; nothing where the device is not this pool's.
    fn selects(&self, device: &Device) -> Option<Needs> {
        if device.kind != self.resource.device_type {
            return None;
        }
        let selector = self.resource.selectors.iter().find(|selector| fits(selector, device))?;
        Some(Needs {
            rdma: selector.is_rdma,
            vhost_net: selector.need_vhost_net,
            vdpa: selector.vdpa,
        })
    }
}

/// The members of each pool. A device that several pools select goes to the first of them.
pub(crate) fn divide(pools: &[Pool], inventory: &Inventory) -> Vec<Vec<Member>> {
    let mut divided = vec![Vec::new(); pools.len()];
    for device in &inventory.devices {
        let select = |(index, pool): (usize, &Pool)| Some((index, pool.selects(device)?));
        if let Some((index, needs)) = pools.iter().enumerate().find_map(select) {
            let member = Member { device: device.clone(), health: Health::Healthy, needs };
            divided[index].push(member);
        }
    }
    divided
}

fn fits(selector: &Selector, device: &Device) -> bool {
    fn any<T>(wanted: &[T], fits: impl Fn(&T) -> bool) -> bool {
        wanted.is_empty() || wanted.iter().any(fits)
    }
    let has_index = |indices: &Indices| match device.index() {
        Some(index) => indices.contain(index),
        None => *indices == Indices::All,
    };
    let pf = device.pf();
    any(&selector.vendors, |vendor| *vendor == device.vendor)
        && any(&selector.devices, |number| *number == device.number)
        && any(&selector.drivers, |driver| Some(driver) == device.driver.as_ref())
        && any(&selector.pci_addresses, |address| Some(*address) == device.id.pci())
        && any(&selector.acpi_indexes, |index| Some(*index) == device.acpi_index)
        && any(&selector.pf_names, |functions| {
            Some(&functions.pf) == pf.name.as_ref() && has_index(&functions.indices)
        })
        && any(&selector.root_devices, |functions| {
            functions.pf == pf.address && has_index(&functions.indices)
        })
        && any(&selector.link_types, |link_type| Some(*link_type) == device.link_type)
        && any(&selector.ddp_profiles, |profile| Some(profile) == device.ddp_profile.as_ref())
        && any(&selector.p_keys, |key| device.p_keys.contains(key))
        && (!selector.is_rdma || device.has_rdma)
        && selector.vdpa.is_none_or(|vdpa| {
            device.vdpa.as_ref().is_some_and(|device| device.vdpa_type == Some(vdpa))
        })
}

impl PoolName {
    /// The name of the variable that tells a container its devices. Exactly the peer's: only dots
    /// are replaced, so that a `-` in the name stays, although no shell can read it then.
    pub(crate) fn variable(&self) -> String {
        format!("PCIDEVICE_{}_{}", self.prefix, self.name).replace('.', "_").to_uppercase()
    }

    /// The name of the pool's socket; no other pool has it, for a prefix holds no `_`.
    pub(crate) fn socket(&self) -> String {
        format!("{}_{}.sock", self.prefix, self.name)
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.prefix, self.name)
    }
}

#[cfg(test)]
pub(crate) mod tests;
