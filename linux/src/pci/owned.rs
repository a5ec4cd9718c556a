//! What belongs to a device beside itself: network interfaces, RDMA and vDPA devices, sub-functions.
//!
//! Each is a link in the directory of its class or bus, and the link's path leads through the device that it
//! belongs to, however deep below it: one directory tells what all devices have. (A virtio NIC's interface, for
//! one, is not in the PCI function's own `net`, but in that of the virtio device below it.)

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use linkspan_types::{LinkType, PartitionKey, PciAddress, SubFunction};

use super::{Seen, Sysfs, SysfsError, attribute};

/// A device that others belong to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A PCI function.
    Pci(PciAddress),
    /// A sub-function of one.
    SubFunction(SubFunction),
}

/// Something that belongs to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Its name in its class or on its bus, which need not be one that we would give: bytes that are no UTF-8 are
    /// replaced.
    pub name: String,
    /// Whose it is.
    pub owner: Owner,
}

/// A sub-function, and the PCI function that it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubFunctionOf {
    /// Its name on the auxiliary bus.
    pub name: SubFunction,
    /// The PCI function.
    pub function: PciAddress,
}

impl Sysfs {
    /// The network interfaces of devices, as far as this network namespace sees them; not the virtual ones.
    pub fn interfaces(&self, seen: &mut Seen) -> Result<Vec<Owned>, SysfsError> {
        self.owned(seen, "class/net")
    }

    /// The RDMA devices: `mlx5_4`.
    pub fn rdma_devices(&self, seen: &mut Seen) -> Result<Vec<Owned>, SysfsError> {
        self.owned(seen, "class/infiniband")
    }

    /// The vDPA devices: `vdpa0`.
    pub fn vdpa_devices(&self, seen: &mut Seen) -> Result<Vec<Owned>, SysfsError> {
        self.owned(seen, "bus/vdpa/devices")
    }

    /// The sub-functions on the auxiliary bus, in order.
    pub fn sub_functions(&self, seen: &mut Seen) -> Result<Vec<SubFunctionOf>, SysfsError> {
        let mut all = Vec::new();
        for Owned { name, owner } in self.owned(seen, "bus/auxiliary/devices")? {
            if let (Ok(name), Owner::Pci(function)) = (name.parse(), owner) {
                all.push(SubFunctionOf { name, function });
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// A sub-function's own number, which its user has chosen.
    pub fn sub_function_number(&self, name: &SubFunction) -> Result<u32, SysfsError> {
        let path = self.sub_function(name).join("sfnum");
        attribute::parse(&path, &attribute::text(&path)?, "a sub-function's number")
    }

    /// The name of the driver that a sub-function is bound to, if it is bound.
    pub fn sub_function_driver(&self, name: &SubFunction) -> Result<Option<String>, SysfsError> {
        attribute::linked_name(&self.sub_function(name).join("driver"))
    }

    /// What an interface's link carries; nothing for a type that no NIC has.
    pub fn link_type(&self, interface: &str) -> Result<Option<LinkType>, SysfsError> {
        let path = self.root.join("class/net").join(interface).join("type");
        attribute::parse(&path, &attribute::text(&path)?, "a number of `if_arp.h`")
            .map(LinkType::from_number)
    }

    /// The first partition key of each port of an RDMA device.
    pub fn partition_keys(&self, rdma: &str) -> Result<Vec<PartitionKey>, SysfsError> {
        let ports = self.root.join("class/infiniband").join(rdma).join("ports");
        let mut keys = Vec::new();
        for port in attribute::entries(&ports)? {
            let path = ports.join(port).join("pkeys/0");
            let Some(text) = attribute::text_if_present(&path)? else { continue };
            keys.push(attribute::parse(&path, &text, "a partition key such as 0x8001")?);
        }
        Ok(keys)
    }

    fn sub_function(&self, name: &SubFunction) -> PathBuf {
        self.root.join("bus/auxiliary/devices").join(name.to_string())
    }

    /// What a directory of links leads to, in no order.
    fn owned(&self, seen: &mut Seen, directory: &'static str) -> Result<Vec<Owned>, SysfsError> {
        let owned = |(name, owner): (OsString, Owner)| Owned {
            name: name.to_string_lossy().into_owned(),
            owner,
        };
        Ok(seen.owners(self, directory, owner_of)?.into_iter().map(owned).collect())
    }
}

/// The nearest device that a link's path leads through; nothing where there is none, or the link has gone.
fn owner_of(link: &Path) -> Result<Option<Owner>, SysfsError> {
    let target = match fs::read_link(link) {
        // No link, as `bonding_masters` among the interfaces.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(None),
        target => attribute::if_present(target, link)?,
    };
    let above = target.iter().flat_map(|target| target.iter().rev().skip(1));
    Ok(above.filter_map(|part| part.to_str()).find_map(owner))
}

fn owner(part: &str) -> Option<Owner> {
    let sub_function = || part.parse().ok().map(Owner::SubFunction);
    part.parse().ok().map(Owner::Pci).or_else(sub_function)
}
