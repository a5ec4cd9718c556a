//! What STATUS needs of a configuration: whether ADD can work, before there is a pod.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::ipam::{IpamConf, dhcp_socket, ipam_type};
use super::kind_name::{Chosen, KindName};
use super::macvtap::MacvtapSource;
use super::parent::ParentConf;
use super::resource::{wanted_resource, with_device};
use super::runtime::RuntimeInputs;
use super::{KindConf, NetConf};
use crate::fields::Fields;
use crate::{Invalid, NetworkName, ResourceName};

/// What ADD will need of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusConf {
    /// The network.
    pub name: NetworkName,
    /// What is attached.
    pub kind: KindName,
    /// What a child will ride on; none where that is a device that only ADD is told, for a device of a
    /// macvtap pool, and for kind `sriov`.
    pub parent: Option<ParentConf>,
    /// Where the device will come from, if it is ADD that is to ask for it.
    pub resource: Option<ResourceName>,
    /// Who gives the addresses; [`IpamConf::None`] too where only the runtime says which ones.
    pub ipam: IpamConf,
    /// Where the daemon listens, if it is the plugin dhcp that gives the addresses.
    pub dhcp_socket: Option<PathBuf>,
}

/// Stands for the device that ADD will be told: a domain that no machine has.
const ANY_DEVICE: &str = "ffffffff:ff:1f.7";

impl StatusConf {
    /// Checks all that ADD would check, as far as it is known without a pod.
    pub fn parse(
        config: &Map<String, Value>,
        called_as: Option<KindName>,
    ) -> Result<Self, Invalid> {
        let root = Fields::unchecked(config, "");
        let kind = Chosen::of(&root, called_as)?.kind;
        let resource = wanted_resource(config)?;
        let told_later =
            resource.is_some() || (kind == KindName::Sriov && !root.is_set("deviceID"));
        let mut whole = if told_later { with_device(config, ANY_DEVICE) } else { config.clone() };
        if has_no_range_yet(&root)? {
            whole.retain(|key, _| !key.eq_ignore_ascii_case("ipam"));
        }
        let conf = NetConf::parse(&whole, &RuntimeInputs::default(), called_as)?;
        let parent = match conf.kind {
            KindConf::Sriov(_) => None,
            KindConf::Macvlan(conf) => Some(conf.parent),
            KindConf::Ipvlan(conf) => Some(conf.parent),
            KindConf::Macvtap(conf) => match conf.source {
                MacvtapSource::Parent { parent, .. } => Some(parent),
                MacvtapSource::Pool { .. } => None,
            },
        };
        let is_dhcp = conf.ipam.is_dhcp();
        Ok(Self {
            name: conf.name,
            kind,
            parent: parent.filter(|_| !told_later),
            resource,
            ipam: conf.ipam,
            dhcp_socket: is_dhcp.then(|| dhcp_socket(&root)).transpose()?,
        })
    }
}

/// Whether host-local's ranges come with each ADD, in `runtimeConfig.ipRanges`.
fn has_no_range_yet(root: &Fields<'_>) -> Result<bool, Invalid> {
    let ipam = root.inside("ipam")?;
    Ok(ipam_type(root)? == Some("host-local")
        && root.inside("capabilities")?.is_set("ipRanges")
        && !ipam.is_set("ranges")
        && !ipam.is_set("subnet"))
}
