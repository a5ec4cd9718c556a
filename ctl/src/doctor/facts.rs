//! What is known of a node: plain data, over which the checks are functions.

use std::path::PathBuf;

use linkspan_config::net_conf::{KindName, ParentLink};
use linkspan_config::resource_list::{Resource, VfDriver};
use linkspan_linux::{HostLinks, Link, VfSettings};
use linkspan_types::{IfName, MacAddr, PciAddress};

use super::lldp::Neighbour;
use super::systemd::LinkFile;
use crate::answer::Answer;
use crate::networks::Network;
use crate::peer_state::PeerState;

/// All that the checks look at.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The kernel's release, such as `6.12.0-9-amd64`.
    pub(super) kernel: String,
    /// Those modules of the kernel that somebody may need.
    pub(super) modules: Vec<(&'static str, Module)>,
    pub(super) iommu: Iommu,
    pub(super) links: HostLinks,
    pub(super) pfs: Vec<Pf>,
    /// The networks of the node's folder that are ours to make.
    pub(super) networks: Vec<Network>,
    /// What of the configurations can't be used: the file, and why.
    pub(super) refused: Vec<(PathBuf, String)>,
    /// The device plugin's resources.
    pub(super) pools: Vec<Resource>,
    pub(super) attachments: Vec<Attachment>,
    pub(super) peers: PeerState,
    pub(super) sockets: Vec<Socket>,
    pub(super) names: Names,
    /// What the switches said, by the index of the link; none where nobody has listened.
    pub(super) neighbours: Option<Vec<(u32, Neighbour)>>,
}

/// What is known of a module of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Module {
    /// It is in the kernel.
    There,
    /// It is on the disk.
    Loadable,
    /// It is neither.
    Missing,
    /// The modules' list can't be read, and it is not loaded.
    Unknown,
}

/// How devices are kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Iommu {
    /// Whether there are groups.
    pub(super) on: bool,
    /// Whether vfio does without.
    pub(super) unsafe_mode: bool,
}

/// A NIC, or any other network function that is no VF.
#[derive(Clone, Debug)]
pub(super) struct Pf {
    pub(super) address: PciAddress,
    pub(super) name: Option<IfName>,
    pub(super) driver: Option<String>,
    /// How many VFs it can have; none where it has no SR-IOV.
    pub(super) total: Option<u32>,
    pub(super) vfs: Vec<Vf>,
}

/// One of its VFs.
#[derive(Clone, Debug)]
pub(super) struct Vf {
    pub(super) number: u32,
    pub(super) address: PciAddress,
    pub(super) driver: Option<String>,
    /// What the PF has set for it.
    pub(super) settings: Option<VfSettings>,
}

/// What a record of the journal says.
#[derive(Clone, Debug)]
pub(super) struct Attachment {
    /// Whose it is, as a message has it.
    pub(super) owner: String,
    /// The device that it has for itself.
    pub(super) device: Option<String>,
    /// Whether the pod's namespace is there.
    pub(super) alive: bool,
    /// The MACs of the pod's links that have one for themselves.
    pub(super) macs: Vec<MacAddr>,
}

/// A socket on which somebody should answer.
#[derive(Clone, Debug)]
pub(super) struct Socket {
    pub(super) whose: Whose,
    pub(super) path: PathBuf,
    pub(super) state: Answer,
}

/// Who should answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Kubelet,
    PodResources,
    DevicePlugin,
    Dhcp,
}

/// Who else names and manages links.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Whether `NetworkManager` runs.
    pub(super) network_manager: bool,
    /// Whether some file tells it to leave some links alone.
    pub(super) unmanaged: bool,
    /// Files that name links by their MACs, each with its line.
    pub(super) by_mac: Vec<(PathBuf, usize)>,
    /// The files for systemd-networkd; none where it does not run.
    pub(super) networkd: Vec<LinkFile>,
    /// The files by which udev gives links their MACs; none where it does not run.
    pub(super) udev: Vec<LinkFile>,
    /// The links whose MAC is not their hardware's own.
    pub(super) lent_macs: Vec<String>,
}

impl Facts {
    /// The link with this name.
    pub(super) fn link(&self, name: &IfName) -> Option<&Link> {
        self.links.links.iter().find(|link| link.name == name.as_str())
    }

    /// The PFs of which a resource has VFs, as far as it names them.
    pub(super) fn pfs_of<'a>(&'a self, pool: &'a Resource) -> impl Iterator<Item = &'a Pf> {
        self.pfs.iter().filter(move |pf| selects(pool, pf))
    }

    /// The links that a network's pods ride on, as far as it is known before there is one.
    pub(super) fn links_below(&self, network: &Network) -> Vec<&Link> {
        match (&network.conf.parent, &network.conf.resource) {
            (Some(parent), _) if parent.in_container => Vec::new(),
            (Some(parent), _) => match &parent.link {
                ParentLink::Named(name) => self.link(name).into_iter().collect(),
                ParentLink::DefaultRoute => self.default_route().into_iter().collect(),
                ParentLink::Device(_) => Vec::new(),
            },
            (None, Some(resource)) => {
                let name = resource.as_str().rsplit('/').next().unwrap_or_default();
                let pools = self.pools.iter().filter(|pool| pool.name == name);
                let lower = |pool: &Resource| pool.shares.as_ref().map(|s| s.lower_device.clone());
                let names = pools.flat_map(|pool| {
                    self.pfs_of(pool).filter_map(|pf| pf.name.clone()).chain(lower(pool))
                });
                names.filter_map(|name| self.link(&name)).collect()
            }
            (None, None) => Vec::new(),
        }
    }

    /// The link of the first default route.
    pub(super) fn default_route(&self) -> Option<&Link> {
        let index = self.links.default_routes.first()?;
        self.links.links.iter().find(|link| link.index == *index)
    }

    /// Whether something on this node is to be driven by a program in user space.
    pub(super) fn wants_vfio(&self) -> bool {
        self.pools.iter().any(|pool| {
            let provision = pool.provision.as_ref().and_then(|provision| provision.driver);
            let selects = |driver: &String| driver == "vfio-pci";
            matches!(provision, Some(VfDriver::VfioPci(_)))
                || pool.selectors.iter().any(|selector| selector.drivers.iter().any(selects))
        })
    }

    /// Whether some network is of this kind.
    pub(super) fn has_kind(&self, kind: KindName) -> bool {
        self.networks.iter().any(|network| network.conf.kind == kind)
    }
}

/// Whether a resource names the PF.
fn selects(pool: &Resource, pf: &Pf) -> bool {
    pool.selectors.iter().any(|selector| {
        selector.pf_names.iter().any(|wanted| Some(&wanted.pf) == pf.name.as_ref())
            || selector.root_devices.iter().any(|wanted| wanted.pf == pf.address)
    })
}
