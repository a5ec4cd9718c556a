//! What programs use devices through without the kernel's network stack: RDMA and vDPA devices.

use std::fs;

use linkspan_types::{PciAddress, VdpaType};

use super::SysfsTree;

impl SysfsTree {
    /// Gives a device an RDMA device with one port, and its nodes: `mlx5_4`, `uverbs4`, `umad4`, `issm4`.
    pub fn add_rdma(&self, address: PciAddress, number: u32) {
        let paths = [
            format!("infiniband/mlx5_{number}"),
            format!("infiniband_verbs/uverbs{number}"),
            format!("infiniband_mad/umad{number}"),
            format!("infiniband_mad/issm{number}"),
        ];
        for path in paths {
            fs::create_dir_all(self.device(address).join(path)).unwrap();
        }
    }

    /// Gives a device a vDPA device of its number, bound to the driver of this type: `vdpa0/vhost-vdpa-0`.
    pub fn add_vdpa(&self, address: PciAddress, number: u32, vdpa_type: VdpaType) {
        let (driver, end) = match vdpa_type {
            VdpaType::Vhost => ("vhost_vdpa", "vhost-vdpa-"),
            VdpaType::Virtio => ("virtio_vdpa", "virtio"),
        };
        let device = self.device(address).join(format!("vdpa{number}"));
        fs::create_dir_all(device.join(format!("{end}{number}"))).unwrap();
        let target = self.root().join("bus/vdpa/drivers").join(driver);
        fs::create_dir_all(&target).unwrap();
        std::os::unix::fs::symlink(target, device.join("driver")).unwrap();
    }
}
