//! The files by which Multus hears which devices a container was given, and tells the pod.

use std::io;
use std::path::{Path, PathBuf};

use linkspan_config::resource_list::DeviceType;
use linkspan_linux::pci::{Rdma, Sysfs, VdpaEnd};
use linkspan_proto::device_info::{DeviceInfo, Usage};
use linkspan_proto::whole_file;
use linkspan_types::{IfName, PciAddress, VdpaType};

use super::Prepared;
use super::parts::Part;
use crate::inventory::Place;
use crate::pools::{Pool, PoolName};

/// Where a pool's file about a device is.
pub(crate) fn path(folder: &Path, pool: &PoolName, device: PciAddress) -> PathBuf {
    folder.join(format!("{}{device}{SUFFIX}", prefix(pool)))
}

/// The device that a file of this name is about, if it is one of the pool's.
pub(crate) fn device_of(name: &str, pool: &PoolName) -> Option<PciAddress> {
    name.strip_prefix(&prefix(pool))?.strip_suffix(SUFFIX)?.parse().ok()
}

const SUFFIX: &str = "-device.json";

fn prefix(pool: &PoolName) -> String {
    format!("{pool}-").replace('/', "-")
}

/// Writes a file for each network device that has a PCI address: the specification has no words for
/// others. A pod can run without, so what can't be written is only said.
pub(super) fn write(folder: &Path, pool: &Pool, prepared: &[Prepared<'_>], sysfs: &Sysfs) {
    if pool.resource.device_type != DeviceType::NetDevice {
        return;
    }
    for device in prepared {
        let Some(address) = device.member.device.id.pci() else { continue };
        let file = path(folder, &pool.name, address);
        if let Err(error) = whole_file::write(&file, &describe(address, device, sysfs).to_json()) {
            warn(&file, &error);
        }
    }
}

fn warn(file: &Path, error: &io::Error) {
    tracing::warn!(
        "Multus can't be told what a pod was given: cannot write {}: {error}; mount the host's folder \
         there, so that it can be written",
        file.display()
    );
}

fn describe(address: PciAddress, device: &Prepared<'_>, sysfs: &Sysfs) -> DeviceInfo {
    let (pf, representor) = match &device.member.device.place {
        Place::Vf { index, pf } => (Some(pf.address), representor(pf.address, *index, sysfs)),
        Place::Whole { .. } | Place::SubFunction { .. } => (None, None),
    };
    DeviceInfo { address, pf, representor, usage: usage(&device.parts) }
}

/// Nothing in legacy mode, where the PF has one interface.
fn representor(pf: PciAddress, vf: u32, sysfs: &Sysfs) -> Option<IfName> {
    sysfs.pci(pf).representor(vf).unwrap_or_else(|error| {
        tracing::warn!("no representor is told: {:#}", anyhow::Error::new(error));
        None
    })
}

fn usage(parts: &[Part]) -> Usage {
    let (mut vhost_net, mut rdma) = (None, Vec::new());
    for part in parts {
        match part {
            Part::Vdpa { parent, end: VdpaEnd { vdpa_type, name } } => {
                let path = match vdpa_type {
                    VdpaType::Vhost => format!("/dev/{name}"),
                    VdpaType::Virtio => format!("/sys/bus/virtio/devices/{name}"),
                };
                return Usage::Vdpa { parent: parent.clone(), driver: *vdpa_type, path };
            }
            Part::VhostNet => vhost_net = Some("/dev/vhost-net".to_owned()),
            Part::Rdma(Rdma { devices, .. }) => rdma.clone_from(devices),
            Part::Vfio(_) | Part::Uio { .. } => {}
        }
    }
    Usage::Pci { vhost_net, rdma }
}
