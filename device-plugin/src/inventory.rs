//! The virtual functions of this node: one pass over sysfs into plain data.
//!
//! Everything that a pool selects by comes from PCI or from the PF. So a VF stays in its pool while
//! its interface is in a pod, or while it is bound to vfio-pci and has none.

use std::collections::HashMap;

use linkspan_linux::pci::{PciDevice, Sysfs, SysfsError};
use linkspan_types::{IfName, PciAddress};

/// What sysfs says is on this node now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inventory {
    /// The VFs of network PFs, in the order of their addresses.
    pub(crate) functions: Vec<VirtualFunction>,
}

/// One VF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VirtualFunction {
    pub(crate) address: PciAddress,
    pub(crate) vendor: u16,
    pub(crate) device: u16,
    pub(crate) driver: Option<String>,
    pub(crate) numa_node: Option<u32>,
    /// Which of its PF's VFs it is.
    pub(crate) index: u32,
    pub(crate) pf: PciAddress,
    /// Nothing where the PF has no interface in this network namespace.
    pub(crate) pf_name: Option<IfName>,
}

/// What all VFs of one PF share.
struct Parent {
    name: Option<IfName>,
    indices: HashMap<PciAddress, u32>,
}

/// The base class of network controllers, the highest byte of a PCI class.
const NETWORK: u32 = 0x02;

impl Inventory {
    /// Looks at the whole node. A device that can't be read is left out, and its error returned
    /// beside the inventory: one strange device must not take the others from the node.
    pub(crate) fn read(sysfs: &Sysfs) -> Result<(Self, Vec<SysfsError>), SysfsError> {
        let mut parents = HashMap::new();
        let mut inventory = Self::default();
        let mut errors = Vec::new();
        for address in sysfs.pci_addresses()? {
            match virtual_function(sysfs, &sysfs.pci(address), &mut parents) {
                Ok(Some(function)) => inventory.functions.push(function),
                Ok(None) => {}
                // It has gone since its name was read; the uevent that says so is on its way.
                Err(error) if error.is_missing() => {}
                Err(error) => errors.push(error),
            }
        }
        Ok((inventory, errors))
    }
}

fn virtual_function(
    sysfs: &Sysfs,
    device: &PciDevice,
    parents: &mut HashMap<PciAddress, Parent>,
) -> Result<Option<VirtualFunction>, SysfsError> {
    let Some(pf) = device.physfn()? else { return Ok(None) };
    if device.class()? >> 16 != NETWORK {
        return Ok(None);
    }
    let parent = match parents.entry(pf) {
        std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
        std::collections::hash_map::Entry::Vacant(new) => new.insert(parent(&sysfs.pci(pf))?),
    };
    // A VF that its PF doesn't list is just being made or removed.
    let Some(&index) = parent.indices.get(&device.address()) else { return Ok(None) };
    Ok(Some(VirtualFunction {
        address: device.address(),
        vendor: device.vendor()?,
        device: device.device()?,
        driver: device.driver()?,
        numa_node: device.numa_node()?,
        index,
        pf,
        pf_name: parent.name.clone(),
    }))
}

/// Reads a PF's list of VFs once: asking for each VF's index would read it once for each VF.
fn parent(pf: &PciDevice) -> Result<Parent, SysfsError> {
    let indices = pf.virtual_functions()?.into_iter().map(|(index, address)| (address, index));
    Ok(Parent { name: pf.pf_name()?, indices: indices.collect() })
}
