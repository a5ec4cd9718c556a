//! The network interfaces of a PCI device, as far as this network namespace sees them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use linkspan_types::{IfName, MacAddr, Mtu, PciAddress};
use sysfs_class::SysClass;

use super::{PciDevice, Sysfs, SysfsError, attribute};

/// One network interface in `/sys/class/net`: a cheap handle.
#[derive(Clone)]
pub struct NetDevice {
    generic: sysfs_class::Net,
}

impl Sysfs {
    /// The network interface of that name.
    #[must_use]
    pub fn net(&self, name: &IfName) -> NetDevice {
        NetDevice::at(self.root.join("class/net").join(name.as_str()))
    }

    /// An interface's name, if it is one that we would give.
    pub fn interface_name(&self, name: &str) -> Result<IfName, SysfsError> {
        let path = self.root.join("class/net").join(name);
        attribute::parse(&path, name, "the name of a network interface")
    }

    /// Whether an interface stands for a VF or a sub-function in its PF's switch (switchdev mode). It belongs to
    /// the PF as the PF's own interface does.
    #[must_use]
    pub fn is_representor(&self, interface: &IfName) -> bool {
        is_representor(&self.root.join("class/net").join(interface.as_str()))
    }
}

impl PciDevice {
    /// The names of the device's network interfaces, in order; none while they are in a pod, or
    /// while the device is bound to a driver such as vfio-pci.
    pub fn net_names(&self) -> Result<Vec<IfName>, SysfsError> {
        attribute::parsed_entries(&self.join("net"), "the name of a network interface")
    }

    /// The name of a PF's own interface.
    ///
    /// In switchdev mode a PF has representors of its VFs beside its own interface; they are left out.
    pub fn pf_name(&self) -> Result<Option<IfName>, SysfsError> {
        for name in self.net_names()? {
            if !is_representor(&self.join("net").join(name.as_str())) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// The interface that stands on the host for a VF of this PF in switchdev mode: its port of the switch.
    pub fn representor(&self, vf: u32) -> Result<Option<IfName>, SysfsError> {
        for name in self.net_names()? {
            let path = self.join("net").join(name.as_str()).join("phys_port_name");
            // `pf0vf3`; with a controller before it (`c1pf0vf3`) the VF is not this machine's.
            let port = attribute::text(&path).unwrap_or_default();
            let is_vf = port.strip_prefix("pf").and_then(|port| port.split_once("vf"));
            if is_vf.is_some_and(|(pf, index)| pf.parse::<u32>().is_ok() && index == vf.to_string())
            {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

/// Representors are called `pf0vf3` or `pf0sf7`, while the uplink is `p0`. Most drivers don't number their ports,
/// and answer EOPNOTSUPP.
fn is_representor(interface: &Path) -> bool {
    attribute::text(&interface.join("phys_port_name")).is_ok_and(|port| port.contains("pf"))
}

impl NetDevice {
    /// The MAC address in use.
    pub fn mac(&self) -> Result<MacAddr, SysfsError> {
        let text = self.read("address", self.generic.address())?;
        attribute::parse(&self.path("address"), &text, "a MAC address")
    }

    /// The PCI function that it is the interface of; nothing for one that is no PCI function's own.
    pub fn pci_address(&self) -> Result<Option<PciAddress>, SysfsError> {
        let link = self.path("device");
        let Some(target) = attribute::if_present(fs::read_link(&link), &link)? else {
            return Ok(None);
        };
        Ok(attribute::file_name(&target)?.parse().ok())
    }

    /// The MTU in bytes.
    pub fn mtu(&self) -> Result<Mtu, SysfsError> {
        let bytes = self.read("mtu", self.generic.mtu())?;
        Mtu::try_from(bytes)
            .map_err(|_| SysfsError::unexpected(&self.path("mtu"), &bytes.to_string(), "an MTU"))
    }

    /// Whether there is a carrier; nothing while the interface is down, when the kernel doesn't say.
    pub fn carrier(&self) -> Result<Option<bool>, SysfsError> {
        match self.generic.carrier() {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
            carrier => self.read("carrier", carrier).map(|carrier| Some(carrier != 0)),
        }
    }

    /// The operational state in RFC 2863's words: `up`, `down`, `lowerlayerdown`, ...
    pub fn operstate(&self) -> Result<String, SysfsError> {
        self.read("operstate", self.generic.operstate())
    }

    #[expect(unsafe_code, reason = "the crate's safe constructor only takes paths below /sys")]
    fn at(path: PathBuf) -> Self {
        // SAFETY: "unchecked" means that the path may be missing or not be an interface's. The crate
        // only opens files below it, so either ends in an I/O error and never in undefined behaviour.
        Self { generic: unsafe { sysfs_class::Net::from_path_unchecked(path) } }
    }

    fn path(&self, attribute: impl AsRef<Path>) -> PathBuf {
        self.generic.path().join(attribute)
    }

    fn read<T>(&self, attribute: &str, result: io::Result<T>) -> Result<T, SysfsError> {
        result.map_err(|source| SysfsError::Read { path: self.path(attribute), source })
    }
}
