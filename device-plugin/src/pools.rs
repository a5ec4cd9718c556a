//! Which device belongs to which pool.  Pure: no I/O.
//!
//! What the host needs for itself is never offered, whatever a selector says: a NIC by which the node lives, a
//! member of a bond, a PF whose VFs are in use.

mod any_link;
mod excluded;
mod health;
mod selects;

use std::fmt;

use linkspan_config::resource_list::{
    Bind, DuplicateName, Resource, ResourceList, ResourcePrefix, VfDriver,
};
use linkspan_types::VdpaType;

use crate::inventory::{Device, Inventory};

use excluded::Host;

pub(crate) use any_link::with_any_links;
pub(crate) use excluded::Excluded;
pub(crate) use health::{Health, Reason};

/// The devices advertised to the kubelet as one extended resource, as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    pub(crate) name: PoolName,
    pub(crate) resource: Resource,
    /// Whether nobody has named it, and it is there because its link is. It keeps no device from others.
    pub(crate) is_of_any_link: bool,
}

/// A pool's whole name, as pods ask for it: `linkspan.dev/fast`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PoolName {
    prefix: ResourcePrefix,
    name: String,
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

/// What each pool gets, and what none gets although it is selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Division {
    /// The members of each pool, in the pools' order.
    pub(crate) members: Vec<Vec<Member>>,
    pub(crate) excluded: Vec<Excluded>,
}

impl Pool {
    /// Whether its devices are bound to `vfio-pci` for as long as a pod has them.
    pub(crate) fn binds_per_pod(&self) -> bool {
        let provision = self.resource.provision.as_ref();
        provision.is_some_and(|p| p.driver == Some(VfDriver::VfioPci(Bind::PerPod)))
    }

    /// The pools of a configuration, in its order.
    pub(crate) fn all(
        list: ResourceList,
        default_prefix: &ResourcePrefix,
    ) -> Result<Vec<Self>, DuplicateName> {
        if let Some(duplicate) = list.duplicates(default_prefix).into_iter().next() {
            return Err(duplicate);
        }
        let pool = |resource: Resource| {
            let prefix = resource.prefix.as_ref().unwrap_or(default_prefix).clone();
            let name = PoolName { prefix, name: resource.name.clone() };
            Self { name, resource, is_of_any_link: false }
        };
        Ok(list.resources.into_iter().map(pool).collect())
    }
}

/// Gives each device to the first pool that selects it and may have it.
pub(crate) fn divide(pools: &[Pool], inventory: &Inventory) -> Division {
    let host = Host { pools, interfaces: &inventory.interfaces };
    let mut division = Division { members: vec![Vec::new(); pools.len()], excluded: Vec::new() };
    for device in &inventory.devices {
        let mut excluded = None;
        for (pool, members) in pools.iter().zip(&mut division.members) {
            let Some(needs) = pool.selects(device) else { continue };
            if let Some(reason) = host.excludes(device, pool) {
                let (id, model) = (device.id.clone(), (device.vendor, device.number));
                excluded = Some(Excluded { device: id, model, reason });
                continue;
            }
            let health = Health::of(device, pool, &inventory.interfaces);
            members.push(Member { device: device.clone(), health, needs });
            excluded = None;
            break;
        }
        division.excluded.extend(excluded);
    }
    division
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
