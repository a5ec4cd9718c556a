//! What a driver in user space needs of a device: its IOMMU group, or its uio nodes.

use std::fs;

use super::{PciDevice, SysfsError, attribute};

/// The IOMMU group of a device: the device node that vfio gives for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IommuGroup {
    /// The group's number.
    pub number: u32,
    /// Whether vfio made the group for a machine without an IOMMU: its node is
    /// `/dev/vfio/noiommu-<number>` then, and not `/dev/vfio/<number>`.
    pub no_iommu: bool,
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
        let mut names = attribute::entries(&self.join("uio"))?;
        names.sort();
        Ok(names)
    }
}
