//! The virtual functions of this node: one pass over sysfs into plain data.
//!
//! Everything that a pool selects by comes from PCI or from the PF. So a VF stays in its pool while
//! its interface is in a pod, or while it is bound to vfio-pci and has none.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

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
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => new.insert(parent(&sysfs.pci(pf))?),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use linkspan_tests::sysfs_tree::{Pf, SysfsTree};

    use super::*;

    fn read(tree: &SysfsTree) -> Inventory {
        let (inventory, errors) = Inventory::read(&Sysfs::at(tree.root())).unwrap();
        assert!(errors.is_empty(), "{errors:?}");
        inventory
    }

    #[test]
    fn a_vf_is_described_by_itself_and_its_pf() {
        let tree = SysfsTree::new();
        let pf = Pf { numa_node: 1, ..Pf::igb("0000:3b:00.0", "ens1") };
        tree.add_pf(&pf);
        tree.set_num_vfs(&pf, 3);
        tree.bind(pf.vf(2), Some("vfio-pci"));
        tree.take_interfaces(pf.vf(2));
        let expected = VirtualFunction {
            address: "0000:3b:10.4".parse().unwrap(),
            vendor: 0x8086,
            device: 0x10ca,
            driver: Some("vfio-pci".to_owned()),
            numa_node: Some(1),
            index: 2,
            pf: "0000:3b:00.0".parse().unwrap(),
            pf_name: "ens1".parse().ok(),
        };
        let inventory = read(&tree);
        assert_eq!(inventory.functions.len(), 3);
        assert_eq!(inventory.functions[2], expected);
    }

    #[test]
    fn hundreds_of_vfs_are_numbered_as_their_pf_does() {
        let tree = SysfsTree::new();
        let pf = Pf::igb("0000:3b:00.0", "ens1");
        tree.add_pf(&pf);
        tree.set_num_vfs(&pf, 512);
        let functions = read(&tree).functions;
        assert_eq!(functions.len(), 512);
        for function in functions {
            assert_eq!(function.address, pf.vf(function.index));
        }
    }

    #[test]
    fn what_is_half_made_or_no_network_card_is_left_out() {
        let tree = SysfsTree::new();
        let pf = Pf::igb("0000:3b:00.0", "ens1");
        tree.add_pf(&pf);
        tree.set_num_vfs(&pf, 3);
        std::fs::remove_file(tree.device("0000:3b:00.0".parse().unwrap()).join("virtfn1")).unwrap();
        std::fs::remove_file(tree.device(pf.vf(2)).join("vendor")).unwrap();
        assert_eq!(read(&tree).functions.len(), 1);
        tree.write(pf.vf(0), "class", "0x010802");
        assert!(read(&tree).functions.is_empty());
    }
}
