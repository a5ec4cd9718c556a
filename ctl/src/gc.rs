//! `linkspan gc`: removes what no pod has any more, by what the kernel shows: that a pod's namespace is gone.
//!
//! The verb GC, which a container runtime calls, is told which attachments are valid. Nobody tells a person; so what a
//! namespace's end does not show stays, as does a reservation without a record: it can be another main plugin's.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use linkspan_config::{ContainerId, NetworkName};
use linkspan_linux::{Netns, RouteSocket};
use linkspan_proto::dhcp::HeldLease;

use linkspan_cni::detach::undo;
use linkspan_cni::ipam::{IpamRecord, dhcp, host_local};
use linkspan_cni::journal::{AttachmentKey, Record};
use linkspan_cni::kind::child::{VlanName, remove_unused_vlan};
use linkspan_cni::kind::{Claim, LinkRecord};
use linkspan_cni::node::Node;
use linkspan_cni::spec::CniError;

/// Remove what is left of pods that are gone: VFs' settings, addresses, leases, VLANs, records
///
/// An attachment is removed where its pod's network namespace is gone, and with it all that it had. Attachments of
/// pods that are there, and addresses that another plugin may have reserved, stay: what the container runtime knows to
/// be over, it removes itself, by CNI's verb GC.
#[derive(Debug, clap::Args)]
pub(super) struct Gc {
    /// Print what would be removed, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What no pod has.
#[derive(Debug)]
enum Orphan {
    /// An attachment whose namespace is gone, and what is reserved for it.
    Attachment(Box<Record>, Vec<IpAddr>),
    /// A lease of such an attachment that has no record: another main plugin's, by the face `dhcp`.
    Lease(PathBuf, AttachmentKey),
    /// A sub-interface that we made, of which nobody has a share.
    Vlan(VlanName),
    /// What a killed program has left of a record.
    Draft(PathBuf),
}

impl Gc {
    pub(super) fn run(&self) -> ExitCode {
        let node = Node::host();
        let done = RouteSocket::open().map_err(CniError::from).and_then(|mut host| {
            let orphans = orphans(&node, &mut host)?;
            if orphans.is_empty() {
                println!("Nothing is left of pods that are gone");
            }
            let mut well = true;
            for orphan in &orphans {
                well &= self.treat(orphan, &node, &mut host);
            }
            Ok(well)
        });
        match done {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(CniError { msg, details, .. }) => {
                eprintln!("linkspan: {msg}. {details}");
                ExitCode::FAILURE
            }
        }
    }

    /// Whether all went well.
    fn treat(&self, orphan: &Orphan, node: &Node, host: &mut RouteSocket) -> bool {
        if self.dry_run {
            println!("would remove {orphan}");
            return true;
        }
        match orphan.remove(node, host) {
            Ok(()) => {
                println!("removed {orphan}");
                true
            }
            Err(CniError { msg, details, .. }) => {
                eprintln!("linkspan: not removed: {orphan}: {msg}. {details}");
                false
            }
        }
    }
}

/// All that no pod has. Nothing is changed.
fn orphans(node: &Node, host: &mut RouteSocket) -> Result<Vec<Orphan>, CniError> {
    let journal = node.journal();
    let (gone, there): (Vec<Record>, Vec<Record>) =
        journal.all()?.into_iter().partition(|record| is_gone(&record.netns));
    let leases = lone_leases(&gone, &there);
    let vlans = unused_vlans(host, &there)?;
    let attachments = gone.into_iter().map(|record| {
        let reserved = match &record.ipam {
            IpamRecord::HostLocal(folder) => {
                host_local::peek(folder, &record.key.network, &record.key.id())?
            }
            _ => Vec::new(),
        };
        Ok(Orphan::Attachment(Box::new(record), reserved))
    });
    let mut all = attachments.collect::<Result<Vec<_>, CniError>>()?;
    all.extend(leases);
    all.extend(vlans.into_iter().map(Orphan::Vlan));
    all.extend(journal.left_drafts()?.into_iter().map(Orphan::Draft));
    Ok(all)
}

fn is_gone(netns: &std::path::Path) -> bool {
    Netns::open(netns).is_err_and(|error| error.is_gone())
}

/// The leases of pods that are gone, but for those that go with their attachments.
fn lone_leases(gone: &[Record], there: &[Record]) -> Vec<Orphan> {
    let records = || gone.iter().chain(there);
    let mut lone = Vec::new();
    for socket in dhcp::sockets(records()) {
        // A daemon that does not run finds out by itself, once it does.
        for lease in dhcp::leases(&socket).unwrap_or_default() {
            let key = key_of(&lease).filter(|key| !records().any(|record| record.key == *key));
            let its_is_gone = !lease.netns.is_empty() && is_gone(lease.netns.as_ref());
            lone.extend(key.filter(|_| its_is_gone).map(|key| Orphan::Lease(socket.clone(), key)));
        }
    }
    lone
}

fn key_of(lease: &HeldLease) -> Option<AttachmentKey> {
    let key = lease.attachment.as_ref()?;
    Some(AttachmentKey {
        network: key.network.parse::<NetworkName>().ok()?,
        container: key.container_id.parse::<ContainerId>().ok()?,
        interface: key.if_name.parse().ok()?,
    })
}

/// The sub-interfaces of ours that none of these attachments has a share in.
fn unused_vlans(host: &mut RouteSocket, there: &[Record]) -> Result<Vec<VlanName>, CniError> {
    let claims: BTreeSet<String> =
        there.iter().map(|record| record.link.claim().to_string()).collect();
    let links = host.links()?;
    let ours = links
        .iter()
        .filter_map(|link| link.name.parse::<VlanName>().ok().filter(|vlan| vlan.is(link)));
    Ok(ours.filter(|vlan| !claims.contains(&vlan.to_string())).collect())
}

impl Orphan {
    /// Removes it, unless it is somebody's by now.
    fn remove(&self, node: &Node, host: &mut RouteSocket) -> Result<(), CniError> {
        match self {
            Self::Attachment(record, _) if is_gone(&record.netns) => undo(node, host, record),
            Self::Attachment(..) => Ok(()),
            Self::Lease(socket, key) => {
                dhcp::release(socket, &key.network, &key.id());
                Ok(())
            }
            Self::Vlan(vlan) => {
                let claim = Claim::Vlan(vlan.name());
                let _lock = node.lock(&claim)?;
                match node.journal().holder(&claim)? {
                    Some(_) => Ok(()),
                    None => Ok(remove_unused_vlan(host, vlan)?),
                }
            }
            Self::Draft(path) => Ok(node.journal().discard_draft(path)?),
        }
    }
}

impl fmt::Display for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attachment(record, reserved) => {
                write!(f, "{}", record.key)?;
                if let Some(pod) = &record.pod {
                    write!(f, " (pod {pod})")?;
                }
                let parts = parts_of(record, reserved);
                if parts.is_empty() { Ok(()) } else { write!(f, ": {}", parts.join(", ")) }
            }
            Self::Lease(_, key) => write!(f, "the lease of {key}"),
            Self::Vlan(vlan) => write!(f, "VLAN sub-interface {vlan}"),
            Self::Draft(path) => write!(f, "half a record, {}", path.display()),
        }
    }
}

/// What an attachment has beside its record and its link.
fn parts_of(record: &Record, reserved: &[IpAddr]) -> Vec<String> {
    let device = match &record.link {
        LinkRecord::Vf(vf) => Some(format!("VF {}", vf.device)),
        link => link.device().map(|device| format!("device {device}")),
    };
    let mut parts: Vec<String> = device.into_iter().collect();
    parts.extend(reserved.iter().map(|ip| format!("address {ip}")));
    match &record.ipam {
        IpamRecord::Dhcp(_) => parts.push("its DHCP lease".to_owned()),
        IpamRecord::Delegate(call) => parts.push(format!("addresses of {}", call.delegate.plugin)),
        IpamRecord::None | IpamRecord::HostLocal(_) => {}
    }
    parts
}
