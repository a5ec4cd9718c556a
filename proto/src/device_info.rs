//! What Linkspan's programs tell Multus, and through it pods, of a device: files of the Device Information
//! Specification 1.1.0 of the Network Plumbing Working Group.

use linkspan_types::{IfName, PciAddress, VdpaType};
use serde_json::{Value, json};

/// Where the specification has the files of device plugins (section 4.1).
pub const DEVICE_PLUGIN_FOLDER: &str = "/var/run/k8s.cni.cncf.io/devinfo/dp";

/// Where it has those of network attachments (section 4.2), below `/var/run`.
pub const ATTACHMENT_FOLDER: &str = "k8s.cni.cncf.io/devinfo/cni";

/// What a file says of a device that has a PCI address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The device itself.
    pub address: PciAddress,
    /// Of a VF, its PF.
    pub pf: Option<PciAddress>,
    /// Of a VF of a switch (switchdev), its port's interface on the host.
    pub representor: Option<IfName>,
    /// How it is used.
    pub usage: Usage,
}

/// How a device is used, which decides on the file's `type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usage {
    /// As a PCI device.
    Pci {
        /// The device node of vhost-net, where the pod was given it.
        vhost_net: Option<String>,
        /// The RDMA devices that the pod was given.
        rdma: Vec<String>,
    },
    /// Through the vDPA device that was made of it.
    Vdpa {
        /// Its name on the vDPA bus: `vdpa0`.
        parent: String,
        /// What it is bound to.
        driver: VdpaType,
        /// The device node, or the device on the virtio bus.
        path: String,
    },
}

impl DeviceInfo {
    /// A PCI device of which only the addresses are known.
    #[must_use]
    pub fn of(address: PciAddress, pf: Option<PciAddress>) -> Self {
        let usage = Usage::Pci { vhost_net: None, rdma: Vec::new() };
        Self { address, pf, representor: None, usage }
    }

    /// What stands in the file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (kind, mut device) = match &self.usage {
            Usage::Pci { vhost_net, rdma } => {
                let mut device = json!({});
                if let Some(node) = vhost_net {
                    device["vhost-net"] = json!(node);
                }
                if !rdma.is_empty() {
                    device["rdma-device"] = json!(rdma.join(","));
                }
                ("pci", device)
            }
            Usage::Vdpa { parent, driver, path } => {
                let driver = driver.to_string();
                ("vdpa", json!({"parent-device": parent, "driver": driver, "path": path}))
            }
        };
        device["pci-address"] = json!(self.address.to_string());
        if let Some(pf) = self.pf {
            device["pf-pci-address"] = json!(pf.to_string());
        }
        if let Some(representor) = &self.representor {
            device["representor-device"] = json!(representor.as_str());
        }
        let mut whole = json!({"type": kind, "version": "1.1.0"});
        whole[kind] = device;
        whole
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_file_says_all_that_the_specification_has_words_for() {
        let (address, pf) = ("0000:18:0a.2".parse().unwrap(), "0000:18:00.1".parse().unwrap());
        let bare = DeviceInfo::of(address, None);
        let pci = DeviceInfo {
            pf: Some(pf),
            representor: "eth3".parse().ok(),
            usage: Usage::Pci {
                vhost_net: Some("/dev/vhost-net".to_owned()),
                rdma: vec!["mlx5_4".to_owned(), "mlx5_5".to_owned()],
            },
            ..bare.clone()
        };
        let vdpa = DeviceInfo {
            usage: Usage::Vdpa {
                parent: "vdpa2".to_owned(),
                driver: VdpaType::Vhost,
                path: "/dev/vhost-vdpa-0".to_owned(),
            },
            ..pci.clone()
        };
        let table = [
            (
                bare,
                json!({"type": "pci", "version": "1.1.0", "pci": {"pci-address": "0000:18:0a.2"}}),
            ),
            (
                pci,
                json!({"type": "pci", "version": "1.1.0", "pci": {
                    "pci-address": "0000:18:0a.2", "pf-pci-address": "0000:18:00.1", "vhost-net": "/dev/vhost-net",
                    "rdma-device": "mlx5_4,mlx5_5", "representor-device": "eth3",
                }}),
            ),
            (
                vdpa,
                json!({"type": "vdpa", "version": "1.1.0", "vdpa": {
                    "parent-device": "vdpa2", "driver": "vhost", "path": "/dev/vhost-vdpa-0",
                    "pci-address": "0000:18:0a.2", "pf-pci-address": "0000:18:00.1", "representor-device": "eth3",
                }}),
            ),
        ];
        for (info, expected) in table {
            assert_eq!(info.to_json(), expected);
        }
    }
}
