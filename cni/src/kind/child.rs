//! A child link for a pod (macvlan, ipvlan, macvtap): its parent is looked up, perhaps a VLAN sub-interface
//! put in between, and the child made in the pod under its final name by one message.

mod error;
mod mac;
mod parent;
mod remove;
mod tap;
mod vlan;

use std::fmt;

use linkspan_config::net_conf::{
    IpvlanConf, MacChoice, MacvlanConf, MacvlanSharing, MacvtapConf, ParentConf,
};
use linkspan_linux::{
    Errno, Link, LinkBasics, LinkKind, NewKind, NewLink, RouteSocket, free_index, random_mac,
};
use linkspan_types::{IfName, IpvlanFlag, IpvlanMode, MacAddr, MacvlanMode, PciAddress, VlanId};
use serde::{Deserialize, Serialize};

use super::Claim;
use crate::node::Node;
use crate::pod::{NameTaken, Pod};
pub use error::ChildError;
pub use mac::mac_of;
use parent::Parent;
pub use parent::{find_parent, parent_difference};
pub use remove::{Removed, remove, remove_unrecorded};
pub use tap::Tap;
pub use vlan::{VlanName, remove_unused as remove_unused_vlan};

/// A child link as ADD is about to make it: all that it takes to find it again and to remove it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildRecord {
    /// What it is.
    pub kind: ChildKind,
    /// The index of its parent, below any VLAN sub-interface.
    pub parent: u32,
    /// Whether the parent is in the pod's namespace.
    pub in_container: bool,
    /// The VLAN sub-interface that it rides on, of which other attachments may have a share.
    pub vlan: Option<VlanName>,
    /// The VF that is its parent, if it is one that the attachment has for itself.
    pub vf: Option<VfParent>,
    /// The index that it has in the pod, chosen at random, so that by it the link is told from any other, whatever
    /// the pod does to the link. None is of an earlier version, whose ADD had made sure that the name was free.
    #[serde(default)]
    pub index: Option<u32>,
}

/// What kinds of child links there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChildKind {
    /// A link with a MAC of its own.
    Macvlan,
    /// A link with its parent's MAC.
    Ipvlan,
    /// A link with a MAC of its own that a virtual machine reads from a device node.
    Macvtap,
}

/// A VF that serves as a parent and stays on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VfParent {
    /// The VF.
    pub device: PciAddress,
    /// Whether it was up before.
    pub up: bool,
}

/// What a configuration asks for, the same for each of the kinds.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    shape: Shape<'a>,
    parent: &'a ParentConf,
    mac: Option<MacChoice>,
    tap: Option<Tap>,
}

/// What a child is.
#[derive(Clone, Copy, Debug)]
enum Shape<'a> {
    Macvlan(&'a MacvlanSharing),
    Ipvlan(IpvlanMode, IpvlanFlag),
    Macvtap(&'a MacvlanSharing, Option<u32>),
}

/// A child that can be made: its parent is found, and nothing changed yet.
pub struct Child<'a> {
    wanted: &'a Wanted<'a>,
    parent: Parent,
    index: u32,
    record: ChildRecord,
}

/// Where a child is to go.
pub struct ChildDestination<'a> {
    /// The name in the pod.
    pub name: &'a IfName,
    /// Its MAC, where the attachment's address decides it.
    pub mac: Option<MacAddr>,
    /// Whether nothing more comes, and it can be up from its first moment on.
    pub up: bool,
}

impl<'a> Wanted<'a> {
    /// What a macvlan network asks for.
    #[must_use]
    pub fn macvlan(conf: &'a MacvlanConf) -> Self {
        let shape = Shape::Macvlan(&conf.sharing);
        Self { shape, parent: &conf.parent, mac: Some(conf.mac), tap: None }
    }

    /// What an ipvlan network asks for.
    #[must_use]
    pub fn ipvlan(conf: &'a IpvlanConf) -> Self {
        let shape = Shape::Ipvlan(conf.mode, conf.flag);
        Self { shape, parent: &conf.parent, mac: None, tap: None }
    }

    /// What a macvtap network asks for that has no pool.
    #[must_use]
    pub fn macvtap(
        conf: &MacvtapConf,
        parent: &'a ParentConf,
        sharing: &'a MacvlanSharing,
        queues: Option<u32>,
    ) -> Self {
        let shape = Shape::Macvtap(sharing, queues);
        Self { shape, parent, mac: Some(conf.mac), tap: Some(Tap::of(conf)) }
    }

    /// Its parent.
    #[must_use]
    pub fn parent(&self) -> &'a ParentConf {
        self.parent
    }

    /// Whether its MAC is made of its address, which has to be known first.
    #[must_use]
    pub fn needs_address_first(&self) -> bool {
        self.mac == Some(MacChoice::FromIp)
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ChildKind {
        match self.shape {
            Shape::Macvlan(_) => ChildKind::Macvlan,
            Shape::Ipvlan(..) => ChildKind::Ipvlan,
            Shape::Macvtap(..) => ChildKind::Macvtap,
        }
    }

    /// The link that the kernel shows for it.
    fn new_kind(&self) -> NewKind<'a> {
        match self.shape {
            Shape::Macvlan(MacvlanSharing { mode, sources, broadcast_queue }) => {
                NewKind::Macvlan { mode: *mode, sources, broadcast_queue: *broadcast_queue }
            }
            Shape::Macvtap(MacvlanSharing { mode, sources, broadcast_queue }, _) => {
                NewKind::Macvtap { mode: *mode, sources, broadcast_queue: *broadcast_queue }
            }
            Shape::Ipvlan(mode, flag) => NewKind::Ipvlan { mode, flag },
        }
    }

    fn is_passthru(&self) -> bool {
        match self.shape {
            Shape::Macvlan(sharing) | Shape::Macvtap(sharing, _) => {
                sharing.mode == MacvlanMode::Passthru
            }
            Shape::Ipvlan(..) => false,
        }
    }

    fn queues(&self) -> Option<u32> {
        match self.shape {
            Shape::Macvtap(_, queues) => queues,
            Shape::Macvlan(_) | Shape::Ipvlan(..) => None,
        }
    }

    /// In what a link is of another shape than it should be, as "mode private, expected bridge".
    #[must_use]
    pub fn difference(&self, link: &Link) -> Option<String> {
        let modes = |now: &dyn fmt::Display, wanted: &dyn fmt::Display, what: &str| {
            let (now, wanted) = (now.to_string(), wanted.to_string());
            (now != wanted).then(|| format!("has {what} {now}, expected {wanted}"))
        };
        match (self.shape, &link.kind) {
            (Shape::Macvlan(sharing), LinkKind::Macvlan { mode, .. })
            | (Shape::Macvtap(sharing, _), LinkKind::Macvtap { mode, .. }) => {
                modes(mode, &sharing.mode, "mode")
            }
            (Shape::Ipvlan(mode, flag), LinkKind::Ipvlan { mode: mode_now, flag: flag_now }) => {
                modes(mode_now, &mode, "mode").or_else(|| modes(flag_now, &flag, "flag"))
            }
            _ => Some(format!("is no {} link", self.kind())),
        }
    }
}

impl<'a> Child<'a> {
    /// Looks the parent up in the namespace of `socket`, and checks that the child can ride on it.
    pub fn find(
        node: &Node,
        socket: &mut RouteSocket,
        wanted: &'a Wanted<'a>,
    ) -> Result<Self, ChildError> {
        let parent = Parent::find(node, socket, wanted.parent)?;
        let index = if wanted.tap.is_some() { tap::free_index() } else { free_index() }
            .map_err(ChildError::Random)?;
        let record = ChildRecord {
            kind: wanted.kind(),
            parent: parent.link.index,
            in_container: wanted.parent.in_container,
            vlan: wanted.parent.vlan.map(|id| VlanName::new(parent.link.index, id)),
            vf: parent.device.map(|device| VfParent { device, up: parent.link.up }),
            index: Some(index),
        };
        Ok(Self { wanted, parent, index, record })
    }

    /// What the journal has to keep.
    #[must_use]
    pub fn record(&self) -> &ChildRecord {
        &self.record
    }

    /// Its parent by its name and its VLAN, where the child may have any MAC.
    #[must_use]
    pub fn rides_on(&self) -> Option<(&str, Option<VlanId>)> {
        let is_free = self.wanted.mac == Some(MacChoice::Any) && !self.wanted.is_passthru();
        is_free.then_some((self.parent.name.as_str(), self.wanted.parent.vlan))
    }

    /// Makes the child in the pod, and its VLAN sub-interface where it is the first on it. What a failure
    /// leaves half done, [`remove`] undoes.
    pub fn make(
        &self,
        host: &mut RouteSocket,
        pod: &mut Pod,
        to: &ChildDestination,
    ) -> Result<LinkBasics, ChildError> {
        self.parent.wake(host)?;
        let parent = match &self.record.vlan {
            None => self.parent.link,
            Some(name) => vlan::share(host, self.parent.link.index, name)?,
        };
        let made = self.add_link(host, pod, &parent, to)?;
        if let Some(tap) = &self.wanted.tap {
            tap.set_up(pod, made.index)?;
        }
        Ok(made)
    }

    /// What the link is like follows from what was asked for, so that the kernel need not be asked.
    fn add_link(
        &self,
        host: &mut RouteSocket,
        pod: &mut Pod,
        parent: &LinkBasics,
        to: &ChildDestination,
    ) -> Result<LinkBasics, ChildError> {
        let mut new = NewLink {
            name: to.name,
            kind: self.wanted.new_kind(),
            parent: parent.index,
            netns: None,
            index: Some(self.index),
            mac: self.mac(to)?,
            mtu: self.wanted.parent.mtu,
            up: to.up,
            queues: self.wanted.queues(),
        };
        let made = if self.record.in_container {
            pod.socket()?.add_link(&new)
        } else {
            new.netns = Some(pod.netns());
            host.add_link(&new)
        };
        if let Err(source) = made {
            if source.errno() == Some(Errno::EXIST) && pod.has(to.name)? {
                return Err(NameTaken(to.name.clone()).into());
            }
            let (kind, parent) = (self.wanted.kind(), self.parent.name.clone());
            return Err(ChildError::Make { kind, parent, source });
        }
        Ok(LinkBasics {
            index: self.index,
            mac: new.mac.filter(|_| !self.wanted.is_passthru()).or(parent.mac),
            mtu: self.wanted.parent.mtu.map_or(parent.mtu, u32::from),
            up: to.up,
        })
    }

    fn mac(&self, to: &ChildDestination) -> Result<Option<MacAddr>, ChildError> {
        match self.wanted.mac {
            None => Ok(None),
            Some(MacChoice::This(mac)) => Ok(Some(mac)),
            // In this mode the kernel gives the link its parent's MAC. Another one would go to the parent, and a
            // VF whose PF has set a MAC for it does not get it.
            Some(MacChoice::Any) if self.wanted.is_passthru() => Ok(None),
            Some(MacChoice::Any) => match to.mac {
                None => Ok(Some(random_mac().map_err(ChildError::Random)?)),
                mac => Ok(mac),
            },
            Some(MacChoice::FromIp) => to.mac.map(Some).ok_or(ChildError::NoAddress),
        }
    }
}

impl ChildRecord {
    /// What the attachment claims of the node.
    #[must_use]
    pub fn claim(&self) -> Claim {
        match (&self.vf, &self.vlan) {
            // Whoever has the VF has its VLANs too.
            (Some(vf), _) => Claim::Device(vf.device),
            (None, Some(vlan)) => Claim::Vlan(vlan.name()),
            (None, None) => Claim::Nothing,
        }
    }
}

impl ChildKind {
    /// Whether a link is of this kind.
    fn is(self, link: &Link) -> bool {
        match self {
            Self::Macvlan => matches!(link.kind, LinkKind::Macvlan { .. }),
            Self::Ipvlan => matches!(link.kind, LinkKind::Ipvlan { .. }),
            Self::Macvtap => matches!(link.kind, LinkKind::Macvtap { .. }),
        }
    }
}

impl fmt::Display for ChildKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
            Self::Macvtap => "macvtap",
        })
    }
}
