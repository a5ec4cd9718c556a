//! Any kind's link on its way into a pod: what it claims, found, and put there.

use std::path::Path;

use linkspan_config::net_conf::{
    KindConf, MacChoice, MacvtapConf, MacvtapSource, NetConf, ParentLink, SriovConf,
};
use linkspan_linux::{LinkBasics, RouteSocket};
use linkspan_types::{IfName, MacAddr, Mtu, VlanId};

use super::child::{Child, ChildDestination, Tap, Wanted};
use super::pool::PoolLink;
use super::sriov::{self, Vf};
use super::{Claim, LinkRecord};
use crate::node::Node;
use crate::pod::Pod;
use crate::spec::CniError;

/// What a configuration asks for.
pub enum Plan<'a> {
    /// A VF.
    Vf(&'a SriovConf),
    /// A child link.
    Child(Wanted<'a>),
    /// A link of a macvtap pool.
    Pool(&'a MacvtapConf, &'a str, Option<Mtu>),
}

/// A link that can be put into the pod: found, and nothing changed yet.
pub enum Found<'a> {
    /// A VF.
    Vf(Vf, Option<Mtu>),
    /// A child link.
    Child(Child<'a>),
    /// A link of a pool.
    Pool(PoolLink),
}

/// The two ends of the way.
pub struct Way<'a> {
    /// A socket in the host's namespace.
    pub host: &'a mut RouteSocket,
    /// The pod's namespace.
    pub pod: &'a mut Pod,
    /// Its path.
    pub path: &'a Path,
    /// The name in the pod.
    pub name: &'a IfName,
}

impl<'a> Plan<'a> {
    /// What a network's configuration asks for.
    #[must_use]
    pub fn of(conf: &'a NetConf) -> Self {
        match &conf.kind {
            KindConf::Sriov(conf) => Self::Vf(conf),
            KindConf::Macvlan(conf) => Self::Child(Wanted::macvlan(conf)),
            KindConf::Ipvlan(conf) => Self::Child(Wanted::ipvlan(conf)),
            KindConf::Macvtap(conf) => match &conf.source {
                MacvtapSource::Parent { parent, sharing, queues } => {
                    Self::Child(Wanted::macvtap(conf, parent, sharing, *queues))
                }
                MacvtapSource::Pool { device, mtu } => Self::Pool(conf, device, *mtu),
            },
        }
    }

    /// What the attachment will have for itself. A share in a VLAN is known only when its parent is found.
    #[must_use]
    pub fn exclusive_claim(&self) -> Claim {
        match self {
            Self::Vf(conf) => Claim::Device(conf.device),
            Self::Child(wanted) => match wanted.parent().link {
                ParentLink::Device(device) => Claim::Device(device),
                ParentLink::Named(_) | ParentLink::DefaultRoute => Claim::Nothing,
            },
            Self::Pool(_, device, _) => Claim::PoolLink(IfName::of_pool_device(device)),
        }
    }

    /// Whether the link's MAC is made of the attachment's address.
    #[must_use]
    pub fn needs_address_first(&self) -> bool {
        match self {
            Self::Vf(_) => false,
            Self::Child(wanted) => wanted.needs_address_first(),
            Self::Pool(conf, ..) => conf.mac == MacChoice::FromIp,
        }
    }

    /// Whether something is changed before the kernel would refuse the link for its name, or that could not be told
    /// from the one that has the name, so that it has to be free from the start.
    #[must_use]
    pub fn needs_name_first(&self) -> bool {
        !matches!(self, Self::Child(_)) || self.needs_address_first()
    }

    /// Finds what there is to put into the pod.
    pub fn find(&'a self, node: &Node, way: &mut Way) -> Result<Found<'a>, CniError> {
        Ok(match self {
            Self::Vf(conf) => Found::Vf(Vf::find(&node.sysfs, way.host, conf)?, conf.mtu),
            Self::Child(wanted) => {
                let socket =
                    if wanted.parent().in_container { way.pod.socket()? } else { &mut *way.host };
                Found::Child(Child::find(node, socket, wanted)?)
            }
            Self::Pool(conf, device, mtu) => {
                Found::Pool(PoolLink::find(way.host, device, Tap::of(conf), conf.mac, *mtu)?)
            }
        })
    }
}

impl Found<'_> {
    /// What the journal has to keep.
    #[must_use]
    pub fn record(&self) -> LinkRecord {
        match self {
            Self::Vf(vf, _) => LinkRecord::Vf(vf.record().clone()),
            Self::Child(child) => LinkRecord::Child(child.record().clone()),
            Self::Pool(link) => LinkRecord::Pool(link.record().clone()),
        }
    }

    /// The parent by its name and its VLAN, where the link is one that is made on it with any MAC.
    #[must_use]
    pub fn rides_on(&self) -> Option<(&str, Option<VlanId>)> {
        match self {
            Self::Child(child) => child.rides_on(),
            Self::Vf(..) | Self::Pool(_) => None,
        }
    }

    /// Puts the link into the pod; none where the device has no netdev. `up` tells that nothing more comes,
    /// so that a link which is made can be up from its first moment on. What a failure leaves half done,
    /// `detach::undo` undoes.
    pub fn put(
        &self,
        node: &Node,
        way: &mut Way,
        mac: Option<MacAddr>,
        up: bool,
    ) -> Result<Option<LinkBasics>, CniError> {
        let Way { host, pod, path, name } = way;
        Ok(match self {
            Self::Vf(vf, mtu) => {
                let (netns, pod) = pod.both()?;
                let to = sriov::Destination { netns, path, name, mtu: *mtu };
                vf.attach(&node.sysfs, host, pod, &to)?
            }
            Self::Child(child) => {
                Some(child.make(host, pod, &ChildDestination { name, mac, up })?)
            }
            Self::Pool(link) => Some(link.attach(host, pod, name, mac)?),
        })
    }
}
