//! The configuration of one network, as a runtime hands it to the plugin on standard input.

mod dhcp;
mod duplicates;
mod host_local;
mod ipam;
mod ipam_call;
mod ipvlan;
mod keys;
mod kind_name;
mod log;
mod mac;
mod macvlan;
mod macvtap;
mod parent;
mod range;
mod resource;
mod route;
mod runtime;
mod sources;
mod spans;
mod sriov;
mod statics;
mod status;
mod teardown;
mod trunk;

use std::path::PathBuf;

use serde_json::{Map, Value};

pub use dhcp::{ClientId, DEFAULT_DHCP_SOCKET, DhcpConf, Probe, ProvidedOption, WhenGone};
pub use duplicates::Duplicates;
pub use host_local::{DEFAULT_DATA_DIR, HostLocalConf, RangeSet};
pub use ipam::IpamConf;
pub use ipam_call::{IpamCall, IpamName};
pub use ipvlan::IpvlanConf;
pub use keys::{known_ipam_keys, known_keys, known_keys_below};
pub use kind_name::KindName;
pub use log::LogConf;
pub use mac::MacChoice;
pub use macvlan::{MacvlanConf, MacvlanSharing};
pub use macvtap::{MacvtapConf, MacvtapSource};
pub use parent::{ParentConf, ParentLink};
pub use range::AddressRange;
pub use resource::{wanted_resource, with_device};
pub use route::{Dns, Route};
pub use runtime::{RequestedIp, RuntimeInputs};
pub use spans::{Span, Spans};
pub use sriov::SriovConf;
pub use statics::{StaticAddress, StaticConf};
pub use status::StatusConf;
pub use teardown::TeardownConf;

use crate::fields::Fields;
use crate::{Invalid, NetworkName};
use kind_name::Chosen;
use sources::Sources;

/// What one ADD is to make of a network, all of it checked.
#[derive(Clone, Debug, PartialEq)]
pub struct NetConf {
    /// The network.
    pub name: NetworkName,
    /// What is attached, and how.
    pub kind: KindConf,
    /// Who gives the addresses.
    pub ipam: IpamConf,
    /// What is done so that no two pods have one address.
    pub duplicates: Duplicates,
    /// The DNS that the network itself sets, empty where it says nothing.
    pub dns: Dns,
    /// The result of the plugin before this one, not yet read.
    pub prev_result: Option<Value>,
    /// Where Multus wants a description of the device (device-info-spec 1.1.0).
    pub device_info_file: Option<PathBuf>,
    /// How much is logged, and where.
    pub log: LogConf,
}

/// What each kind needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KindConf {
    /// A virtual function, moved into the pod.
    Sriov(SriovConf),
    /// A macvlan child of a host link.
    Macvlan(MacvlanConf),
    /// An ipvlan child of a host link.
    Ipvlan(IpvlanConf),
    /// A macvtap child of a host link, for a virtual machine.
    Macvtap(MacvtapConf),
}

impl NetConf {
    /// Checks a whole configuration for ADD. The first thing that is wrong is the error.
    ///
    /// The kind is `called_as`, the peer's name under which the plugin is called; else it is `kind`,
    /// else `type`. A device of a resource ([`wanted_resource`]) is in the configuration already.
    pub fn parse(
        config: &Map<String, Value>,
        inputs: &RuntimeInputs,
        called_as: Option<KindName>,
    ) -> Result<Self, Invalid> {
        let mut sources = Sources::new(config, inputs)?;
        let name = parse_name(&sources.root)?;
        let chosen = Chosen::of(&sources.root, called_as)?;
        keys::check(&sources.root, chosen)?;
        sources.native = chosen.native;
        let ipam = IpamConf::parse(&sources)?;
        let root = &sources.root;
        let kind = KindConf::parse(chosen.kind, &sources, &ipam)?;
        let mut duplicates = Duplicates::parse(root)?;
        if let IpamConf::Dhcp(dhcp) = &ipam {
            dhcp.check_kind(&kind, root)?;
            // It is the daemon that looks for the address, to decline it if it is taken.
            duplicates.probe_v4 = false;
        }
        Ok(Self {
            name,
            kind,
            ipam,
            duplicates,
            dns: Dns::parse(root)?,
            prev_result: root.get("prevResult").cloned(),
            device_info_file: sources.runtime.absolute_path("CNIDeviceInfoFile")?,
            log: LogConf::parse(root)?,
        })
    }

    /// Whether another plugin of a list comes before this one.
    #[must_use]
    pub fn is_chained(&self) -> bool {
        self.prev_result.is_some()
    }
}

impl KindConf {
    fn parse(kind: KindName, sources: &Sources<'_>, ipam: &IpamConf) -> Result<Self, Invalid> {
        Ok(match kind {
            KindName::Sriov => Self::Sriov(SriovConf::parse(sources)?),
            KindName::Macvlan => Self::Macvlan(MacvlanConf::parse(sources, ipam)?),
            KindName::Ipvlan => Self::Ipvlan(IpvlanConf::parse(sources)?),
            KindName::Macvtap => Self::Macvtap(MacvtapConf::parse(sources, ipam)?),
        })
    }

    /// Which kind it is.
    #[must_use]
    pub fn name(&self) -> KindName {
        match self {
            Self::Sriov(_) => KindName::Sriov,
            Self::Macvlan(_) => KindName::Macvlan,
            Self::Ipvlan(_) => KindName::Ipvlan,
            Self::Macvtap(_) => KindName::Macvtap,
        }
    }
}

fn parse_name(root: &Fields<'_>) -> Result<NetworkName, Invalid> {
    root.parsed("name", NetworkName::EXPECTED)?
        .ok_or_else(|| root.invalid("name", NetworkName::EXPECTED))
}

#[cfg(test)]
mod testing;
#[cfg(test)]
#[path = "net_conf_tests.rs"]
mod tests;
