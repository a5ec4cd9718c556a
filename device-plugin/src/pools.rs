//! Which device belongs to which pool.  Pure: no I/O.
//!
//! Only VFs are offered, whatever a selector says: a network card that is not a VF may be the one
//! that the node itself lives by, and no list of checks proves that it isn't.

use std::fmt;

use linkspan_config::resource_list::{Resource, ResourceList, ResourcePrefix, Selector};

use crate::inventory::{Device, Inventory};

/// The devices advertised to the kubelet as one extended resource, as the configuration has it.
#[derive(Clone, Debug)]
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
}

/// Whether the kubelet may give a device to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Healthy,
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

    fn selects(&self, device: &Device) -> bool {
        self.resource.selectors.iter().any(|selector| fits(selector, device))
    }
}

/// The members of each pool. A device that several pools select goes to the first of them.
pub(crate) fn divide(pools: &[Pool], inventory: &Inventory) -> Vec<Vec<Member>> {
    let mut divided = vec![Vec::new(); pools.len()];
    for device in &inventory.devices {
        if let Some(pool) = pools.iter().position(|pool| pool.selects(device)) {
            divided[pool].push(Member { device: device.clone(), health: Health::Healthy });
        }
    }
    divided
}

fn fits(selector: &Selector, device: &Device) -> bool {
    fn any<T>(wanted: &[T], fits: impl Fn(&T) -> bool) -> bool {
        wanted.is_empty() || wanted.iter().any(fits)
    }
    any(&selector.vendors, |vendor| *vendor == device.vendor)
        && any(&selector.devices, |number| *number == device.number)
        && any(&selector.drivers, |driver| Some(driver) == device.driver.as_ref())
        && any(&selector.pci_addresses, |address| *address == device.id.address())
        && any(&selector.pf_names, |functions| {
            Some(&functions.pf) == device.pf().name.as_ref()
                && functions.indices.contain(device.index())
        })
        && any(&selector.root_devices, |functions| {
            functions.pf == device.pf().address && functions.indices.contain(device.index())
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
mod tests;
