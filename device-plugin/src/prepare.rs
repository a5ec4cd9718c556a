//! Allocate: the environment and the device nodes that a container needs for its devices.
//!
//! What the kernel says at this moment counts: a device may have got another driver since the last
//! look at the node.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use linkspan_linux::pci::{IommuGroup, PciDevice, Sysfs, SysfsError};
use linkspan_proto::deviceplugin::{ContainerAllocateResponse, DeviceSpec};
use linkspan_types::PciAddress;
use serde_json::{Map, Value, json};

use crate::pools::Pool;

/// Where the kernel's view of the devices is.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) sysfs: Sysfs,
    /// `/dev`.
    pub(crate) dev: PathBuf,
}

/// A device can't be given to a container.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error("cannot tell what {address} needs")]
    Sysfs { address: PciAddress, source: SysfsError },
    #[error(
        "{address} is bound to {driver} but is in no IOMMU group, expected one: turn the IOMMU on, or let vfio work without one (enable_unsafe_noiommu_mode)"
    )]
    NoIommuGroup { address: PciAddress, driver: String },
    #[error(
        "{address} is bound to {driver} but has no uio node, expected one in its uio directory"
    )]
    NoUioNode { address: PciAddress, driver: String },
    #[error("{address} needs the device node {}, which is missing: load the module of its driver {driver}, and see that the plugin's container mounts the host's /dev", node.display())]
    NoNode { address: PciAddress, driver: String, node: PathBuf, source: io::Error },
}

/// What one container gets for its devices.
pub(crate) fn prepare(
    pool: &Pool,
    addresses: &[PciAddress],
    host: &Host,
) -> Result<ContainerAllocateResponse, PrepareError> {
    let mut info = Map::new();
    let mut devices: Vec<DeviceSpec> = Vec::new();
    for &address in addresses {
        let needs = Needs::of(&host.sysfs.pci(address))?;
        for node in needs.nodes() {
            let path = host.dev.join(&node.host);
            path.symlink_metadata().map_err(|source| PrepareError::NoNode {
                address,
                driver: needs.driver.clone(),
                node: path,
                source,
            })?;
            let spec = node.spec();
            if !devices.contains(&spec) {
                devices.push(spec);
            }
        }
        info.insert(address.to_string(), device_info(pool, address, &needs));
    }
    let ids: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let variable = pool.name.variable();
    let envs = HashMap::from([
        (format!("{variable}_INFO"), Value::Object(info).to_string()),
        (variable, ids.join(",")),
    ]);
    Ok(ContainerAllocateResponse { envs, devices, ..ContainerAllocateResponse::default() })
}

/// What a program needs to drive a device itself; nothing where the kernel drives it.
struct Needs {
    driver: String,
    kind: Kind,
}

enum Kind {
    Kernel,
    Vfio(IommuGroup),
    Uio(String),
}

/// A device node: its path below the host's `/dev`, and below the container's.
struct Node {
    host: String,
    container: String,
}

impl Needs {
    fn of(device: &PciDevice) -> Result<Self, PrepareError> {
        let address = device.address();
        let unreadable = |source| PrepareError::Sysfs { address, source };
        let driver = device.driver().map_err(unreadable)?.unwrap_or_default();
        let kind = match driver.as_str() {
            "vfio-pci" => match device.iommu_group().map_err(unreadable)? {
                Some(group) => Kind::Vfio(group),
                None => return Err(PrepareError::NoIommuGroup { address, driver }),
            },
            // The peer knows `uio` and `igb_uio` only, though its CNI plugin knows the third.
            "uio" | "igb_uio" | "uio_pci_generic" => {
                match device.uio_nodes().map_err(unreadable)?.into_iter().next() {
                    Some(node) => Kind::Uio(node),
                    None => return Err(PrepareError::NoUioNode { address, driver }),
                }
            }
            _ => Kind::Kernel,
        };
        Ok(Self { driver, kind })
    }

    fn nodes(&self) -> Vec<Node> {
        let same = |path: String| Node { host: path.clone(), container: path };
        match &self.kind {
            Kind::Kernel => Vec::new(),
            Kind::Vfio(group) => vec![same("vfio/vfio".to_owned()), vfio_node(*group)],
            Kind::Uio(name) => vec![same(name.clone())],
        }
    }
}

/// Without an IOMMU the node is called `noiommu-7`, but programs look for `7`.
fn vfio_node(group: IommuGroup) -> Node {
    let container = format!("vfio/{}", group.number);
    let host =
        if group.no_iommu { format!("vfio/noiommu-{}", group.number) } else { container.clone() };
    Node { host, container }
}

impl Node {
    fn spec(&self) -> DeviceSpec {
        DeviceSpec {
            container_path: format!("/dev/{}", self.container),
            host_path: format!("/dev/{}", self.host),
            permissions: "rw".to_owned(),
        }
    }
}

/// One device's part of the `_INFO` variable, in the peer's words.
fn device_info(pool: &Pool, address: PciAddress, needs: &Needs) -> Value {
    let id = address.to_string();
    let mut info = json!({"generic": {"deviceID": id}});
    match &needs.kind {
        Kind::Kernel => {}
        Kind::Vfio(group) => {
            let node = vfio_node(*group).spec().container_path;
            info["vfio"] = json!({"mount": "/dev/vfio/vfio", "dev-mount": node});
        }
        Kind::Uio(name) => info["uio"] = json!({"mount": format!("/dev/{name}")}),
    }
    let additional = &pool.resource.additional_info;
    if !additional.is_empty() {
        let groups = ["*", id.as_str()].into_iter().filter_map(|key| additional.get(key));
        info["extra"] = groups.flatten().map(|(k, v)| (k.clone(), json!(v))).collect();
    }
    info
}
