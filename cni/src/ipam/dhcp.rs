//! Addresses from a DHCP server: the daemon linkspan-dhcp acquires the lease and keeps it, and is asked here.

mod error;
mod lease;
mod wishes;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use linkspan_config::NetworkName;
use linkspan_config::net_conf::{DEFAULT_DHCP_SOCKET, DhcpConf};
use linkspan_linux::{LinkBasics, LinkChange, NetlinkError, since_boot};
use linkspan_proto::dhcp::question::About;
use linkspan_proto::dhcp::{
    self, AcquireReply, AcquireRequest, CheckReply, CheckRequest, CollectReply, CollectRequest,
    HeldLease, Lease, LeasesReply, LeasesRequest, Prefetch, Question, ReleaseReply, ReleaseRequest,
    StatusReply, StatusRequest, WarmReply, WarmRequest,
};
use linkspan_proto::framing::Message;
use linkspan_types::{MacAddr, VlanId};

use crate::addresses;
use crate::asked::{self, AskError};
use crate::ipam::IpamRecord;
use crate::journal::Record;
use crate::log;
use crate::pod::Pod;
use crate::spec::{AddResult, Attachment, AttachmentId, CniError, Code};
pub use error::DhcpError;

/// The lease of one attachment, from the side of who wants it.
pub struct Dhcp<'a> {
    conf: &'a DhcpConf,
    network: &'a NetworkName,
    attachment: &'a Attachment,
    netns: &'a Path,
    prefetch: Option<Prefetch>,
    taken: Option<Taken>,
    /// Whether the daemon has been reached, and so may have a lease for it.
    was_reached: Cell<bool>,
}

/// A lease that the daemon has kept ready.
struct Taken {
    lease: Lease,
    /// When the link has to be there, in seconds since the machine was started.
    until: u64,
}

/// A link of the pod that is to have a lease.
pub struct PodLink<'a> {
    /// The pod's namespace.
    pub pod: &'a mut Pod,
    /// The link. It has the MTU that the server says afterwards, and is up where the server was asked over it.
    pub link: &'a mut LinkBasics,
    /// Whether it is an ipvlan link, whose MAC is its parent's.
    pub is_ipvlan: bool,
}

/// How long the daemon may take to acquire a lease: longer than it lets anybody wait. One that ends closes the
/// connection.
const ACQUIRE_BOUND: Duration = Duration::from_secs(310);

const DAEMON: &str = "the DHCP daemon";

impl<'a> Dhcp<'a> {
    /// The lease that a network wants for an attachment.
    #[must_use]
    pub fn new(
        conf: &'a DhcpConf,
        network: &'a NetworkName,
        attachment: &'a Attachment,
        netns: &'a Path,
    ) -> Self {
        let was_reached = Cell::new(false);
        Self { conf, network, attachment, netns, prefetch: None, taken: None, was_reached }
    }

    /// Takes a lease that the daemon keeps ready, if the network wants that and there is one. The link is to be
    /// made with its MAC on this parent.
    pub fn take_warm(
        &mut self,
        parent: &str,
        vlan: Option<VlanId>,
    ) -> Result<Option<MacAddr>, DhcpError> {
        let Some(leases) = self.conf.prefetch else { return Ok(None) };
        let prefetch = Prefetch {
            leases: leases.get(),
            parent: parent.to_owned(),
            vlan: vlan.map_or(0, |vlan| u16::from(vlan).into()),
        };
        self.prefetch = Some(prefetch.clone());
        let request = WarmRequest {
            attachment: Some(self.key()),
            prefetch: Some(prefetch),
            wishes: Some(self.wishes(false)?),
            netns: self.netns_text(),
            pod: self.pod(),
        };
        let reply: WarmReply = self.ask(About::Warm(request), asked::PATIENCE)?;
        let Some(lease) = reply.lease else { return Ok(None) };
        let mac = lease::mac(&lease.mac)?;
        self.taken = Some(Taken { lease, until: reply.until });
        Ok(Some(mac))
    }

    /// Whether a server is to be asked over the link, which has to be up for that.
    #[must_use]
    pub fn asks_over_the_link(&self) -> bool {
        self.taken.is_none()
    }

    /// The lease that was taken for the link, or else one that the daemon acquires over it.
    pub fn acquire(&self, at: &mut PodLink<'_>) -> Result<AddResult, CniError> {
        let lease = match &self.taken {
            // The link is there: as the time is not over, the daemon can't have missed it.
            Some(Taken { lease, until }) if since_boot().as_secs() < *until => lease.clone(),
            _ => {
                self.set_up(at)?;
                self.lease(at)?
            }
        };
        let result = lease::result(&lease, self.conf.priority).map_err(CniError::from);
        let taken = result.and_then(|result| self.shrink(at, lease.mtu).map(|()| result));
        taken.inspect_err(|_| release(self.socket(), self.network, &self.attachment.id))
    }

    fn set_up(&self, at: &mut PodLink<'_>) -> Result<(), CniError> {
        let name = &self.attachment.id.if_name;
        at.pod.visit(|socket| {
            addresses::set_up(socket, at.link)?;
            at.link.up = true;
            // What is sent without a carrier is lost, and sent again only seconds later.
            if let Err(e) = addresses::wait_for_carrier(socket, at.link) {
                eprintln!("linkspan: {name} may have no carrier yet: {e}");
            }
            Ok::<_, NetlinkError>(())
        })
    }

    fn lease(&self, at: &PodLink<'_>) -> Result<Lease, DhcpError> {
        let request = AcquireRequest {
            attachment: Some(self.key()),
            netns: self.netns_text(),
            wishes: Some(self.wishes(at.is_ipvlan)?),
            pod: self.pod(),
        };
        let reply = self.ask(About::Acquire(request), ACQUIRE_BOUND)?;
        let AcquireReply { error, advice, lease } = reply;
        if error.is_empty() {
            Ok(lease.unwrap_or_default())
        } else {
            Err(DhcpError::Refused { error, advice })
        }
    }

    /// Gives the link the server's MTU where that is smaller than its own: what a link can do, no server knows.
    fn shrink(&self, at: &mut PodLink<'_>, mtu: u32) -> Result<(), CniError> {
        let mtu = mtu.try_into().ok().filter(|_| self.conf.takes_mtu);
        if let Some(mtu) = mtu.filter(|mtu| u32::from(*mtu) < at.link.mtu) {
            let change = LinkChange { mtu: Some(mtu), ..LinkChange::default() };
            at.pod.socket()?.change_link(at.link.index, &change)?;
            at.link.mtu = mtu.into();
        }
        Ok(())
    }

    /// The result of an ADD with what the server says by now, and in what the lease is not as it should be.
    pub fn check(&self, result: AddResult) -> Result<(AddResult, Vec<String>), DhcpError> {
        let request = CheckRequest { attachment: Some(self.key()) };
        let reply: CheckReply = ask(&self.conf.socket, About::Check(request), asked::PATIENCE)?;
        let now = reply.lease.map(|lease| lease::result(&lease, self.conf.priority)).transpose()?;
        let name = &self.attachment.id.if_name;
        Ok((lease::renewed(result, now, name.as_str()), reply.differences))
    }

    /// Where the daemon listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.conf.socket
    }

    /// Whether there may be a lease by now.
    #[must_use]
    pub fn was_reached(&self) -> bool {
        self.was_reached.get()
    }

    fn ask<A: Message + Default>(&self, about: About, patience: Duration) -> Result<A, DhcpError> {
        let reply = ask(&self.conf.socket, about, patience);
        let is_unreached = matches!(reply, Err(DhcpError::Ask(AskError::NotListening { .. })));
        self.was_reached.set(self.was_reached.get() || !is_unreached);
        reply
    }

    fn netns_text(&self) -> String {
        self.netns.to_string_lossy().into_owned()
    }

    fn pod(&self) -> String {
        self.attachment.args.pod().unwrap_or_default()
    }

    fn wishes(&self, broadcast: bool) -> Result<dhcp::Wishes, DhcpError> {
        let prefetch = self.prefetch.clone();
        Ok(dhcp::Wishes { prefetch, ..wishes::of(self.conf, &self.attachment.args, broadcast)? })
    }

    fn key(&self) -> dhcp::Attachment {
        key(self.network, &self.attachment.id)
    }
}

/// Gives an attachment's lease back. That can't fail: where the daemon is down, it finds out later that the pod is
/// gone, and the lease runs out in any case.
pub fn release(socket: &Path, network: &NetworkName, owner: &AttachmentId) {
    let request = ReleaseRequest { attachment: Some(key(network, owner)) };
    let told = match ask::<ReleaseReply>(socket, About::Release(request), asked::PATIENCE) {
        Ok(reply) if reply.error.is_empty() => return,
        Ok(reply) => reply.error,
        Err(error) => CniError::from(error).msg,
    };
    log::warning(format_args!("a lease of network {network} was not given back: {told}"));
}

/// Gives back all leases of a network that are not of these attachments, and returns whose those were. It can't
/// fail, as with [`release`].
#[must_use]
pub fn retain(socket: &Path, network: &NetworkName, valid: &[AttachmentId]) -> Vec<String> {
    let valid = valid.iter().map(|id| key(network, id)).collect();
    let request = CollectRequest { network: network.to_string(), valid };
    match ask::<CollectReply>(socket, About::Collect(request), asked::PATIENCE) {
        Ok(reply) => {
            let shown = |one: &dhcp::Attachment| {
                let dhcp::Attachment { network, container_id, if_name } = one;
                format!("the lease of {if_name} of container {container_id} on network {network}")
            };
            reply.collected.iter().map(shown).collect()
        }
        Err(error) => {
            let told = CniError::from(error).msg;
            log::warning(format_args!("leases of network {network} were not given back: {told}"));
            Vec::new()
        }
    }
}

/// All leases that a daemon keeps.
pub fn leases(socket: &Path) -> Result<Vec<HeldLease>, DhcpError> {
    let about = About::Leases(LeasesRequest {});
    Ok(ask::<LeasesReply>(socket, about, asked::PATIENCE)?.leases)
}

/// Where daemons may listen: at the usual place, and wherever an attachment has its lease from.
#[must_use]
pub fn sockets<'a>(records: impl Iterator<Item = &'a Record>) -> BTreeSet<PathBuf> {
    let named = records.filter_map(|record| match &record.ipam {
        IpamRecord::Dhcp(socket) => Some(socket.clone()),
        _ => None,
    });
    named.chain([DEFAULT_DHCP_SOCKET.into()]).collect()
}

/// Asks whether the daemon could acquire a lease.
pub fn status(socket: &Path, network: &NetworkName) -> Result<(), CniError> {
    let request = StatusRequest { network: network.to_string() };
    let reply = ask::<StatusReply>(socket, About::Status(request), asked::PATIENCE);
    let refused = match reply {
        Ok(reply) if reply.error.is_empty() => return Ok(()),
        Ok(StatusReply { error, advice }) => DhcpError::Refused { error, advice },
        Err(error) => error,
    };
    // Leases that nobody renews run out.
    Err(CniError { code: Code::LimitedConnectivity, ..refused.into() })
}

fn key(network: &NetworkName, owner: &AttachmentId) -> dhcp::Attachment {
    dhcp::Attachment {
        network: network.to_string(),
        container_id: owner.container_id.to_string(),
        if_name: owner.if_name.to_string(),
    }
}

fn ask<A: Message + Default>(
    socket: &Path,
    about: About,
    patience: Duration,
) -> Result<A, DhcpError> {
    Ok(asked::ask(socket, DAEMON, &Question { about: Some(about) }, patience)?)
}

#[cfg(test)]
#[path = "dhcp_tests.rs"]
mod tests;
