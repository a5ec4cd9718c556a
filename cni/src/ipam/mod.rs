//! Who gives an attachment its addresses.

pub mod delegate;
pub mod dhcp;
pub mod host_local;
pub mod statics;

use std::path::{Path, PathBuf};

use linkspan_config::NetworkName;
use linkspan_config::net_conf::{IpamConf, KindConf, NetConf};
use serde::{Deserialize, Serialize};

use linkspan_types::{MacAddr, VlanId};

use crate::spec::{AddResult, Attachment, AttachmentId, CniError};
use delegate::DelegateCall;
use dhcp::{Dhcp, DhcpError, PodLink};

/// The addresses of one ADD.
pub struct Ipam<'a> {
    source: Source<'a>,
    network: &'a NetworkName,
    owner: &'a AttachmentId,
}

enum Source<'a> {
    None,
    HostLocal(&'a linkspan_config::net_conf::HostLocalConf),
    Static(&'a linkspan_config::net_conf::StaticConf),
    Dhcp(Dhcp<'a>),
    Delegate(DelegateCall),
    /// An ipvlan link takes over the addresses that the plugins before it have got.
    Chained(AddResult),
}

/// What the journal keeps of it: all that it takes to give the addresses back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IpamRecord {
    /// Nobody has to be told.
    None,
    /// host-local's data folder.
    HostLocal(PathBuf),
    /// Where the daemon listens that has the lease.
    Dhcp(PathBuf),
    /// Another plugin, and how it was called.
    Delegate(Box<DelegateCall>),
}

impl<'a> Ipam<'a> {
    /// Who gives, or gave, addresses to an attachment. `before` is the result of the plugins before this one.
    #[must_use]
    pub fn of(
        conf: &'a NetConf,
        attachment: &'a Attachment,
        netns: &'a Path,
        before: Option<&AddResult>,
    ) -> Self {
        let mut ipam = Self::of_section(&conf.ipam, &conf.name, attachment, netns);
        if let (Source::None, KindConf::Ipvlan(_), Some(before)) =
            (&ipam.source, &conf.kind, before)
            && !before.ips.is_empty()
        {
            let (ips, routes) = (before.ips.clone(), before.routes.clone());
            ipam.source = Source::Chained(AddResult { ips, routes, ..AddResult::default() });
        }
        ipam
    }

    /// Who gives addresses by what the section `ipam` says, whatever gets them.
    #[must_use]
    pub fn of_section(
        section: &'a IpamConf,
        network: &'a NetworkName,
        attachment: &'a Attachment,
        netns: &'a Path,
    ) -> Self {
        let source = match section {
            IpamConf::None => Source::None,
            IpamConf::HostLocal(conf) => Source::HostLocal(conf),
            IpamConf::Static(conf) => Source::Static(conf),
            IpamConf::Dhcp(conf) => Source::Dhcp(Dhcp::new(conf, network, attachment, netns)),
            IpamConf::Delegate(plugin) => {
                Source::Delegate(DelegateCall::new(plugin, attachment, Some(netns)))
            }
        };
        Self { source, network, owner: &attachment.id }
    }

    /// Whether the addresses are those of the plugins before this one, whose result has them already.
    #[must_use]
    pub fn is_taken_over(&self) -> bool {
        matches!(self.source, Source::Chained(_))
    }

    /// Whether the link is to be up before it has an address: it gets none, or one that is asked for over it.
    #[must_use]
    pub fn is_after_up(&self) -> bool {
        match &self.source {
            Source::None => true,
            Source::Dhcp(dhcp) => dhcp.asks_over_the_link(),
            _ => false,
        }
    }

    /// Takes an address that is there already, if one is. Its link is to be made with this MAC on this parent.
    pub fn take_warm(
        &mut self,
        parent: &str,
        vlan: Option<VlanId>,
    ) -> Result<Option<MacAddr>, CniError> {
        match &mut self.source {
            Source::Dhcp(dhcp) => Ok(dhcp.take_warm(parent, vlan)?),
            _ => Ok(None),
        }
    }

    /// Refuses who can't even be asked, before anything is made.
    pub fn require(&self) -> Result<(), CniError> {
        match &self.source {
            Source::Delegate(call) => call.delegate.require(),
            Source::None
            | Source::HostLocal(_)
            | Source::Static(_)
            | Source::Dhcp(_)
            | Source::Chained(_) => Ok(()),
        }
    }

    /// What the journal has to keep.
    #[must_use]
    pub fn record(&self) -> IpamRecord {
        match &self.source {
            Source::None | Source::Static(_) | Source::Chained(_) => IpamRecord::None,
            Source::HostLocal(conf) => IpamRecord::HostLocal(conf.data_dir.clone()),
            Source::Dhcp(dhcp) => IpamRecord::Dhcp(dhcp.socket().to_owned()),
            Source::Delegate(call) => IpamRecord::Delegate(Box::new(call.clone())),
        }
    }

    /// What is to be given back of an ADD that has failed after it asked for addresses.
    #[must_use]
    pub fn left_by_a_failure(&self) -> IpamRecord {
        match &self.source {
            Source::Dhcp(dhcp) if !dhcp.was_reached() => IpamRecord::None,
            _ => self.record(),
        }
    }

    /// Reserves what the configuration asks for, as an IPAM plugin's result: no interfaces. Only what is asked for
    /// over the link needs that.
    pub fn reserve(&self, link: Option<PodLink<'_>>) -> Result<AddResult, CniError> {
        match &self.source {
            Source::None => Ok(AddResult::default()),
            Source::HostLocal(conf) => Ok(host_local::reserve(conf, self.network, self.owner)?),
            Source::Static(conf) => Ok(statics::result(conf)),
            Source::Dhcp(dhcp) => dhcp.acquire(&mut link.ok_or(DhcpError::NoInterface)?),
            Source::Delegate(call) => call.add(),
            Source::Chained(before) => Ok(before.clone()),
        }
    }

    /// What ADD came to, as it is by now: a DHCP server may have changed its mind since; and in what the
    /// reservations are not as that tells.
    pub fn check(&self, result: AddResult) -> Result<(AddResult, Vec<String>), CniError> {
        match &self.source {
            Source::Dhcp(dhcp) => Ok(dhcp.check(result)?),
            _ => self.differences(&result).map(|differences| (result, differences)),
        }
    }

    fn differences(&self, result: &AddResult) -> Result<Vec<String>, CniError> {
        match &self.source {
            Source::None | Source::Dhcp(_) | Source::Chained(_) => Ok(Vec::new()),
            Source::HostLocal(conf) => {
                let reserved = host_local::find(&conf.data_dir, self.network, self.owner)?;
                let set_of = |address| conf.sets.iter().any(|set| set.range_of(address).is_some());
                let given = result.ips.iter().map(|ip| ip.address.addr()).filter(|ip| set_of(*ip));
                let lost = given.filter(|address| !reserved.contains(address));
                let mut lost: Vec<String> =
                    lost.map(|address| format!("address {address} is not reserved")).collect();
                if reserved.is_empty() && lost.is_empty() {
                    lost.push(format!("no address of network {} is reserved for it", self.network));
                }
                Ok(lost)
            }
            Source::Static(conf) => Ok(statics::differences(conf, result)),
            Source::Delegate(call) => call.check().map(|()| Vec::new()),
        }
    }

    /// Gives everything back.
    pub fn release(&self) -> Result<(), CniError> {
        self.record().release(self.network, self.owner)
    }
}

impl IpamRecord {
    /// Whether both are kept by the same hand: what one has given back, the other need not.
    #[must_use]
    pub fn is_at(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, _) => true,
            (Self::HostLocal(folder), Self::HostLocal(other)) => folder == other,
            (Self::Dhcp(socket), Self::Dhcp(other)) => socket == other,
            (Self::Delegate(call), Self::Delegate(other)) => {
                call.delegate.plugin == other.delegate.plugin
            }
            _ => false,
        }
    }

    /// Whether they are given back by a message over the link, which has to be there for it.
    #[must_use]
    pub fn goes_over_the_link(&self) -> bool {
        matches!(self, Self::Dhcp(_))
    }

    /// Gives an attachment's addresses back; that there are none is no error.
    pub fn release(&self, network: &NetworkName, owner: &AttachmentId) -> Result<(), CniError> {
        match self {
            Self::None => Ok(()),
            Self::HostLocal(folder) => Ok(host_local::release(folder, network, owner)?),
            Self::Dhcp(socket) => {
                dhcp::release(socket, network, owner);
                Ok(())
            }
            Self::Delegate(call) => call.del(),
        }
    }
}
