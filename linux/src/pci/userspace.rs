//! What a program needs of a device to drive it itself: its IOMMU group, and its device nodes.

use std::fs;
use std::path::Path;

use linkspan_types::{SubFunction, VdpaType};

use super::{PciDevice, Sysfs, SysfsError, attribute};

/// The IOMMU group of a device: the device node that vfio gives for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IommuGroup {
    /// The group's number.
    pub number: u32,
    /// Whether vfio made the group for a machine without an IOMMU: its node is
    /// `/dev/vfio/noiommu-<number>` then, and not `/dev/vfio/<number>`.
    pub no_iommu: bool,
}

/// A device's RDMA devices, and the names of their device nodes below `/dev/infiniband`, all in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rdma {
    /// The RDMA devices themselves: `mlx5_4`. More than one in switchdev mode.
    pub devices: Vec<String>,
    /// For verbs: `uverbs4`.
    pub uverbs: Vec<String>,
    /// For management datagrams, one for each port: `umad4`.
    pub umad: Vec<String>,
    /// For a subnet manager, one for each port: `issm4`.
    pub issm: Vec<String>,
    /// Of the old connection manager, which Linux has had none of since 5.2: `ucm4`.
    pub ucm: Vec<String>,
}

/// A vDPA device and what it is used through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vdpa {
    /// Its name on the vDPA bus: `vdpa0`.
    pub name: String,
    /// Nothing while it is bound to no driver, or to one that we don't know, or the driver is just beginning.
    pub end: Option<VdpaEnd>,
}

/// What a vDPA device's driver has made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VdpaEnd {
    /// Which driver it is.
    pub vdpa_type: VdpaType,
    /// A device node below `/dev` (`vhost-vdpa-0`), or a device of the virtio bus (`virtio5`).
    pub name: String,
}

impl PciDevice {
    /// The device's IOMMU group, if it is in one.
    pub fn iommu_group(&self) -> Result<Option<IommuGroup>, SysfsError> {
        let link = self.join("iommu_group");
        let Some(target) = attribute::if_present(fs::read_link(&link), &link)? else {
            return Ok(None);
        };
        let number =
            attribute::parse(&link, attribute::file_name(&target)?, "a link to an IOMMU group")?;
        // Groups of real IOMMUs have no name.
        let name = attribute::text_if_present(&link.join("name"))?;
        Ok(Some(IommuGroup { number, no_iommu: name.as_deref() == Some("vfio-noiommu") }))
    }

    /// The names of the device's uio nodes below `/dev`, in order: `uio3`.
    pub fn uio_nodes(&self) -> Result<Vec<String>, SysfsError> {
        sorted(&self.join("uio"))
    }

    /// The device's RDMA devices, as far as this network namespace sees them.
    pub fn rdma(&self) -> Result<Rdma, SysfsError> {
        rdma_in(&self.path)
    }

    /// The vDPA device that is made of this one; of several, the first.
    pub fn vdpa(&self) -> Result<Option<Vdpa>, SysfsError> {
        let names = sorted(&self.path)?;
        let Some(name) = names.into_iter().find(|name| is_numbered(name, "vdpa")) else {
            return Ok(None);
        };
        let device = self.join(&name);
        let Some(vdpa_type) = vdpa_type(&device)? else {
            return Ok(Some(Vdpa { name, end: None }));
        };
        let prefix = match vdpa_type {
            VdpaType::Vhost => "vhost-vdpa-",
            VdpaType::Virtio => "virtio",
        };
        let end = sorted(&device)?.into_iter().find(|name| is_numbered(name, prefix));
        let end = end.map(|name| VdpaEnd { vdpa_type, name });
        Ok(Some(Vdpa { name, end }))
    }
}

impl Sysfs {
    /// How a vDPA device is used; nothing where it has no driver, or one that is not known here.
    pub fn vdpa_type(&self, name: &str) -> Result<Option<VdpaType>, SysfsError> {
        vdpa_type(&self.root.join("bus/vdpa/devices").join(name))
    }

    /// A sub-function's RDMA devices, as far as this network namespace sees them.
    pub fn rdma_of_sub_function(&self, name: &SubFunction) -> Result<Rdma, SysfsError> {
        rdma_in(&self.root.join("bus/auxiliary/devices").join(name.to_string()))
    }
}

fn vdpa_type(device: &Path) -> Result<Option<VdpaType>, SysfsError> {
    Ok(match attribute::linked_name(&device.join("driver"))?.as_deref() {
        Some("vhost_vdpa") => Some(VdpaType::Vhost),
        Some("virtio_vdpa") => Some(VdpaType::Virtio),
        _ => None,
    })
}

/// Devices of all buses have the same directories for them.
fn rdma_in(device: &Path) -> Result<Rdma, SysfsError> {
    let names = |directory| sorted(&device.join(directory));
    let (issm, umad) =
        names("infiniband_mad")?.into_iter().partition(|name| name.starts_with("issm"));
    Ok(Rdma {
        devices: names("infiniband")?,
        uverbs: names("infiniband_verbs")?,
        umad,
        issm,
        ucm: names("infiniband_cm")?,
    })
}

fn sorted(directory: &Path) -> Result<Vec<String>, SysfsError> {
    let mut names = attribute::entries(directory)?;
    names.sort();
    Ok(names)
}

fn is_numbered(name: &str, stem: &str) -> bool {
    let number = name.strip_prefix(stem).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}
