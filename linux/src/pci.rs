//! PCI devices as sysfs shows them, under a root that tests can change.
//!
//! Nothing is cached: a handle is a path, and each question is answered by sysfs at that moment. Who looks at all
//! devices again and again keeps what was [`Seen`] himself.

mod attribute;
mod identity;
mod net;
mod owned;
mod seen;
mod set_up;
mod sriov;
mod trunk;
mod userspace;

use std::fs;
use std::path::{Path, PathBuf};

use linkspan_types::{PciAddress, PcieRoot};

pub use attribute::SysfsError;
pub use identity::Identity;
pub use net::NetDevice;
pub use owned::{Owned, Owner, SubFunctionOf};
pub use seen::Seen;
pub use set_up::SetUpError;
pub use trunk::TrunkError;
pub use userspace::{IommuGroup, Rdma, Vdpa, VdpaEnd};

/// A sysfs tree: the host's own, or one made by a test.
#[derive(Clone, Debug)]
pub struct Sysfs {
    root: PathBuf,
}

/// One PCI device: a cheap handle, also for a device that is not there (see [`Self::exists`]).
#[derive(Clone, Debug)]
pub struct PciDevice {
    address: PciAddress,
    path: PathBuf,
}

impl Sysfs {
    /// The sysfs of this machine, `/sys`. Its network devices are those of the mount's namespace.
    #[must_use]
    pub fn host() -> Self {
        Self::at("/sys")
    }

    /// A sysfs tree at another place.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The addresses of all PCI devices, in order. A machine without a PCI bus has none.
    pub fn pci_addresses(&self) -> Result<Vec<PciAddress>, SysfsError> {
        let names = attribute::entries(&self.pci_devices())?;
        let mut addresses: Vec<_> = names.iter().filter_map(|name| name.parse().ok()).collect();
        addresses.sort_unstable();
        Ok(addresses)
    }

    /// The device at an address.
    #[must_use]
    pub fn pci(&self, address: PciAddress) -> PciDevice {
        PciDevice { address, path: self.pci_devices().join(address.to_string()) }
    }

    fn pci_devices(&self) -> PathBuf {
        self.root.join("bus/pci/devices")
    }
}

impl PciDevice {
    /// Where the device is on the bus.
    #[must_use]
    pub fn address(&self) -> PciAddress {
        self.address
    }

    /// Whether there is such a device now.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// The name of the driver that the device is bound to, if it is bound.
    pub fn driver(&self) -> Result<Option<String>, SysfsError> {
        attribute::linked_name(&self.join("driver"))
    }

    /// The only driver that the kernel may bind to the device, if one is set.
    pub fn driver_override(&self) -> Result<Option<String>, SysfsError> {
        let text = attribute::text_if_present(&self.join("driver_override"))?;
        Ok(text.filter(|name| name != "(null)" && !name.is_empty()))
    }

    /// The NUMA node that the device is nearest to; nothing where the machine doesn't say (-1).
    pub fn numa_node(&self) -> Result<Option<u32>, SysfsError> {
        let path = self.join("numa_node");
        match attribute::text_if_present(&path)?.as_deref() {
            None | Some("-1") => Ok(None),
            Some(text) => attribute::parse(&path, text, "a NUMA node, or -1 for none").map(Some),
        }
    }

    /// The root of the PCI Express tree that the device is in; nothing where the path doesn't say.
    pub fn root(&self) -> Result<Option<PcieRoot>, SysfsError> {
        let target = attribute::if_present(fs::read_link(&self.path), &self.path)?;
        // The outermost: Intel's VMD has a tree of its own below another.
        Ok(target.and_then(|path| path.iter().find_map(|part| part.to_str()?.parse().ok())))
    }

    /// The number that the machine's firmware has for the device's slot, or for it on the board.
    pub fn acpi_index(&self) -> Result<Option<u32>, SysfsError> {
        self.number("acpi_index")
    }

    /// The PCI address that a link in the device's directory points to.
    fn linked_address(&self, name: &str) -> Result<Option<PciAddress>, SysfsError> {
        attribute::linked_address(&self.join(name))
    }

    fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}

#[cfg(test)]
mod tests;
