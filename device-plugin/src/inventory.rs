//! The virtual functions of this node: one pass over sysfs into plain data.
//!
//! Everything that a pool selects by comes from PCI or from the PF. So a VF stays in its pool while
//! its interface is in a pod, or while it is bound to vfio-pci and has none.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::str::FromStr;

use linkspan_config::resource_list::DeviceType;
use linkspan_linux::pci::{PciDevice, Sysfs, SysfsError};
use linkspan_types::{
    IfName, LinkType, ParseError, PartitionKey, PciAddress, PcieRoot, SubFunction, VdpaType,
};

/// What sysfs says is on this node now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inventory {
    /// The devices that a pool could have, in the order of their addresses.
    pub(crate) devices: Vec<Device>,
}

/// One device that a pool could have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) kind: DeviceType,
    /// For a sub-function that of the function that it is made of.
    pub(crate) vendor: u16,
    /// The vendor's number for this device.
    pub(crate) number: u16,
    pub(crate) driver: Option<String>,
    pub(crate) numa_node: Option<u32>,
    pub(crate) root: Option<PcieRoot>,
    pub(crate) acpi_index: Option<u32>,
    /// Its interface's type, or its PF's where its own is not here.
    pub(crate) link_type: Option<LinkType>,
    /// Its interfaces in this network namespace: none while they are in a pod.
    pub(crate) net_names: Vec<IfName>,
    /// Whether it has an RDMA device, here or where its interface is.
    pub(crate) has_rdma: bool,
    /// Its RDMA devices here: `mlx5_4`.
    pub(crate) rdma: Vec<String>,
    /// The first partition key of each port of its RDMA devices.
    pub(crate) p_keys: Vec<PartitionKey>,
    pub(crate) vdpa: Option<VdpaDevice>,
    pub(crate) ddp_profile: Option<String>,
    pub(crate) place: Place,
}

/// What the kubelet calls a device, and `PCIDEVICE_...` tells the pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum DeviceId {
    /// A PCI function.
    Pci(PciAddress),
    /// A sub-function.
    SubFunction(SubFunction),
}

/// A vDPA device that is made of a VF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VdpaDevice {
    /// Its name on the vDPA bus: `vdpa0`.
    pub(crate) name: String,
    /// Nothing while it is bound to no driver, or to one that we don't know.
    pub(crate) vdpa_type: Option<VdpaType>,
}

/// What a device is of its NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "the inventory is about to find all of them")]
pub(crate) enum Place {
    /// A function that is no VF. It counts as its own PF, as for the peer.
    Whole(Parent),
    /// A VF.
    Vf { index: u32, pf: Parent },
    /// A sub-function, by its own number.
    SubFunction { number: u32, pf: Parent },
}

/// The PF that a device is part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) address: PciAddress,
    /// Nothing where it has no interface in this network namespace.
    pub(crate) name: Option<IfName>,
}

impl Device {
    /// The PF that it is, or is part of.
    pub(crate) fn pf(&self) -> &Parent {
        match &self.place {
            Place::Whole(pf) | Place::Vf { pf, .. } | Place::SubFunction { pf, .. } => pf,
        }
    }

    /// Which of its PF's VFs or sub-functions it is.
    pub(crate) fn index(&self) -> Option<u32> {
        match self.place {
            Place::Whole(_) => None,
            Place::Vf { index: number, .. } | Place::SubFunction { number, .. } => Some(number),
        }
    }
}

impl DeviceId {
    /// Its own PCI address; a sub-function has none.
    pub(crate) fn pci(&self) -> Option<PciAddress> {
        match self {
            Self::Pci(address) => Some(*address),
            Self::SubFunction(_) => None,
        }
    }
}

impl FromStr for DeviceId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let sub_function = |_| text.parse().map(Self::SubFunction);
        text.parse().map(Self::Pci).or_else(sub_function)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pci(address) => address.fmt(f),
            Self::SubFunction(name) => name.fmt(f),
        }
    }
}

/// What all VFs of one PF share.
struct Functions {
    parent: Parent,
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
                Ok(Some(device)) => inventory.devices.push(device),
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
    parents: &mut HashMap<PciAddress, Functions>,
) -> Result<Option<Device>, SysfsError> {
    let Some(pf) = device.physfn()? else { return Ok(None) };
    if device.class()? >> 16 != NETWORK {
        return Ok(None);
    }
    let siblings = match parents.entry(pf) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => new.insert(functions(&sysfs.pci(pf))?),
    };
    // A VF that its PF doesn't list is just being made or removed.
    let Some(&index) = siblings.indices.get(&device.address()) else { return Ok(None) };
    Ok(Some(Device {
        id: DeviceId::Pci(device.address()),
        kind: DeviceType::NetDevice,
        root: None,
        acpi_index: None,
        link_type: None,
        net_names: Vec::new(),
        has_rdma: false,
        rdma: Vec::new(),
        p_keys: Vec::new(),
        vdpa: None,
        ddp_profile: None,
        vendor: device.vendor()?,
        number: device.device()?,
        driver: device.driver()?,
        numa_node: device.numa_node()?,
        place: Place::Vf { index, pf: siblings.parent.clone() },
    }))
}

/// Reads a PF's list of VFs once: asking for each VF's index would read it once for each VF.
fn functions(pf: &PciDevice) -> Result<Functions, SysfsError> {
    let indices = pf.virtual_functions()?.into_iter().map(|(index, address)| (address, index));
    let parent = Parent { address: pf.address(), name: pf.pf_name()? };
    Ok(Functions { parent, indices: indices.collect() })
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
        let expected = Device {
            id: DeviceId::Pci("0000:3b:10.4".parse().unwrap()),
            vendor: 0x8086,
            number: 0x10ca,
            driver: Some("vfio-pci".to_owned()),
            numa_node: Some(1),
            kind: DeviceType::NetDevice,
            root: None,
            acpi_index: None,
            link_type: None,
            net_names: Vec::new(),
            has_rdma: false,
            rdma: Vec::new(),
            p_keys: Vec::new(),
            vdpa: None,
            ddp_profile: None,
            place: Place::Vf {
                index: 2,
                pf: Parent { address: "0000:3b:00.0".parse().unwrap(), name: "ens1".parse().ok() },
            },
        };
        let inventory = read(&tree);
        assert_eq!(inventory.devices.len(), 3);
        assert_eq!(inventory.devices[2], expected);
    }

    #[test]
    fn hundreds_of_vfs_are_numbered_as_their_pf_does() {
        let tree = SysfsTree::new();
        let pf = Pf::igb("0000:3b:00.0", "ens1");
        tree.add_pf(&pf);
        tree.set_num_vfs(&pf, 512);
        let devices = read(&tree).devices;
        assert_eq!(devices.len(), 512);
        for device in devices {
            assert_eq!(device.id.pci(), device.index().map(|index| pf.vf(index)));
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
        assert_eq!(read(&tree).devices.len(), 1);
        tree.write(pf.vf(0), "class", "0x010802");
        assert!(read(&tree).devices.is_empty());
    }
}
