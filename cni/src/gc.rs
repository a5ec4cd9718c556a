//! GC: removes whatever belongs to no valid attachment of a network, and says what it removed.

use linkspan_config::NetworkName;
use linkspan_config::net_conf::TeardownConf;
use linkspan_linux::RouteSocket;

use crate::detach::{join, undo};
use crate::ipam::delegate::Delegate;
use crate::ipam::{dhcp, host_local};
use crate::journal::{AttachmentKey, Record};
use crate::log;
use crate::node::Node;
use crate::spec::{AttachmentId, CniError, Network};

/// Undoes every attachment of the network that is not among the valid ones: links, VFs, addresses, records.
///
/// One that can't be undone does not keep the others; the errors come together at the end.
pub fn gc(node: &Node, network: &Network, valid: &[AttachmentId]) -> Result<(), CniError> {
    let conf = TeardownConf::parse(&network.config, None)?;
    let mut failures = Vec::new();
    failures.extend(undo_records(node, &conf.name, valid)?);
    let keys: Vec<AttachmentKey> =
        valid.iter().map(|id| AttachmentKey::new(&conf.name, id)).collect();
    node.journal().discard_other_drafts(&conf.name, &keys)?;
    failures.extend(free_addresses(&conf, valid).err());
    if let Some(plugin) = &conf.ipam_delegate {
        failures.extend(Delegate::new(plugin, network).gc().err());
    }
    join(failures)
}

/// Frees the addresses that host-local or the DHCP daemon keeps for no valid attachment.
pub(crate) fn free_addresses(conf: &TeardownConf, valid: &[AttachmentId]) -> Result<(), CniError> {
    if let Some(folder) = &conf.host_local_data_dir {
        for reservation in host_local::retain(folder, &conf.name, valid)? {
            log::warning(format_args!("removed {reservation}"));
        }
    }
    if let Some(socket) = &conf.dhcp_socket {
        for lease in dhcp::retain(socket, &conf.name, valid) {
            log::warning(format_args!("removed {lease}"));
        }
    }
    Ok(())
}

/// Undoes the attachments that have a record, and returns what failed.
fn undo_records(
    node: &Node,
    name: &NetworkName,
    valid: &[AttachmentId],
) -> Result<Vec<CniError>, CniError> {
    let is_stale =
        |record: &Record| record.key.network == *name && !valid.contains(&record.key.id());
    let mut host = RouteSocket::open()?;
    let mut failures = Vec::new();
    for record in node.journal().all()?.iter().filter(|record| is_stale(record)) {
        match undo(node, &mut host, record) {
            Ok(()) => log::warning(format_args!("removed {}", record.key)),
            Err(error) => failures.push(error),
        }
    }
    Ok(failures)
}
