//! What a container needs for a device, part by part: vfio or uio for a driver in user space, and
//! what the device's pool asks for beside it.

use linkspan_linux::pci::{IommuGroup, PciDevice, Rdma, Sysfs, SysfsError, VdpaEnd};
use linkspan_types::VdpaType;
use serde_json::{Value, json};

use super::PrepareError;
use super::nodes::Node;
use crate::inventory::DeviceId;
use crate::pools::Member;

/// One thing that a container needs for a device; each is a key of the `_INFO` variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Vfio(IommuGroup),
    Uio { node: String, driver: String },
    VhostNet,
    Rdma(Rdma),
    Vdpa { parent: String, end: VdpaEnd },
}

/// What the kernel says a device needs now; of what its pool asks for, nothing may be missing.
pub(super) fn of(member: &Member, sysfs: &Sysfs) -> Result<Vec<Part>, PrepareError> {
    let mut parts = Vec::new();
    let id = &member.device.id;
    if let Some(address) = id.pci() {
        let device = sysfs.pci(address);
        parts.extend(driven_by_user(id, &device)?);
        if let Some(expected) = member.needs.vdpa {
            parts.push(vdpa(id, &device, expected)?);
        }
    }
    if member.needs.vhost_net {
        parts.push(Part::VhostNet);
    }
    if member.needs.rdma {
        parts.push(rdma(id, sysfs)?);
    }
    Ok(parts)
}

/// Nothing where the kernel drives the device.
fn driven_by_user(id: &DeviceId, device: &PciDevice) -> Result<Option<Part>, PrepareError> {
    let driver = device.driver().map_err(unreadable(id))?.unwrap_or_default();
    let part = match driver.as_str() {
        "vfio-pci" => device.iommu_group().map_err(unreadable(id))?.map(Part::Vfio),
        // The peer knows `uio` and `igb_uio` only, though its CNI plugin knows the third.
        "uio" | "igb_uio" | "uio_pci_generic" => {
            let node = device.uio_nodes().map_err(unreadable(id))?.into_iter().next();
            node.map(|node| Part::Uio { node, driver: driver.clone() })
        }
        _ => return Ok(None),
    };
    part.map(Some).ok_or_else(|| {
        let device = id.clone();
        match driver.as_str() {
            "vfio-pci" => PrepareError::NoIommuGroup { device, driver },
            _ => PrepareError::NoUioNode { device, driver },
        }
    })
}

fn rdma(id: &DeviceId, sysfs: &Sysfs) -> Result<Part, PrepareError> {
    let rdma = match id {
        DeviceId::Pci(address) => sysfs.pci(*address).rdma(),
        DeviceId::SubFunction(name) => sysfs.rdma_of_sub_function(name),
    };
    let rdma = rdma.map_err(unreadable(id))?;
    if rdma.devices.is_empty() {
        return Err(PrepareError::NoRdma { device: id.clone() });
    }
    if rdma.uverbs.is_empty() {
        return Err(PrepareError::NoVerbs { device: id.clone(), rdma: rdma.devices.join(",") });
    }
    Ok(Part::Rdma(rdma))
}

fn vdpa(id: &DeviceId, device: &PciDevice, expected: VdpaType) -> Result<Part, PrepareError> {
    let vdpa = device.vdpa().map_err(unreadable(id))?;
    let part = vdpa.and_then(|vdpa| {
        let end = vdpa.end.filter(|end| end.vdpa_type == expected)?;
        Some(Part::Vdpa { parent: vdpa.name, end })
    });
    part.ok_or_else(|| {
        let driver = match expected {
            VdpaType::Vhost => "vhost_vdpa",
            VdpaType::Virtio => "virtio_vdpa",
        };
        PrepareError::NoVdpa { device: id.clone(), driver, expected }
    })
}

fn unreadable(id: &DeviceId) -> impl FnOnce(SysfsError) -> PrepareError {
    |source| PrepareError::Sysfs { device: id.clone(), source }
}

impl Part {
    /// The key of the `_INFO` variable.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Vfio(_) => "vfio",
            Self::Uio { .. } => "uio",
            Self::VhostNet => "vhost",
            Self::Rdma(_) => "rdma",
            Self::Vdpa { .. } => "vdpa",
        }
    }

    /// What stands under the key.
    pub(super) fn information(&self) -> Value {
        match self {
            Self::Vfio(group) => json!({
                "mount": "/dev/vfio/vfio", "dev-mount": vfio_node(*group).container_path(),
            }),
            Self::Uio { node, .. } => json!({"mount": format!("/dev/{node}")}),
            Self::VhostNet => json!({"net-mount": "/dev/vhost-net", "tun-mount": "/dev/net/tun"}),
            Self::Rdma(rdma) => rdma_information(rdma),
            // The host's kernel drives a virtio vDPA device: there is nothing to mount.
            Self::Vdpa { .. } => self
                .nodes()
                .first()
                .map_or_else(|| json!({}), |node| json!({"mount": node.container_path()})),
        }
    }

    /// The device nodes, in an order that is always the same.
    pub(super) fn nodes(&self) -> Vec<Node> {
        match self {
            Self::Vfio(group) => vec![Node::same("vfio/vfio", "vfio-pci"), vfio_node(*group)],
            Self::Uio { node, driver } => vec![Node::same(node, driver)],
            Self::VhostNet => {
                vec![Node::same("vhost-net", "vhost_net"), Node::same("net/tun", "tun")]
            }
            Self::Rdma(rdma) => rdma_nodes(rdma),
            Self::Vdpa { end: VdpaEnd { vdpa_type: VdpaType::Vhost, name }, .. } => {
                vec![Node::same(name, "vhost_vdpa")]
            }
            Self::Vdpa { .. } => Vec::new(),
        }
    }
}

/// Without an IOMMU the node is called `noiommu-7`, but programs look for `7`.
fn vfio_node(group: IommuGroup) -> Node {
    let node = Node::same(format!("vfio/{}", group.number), "vfio-pci");
    if !group.no_iommu {
        return node;
    }
    Node { host: format!("vfio/noiommu-{}", group.number), ..node }
}

/// The nodes that sysfs has for the device, and the one of the connection manager, which all share.
fn rdma_nodes(rdma: &Rdma) -> Vec<Node> {
    let groups = [
        (&rdma.ucm, "ib_ucm"),
        (&rdma.issm, "ib_umad"),
        (&rdma.umad, "ib_umad"),
        (&rdma.uverbs, "ib_uverbs"),
    ];
    let own = groups.into_iter().flat_map(|(names, module)| {
        names.iter().map(move |name| Node::same(format!("infiniband/{name}"), module))
    });
    own.chain([Node::same("infiniband/rdma_cm", "rdma_ucm")]).collect()
}

/// Texts, as all of `_INFO`: of several nodes of one kind the paths stand side by side.
fn rdma_information(rdma: &Rdma) -> Value {
    let mut info = json!({
        "rdma_cm": "/dev/infiniband/rdma_cm", "rdma_dev": rdma.devices.join(","),
    });
    for (key, names) in [("uverbs", &rdma.uverbs), ("umad", &rdma.umad), ("issm", &rdma.issm)] {
        let paths: Vec<String> =
            names.iter().map(|name| format!("/dev/infiniband/{name}")).collect();
        if !paths.is_empty() {
            info[key] = json!(paths.join(","));
        }
    }
    info
}
