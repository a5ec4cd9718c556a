//! Allocate: the environment and the device nodes that a container needs for its devices, and the
//! files in which Multus looks for them.
//!
//! What the kernel says at this moment counts: a device may have got another driver since the last
//! look at the node.

pub(crate) mod cdi;
pub(crate) mod device_info;
mod nodes;
mod parts;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use linkspan_linux::pci::{Sysfs, SysfsError};
use linkspan_proto::deviceplugin::{CdiDevice, ContainerAllocateResponse, DeviceSpec};
use linkspan_types::{IfName, VdpaType};
use serde_json::{Map, Value, json};

use crate::inventory::DeviceId;
use crate::pools::{Member, Pool};
use crate::provision::{Changing, Given};
use cdi::{CdiError, Specification};
use parts::Part;

/// Where the kernel's view of the devices is, and who else is told of them.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) sysfs: Sysfs,
    /// `/dev`.
    pub(crate) dev: PathBuf,
    /// Where Multus looks for what pods were given.
    pub(crate) device_info: PathBuf,
    /// Where the container runtime looks for devices by name; nothing where they are given as nodes.
    pub(crate) cdi: Option<PathBuf>,
    /// What was given to pods lately.
    pub(crate) given: Arc<Given>,
    /// What is being set up, and waited for.
    pub(crate) changing: Arc<Changing>,
    /// The links of shares that were.
    pub(crate) given_shares: Arc<Given<IfName>>,
}

/// A device can't be given to a container.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error("cannot tell what {device} needs")]
    Sysfs { device: DeviceId, source: SysfsError },
    #[error(
        "{device} is bound to {driver} but is in no IOMMU group, expected one: turn the IOMMU on, or let vfio work without one (enable_unsafe_noiommu_mode)"
    )]
    NoIommuGroup { device: DeviceId, driver: String },
    #[error("{device} is bound to {driver} but has no uio node, expected one in its uio directory")]
    NoUioNode { device: DeviceId, driver: String },
    #[error(
        "{device} has no RDMA device here, expected one as its pool says isRdma: see that its driver's RDMA module is loaded, and that no other namespace has the RDMA device"
    )]
    NoRdma { device: DeviceId },
    #[error("{device} has the RDMA device {rdma} but no node for verbs: load the module ib_uverbs")]
    NoVerbs { device: DeviceId, rdma: String },
    #[error(
        "{device} has no vDPA device bound to {driver}, expected one as its pool says vdpaType {expected}: add one (vdpa dev add), or bind it to {driver}"
    )]
    NoVdpa { device: DeviceId, driver: &'static str, expected: VdpaType },
    #[error(
        "{device} needs the device node {}, which is missing: load the module {module}, and see that the plugin's container mounts the host's /dev", node.display()
    )]
    NoNode { device: DeviceId, module: String, node: PathBuf, source: io::Error },
    #[error("the container runtime can't be told of the devices (--use-cdi)")]
    Cdi(#[from] CdiError),
}

/// A device, ready to be given to a container.
struct Prepared<'a> {
    member: &'a Member,
    parts: Vec<Part>,
}

/// What one container gets for its devices.
pub(crate) fn prepare(
    pool: &Pool,
    members: &[&Member],
    host: &Host,
) -> Result<ContainerAllocateResponse, PrepareError> {
    let prepared: Vec<Prepared<'_>> =
        members.iter().map(|member| Prepared::of(member, host)).collect::<Result<_, _>>()?;
    let (devices, cdi_devices) = match Specification::read(host, &pool.name) {
        Some(specification) => (Vec::new(), named(specification, &prepared)?),
        None => (device_nodes(&prepared), Vec::new()),
    };
    device_info::write(&host.device_info, pool, &prepared, &host.sysfs);
    let envs = variables(pool, &prepared);
    Ok(ContainerAllocateResponse {
        envs,
        devices,
        cdi_devices,
        ..ContainerAllocateResponse::default()
    })
}

fn device_nodes(prepared: &[Prepared<'_>]) -> Vec<DeviceSpec> {
    let mut devices: Vec<DeviceSpec> = Vec::new();
    for node in prepared.iter().flat_map(|device| &device.parts).flat_map(Part::nodes) {
        let spec = node.spec();
        // Several devices share a node such as /dev/vfio/vfio, or their IOMMU group's.
        if !devices.contains(&spec) {
            devices.push(spec);
        }
    }
    devices
}

/// The devices by the names under which the container runtime finds them.
fn named(
    mut specification: Specification,
    prepared: &[Prepared<'_>],
) -> Result<Vec<CdiDevice>, CdiError> {
    let full = prepared.iter().filter_map(|device| specification.name(device));
    let named = full.map(|name| CdiDevice { name }).collect();
    specification.write()?;
    Ok(named)
}

impl<'a> Prepared<'a> {
    /// Looks up what a device needs, and that all of its nodes are there.
    fn of(member: &'a Member, host: &Host) -> Result<Self, PrepareError> {
        let parts = parts::of(member, &host.sysfs)?;
        for node in parts.iter().flat_map(Part::nodes) {
            let path = host.dev.join(&node.host);
            path.symlink_metadata().map_err(|source| PrepareError::NoNode {
                device: member.device.id.clone(),
                module: node.module.clone(),
                node: path,
                source,
            })?;
        }
        Ok(Self { member, parts })
    }

    fn id(&self) -> String {
        self.member.device.id.to_string()
    }
}

/// What a container is told of its devices, in the peer's words.
fn variables(pool: &Pool, prepared: &[Prepared<'_>]) -> HashMap<String, String> {
    let info: Map<String, Value> =
        prepared.iter().map(|device| (device.id(), information(pool, device))).collect();
    let ids: Vec<String> = prepared.iter().map(Prepared::id).collect();
    let variable = pool.name.variable();
    HashMap::from([
        (format!("{variable}_INFO"), Value::Object(info).to_string()),
        (variable, ids.join(",")),
    ])
}

/// One device's part of the `_INFO` variable.
fn information(pool: &Pool, device: &Prepared<'_>) -> Value {
    let id = device.id();
    let mut info = json!({"generic": {"deviceID": id}});
    for part in &device.parts {
        info[part.name()] = part.information();
    }
    let additional = &pool.resource.additional_info;
    if !additional.is_empty() {
        let groups = ["*", id.as_str()].into_iter().filter_map(|key| additional.get(key));
        info["extra"] = groups.flatten().map(|(k, v)| (k.clone(), json!(v))).collect();
    }
    info
}

#[cfg(test)]
pub(crate) mod tests;
