//! The devices of this node, and what the host uses its links for: one pass over sysfs, and one look at the
//! links, into plain data.
//!
//! Everything that a pool selects a VF by comes from PCI or from the PF. So a VF stays in its pool while its
//! interface is in a pod, or while it is bound to vfio-pci and has none.

mod interfaces;
mod profiles;
mod scan;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use linkspan_config::resource_list::DeviceType;
use linkspan_linux::HostLinks;
use linkspan_linux::pci::{Seen, Sysfs, SysfsError};
use linkspan_types::{
    IfName, LinkType, ParseError, PartitionKey, PciAddress, PcieRoot, SubFunction, VdpaType,
};

use scan::Scan;

#[cfg(test)]
pub(crate) use interfaces::Interface;
pub(crate) use interfaces::{HostUse, Interfaces};
pub(crate) use profiles::Profiles;

/// What sysfs and netlink say is on this node now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inventory {
    /// The devices that a pool could have, in the order of their names.
    pub(crate) devices: Vec<Device>,
    /// The links of the host.
    pub(crate) interfaces: Interfaces,
}

/// What of a device is read only where some pool asks for it: it costs files, and some machines have many devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked for by itself")]
pub(crate) struct Asked {
    pub(crate) sub_functions: bool,
    pub(crate) acpi_indexes: bool,
    pub(crate) link_types: bool,
    pub(crate) ddp_profiles: bool,
    pub(crate) rdma: bool,
    pub(crate) p_keys: bool,
    pub(crate) vdpa: bool,
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
    /// What its PF's packet processor was taught; added after the pass over sysfs, where some pool asks for it.
    pub(crate) ddp_profile: Option<String>,
    /// Its interfaces in this network namespace: none while they are in a pod.
    pub(crate) net_names: Vec<IfName>,
    /// Whether it has an RDMA device, here or where its interface is.
    pub(crate) has_rdma: bool,
    /// Its RDMA devices here: `mlx5_4`.
    pub(crate) rdma: Vec<String>,
    /// The first partition key of each port of its RDMA devices.
    pub(crate) p_keys: Vec<PartitionKey>,
    pub(crate) vdpa: Option<VdpaDevice>,
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
pub(crate) enum Place {
    /// A function that is no VF, how many VFs and sub-functions it is divided into, and whether it could have VFs.
    /// It counts as its own PF, as for the peer.
    Whole { itself: Parent, parts: usize, can_have_vfs: bool },
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
            Place::Whole { itself: pf, .. }
            | Place::Vf { pf, .. }
            | Place::SubFunction { pf, .. } => pf,
        }
    }

    /// Which of its PF's VFs or sub-functions it is.
    pub(crate) fn index(&self) -> Option<u32> {
        match self.place {
            Place::Whole { .. } => None,
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

impl Inventory {
    /// Looks at the devices. One that can't be read is left out, and its error returned beside the inventory.
    ///
    /// `host` has been looked at before: an interface that comes in between is not known to be idle. What was `seen`
    /// of the same tree by earlier looks makes this one shorter, and nothing else.
    pub(crate) fn read(
        sysfs: &Sysfs,
        seen: &mut Seen,
        asked: Asked,
        host: &HostLinks,
    ) -> Result<(Self, Vec<SysfsError>), SysfsError> {
        let (devices, errors) = Scan::begin(sysfs, seen, asked)?.run()?;
        Ok((Self { devices, interfaces: Interfaces::of(host) }, errors))
    }

    /// The device of that name.
    pub(crate) fn device(&self, id: &DeviceId) -> Option<&Device> {
        let at = self.devices.binary_search_by(|device| device.id.cmp(id)).ok()?;
        self.devices.get(at)
    }

    /// Takes over what an earlier look has seen of devices that are in a pod now, with all that they were selected
    /// by: a NIC's own name, a link type, RDMA devices. For most VFs their PF tells.
    pub(crate) fn remember(&mut self, before: &Self) {
        let known: HashMap<&DeviceId, &Device> =
            before.devices.iter().map(|device| (&device.id, device)).collect();
        for device in self.devices.iter_mut().filter(|device| device.net_names.is_empty()) {
            let before = known.get(&device.id).filter(|before| before.driver == device.driver);
            let Some(before) = before else { continue };
            if let Place::Whole { itself, .. } = &mut device.place {
                itself.name.clone_from(&before.pf().name);
            }
            device.link_type = device.link_type.or(before.link_type);
            if device.rdma.is_empty() {
                device.has_rdma |= before.has_rdma;
                device.p_keys.clone_from(&before.p_keys);
            }
        }
    }
}

#[cfg(test)]
mod tests;
