//! DEL and GC: undo an attachment by its record and by what the kernel shows, in any state, any number of
//! times.

use std::path::Path;

use linkspan_config::net_conf::TeardownConf;
use linkspan_linux::RouteSocket;

use crate::ipam;
use crate::journal::{AttachmentKey, Record};
use crate::kind::sriov::{RestoreError, Restored, restore};
use crate::node::Node;
use crate::spec::{Attachment, AttachmentId, CniError, Code, Network};

/// Undoes one attachment. One that is not there, or only in part, is no error.
pub fn del(node: &Node, netns: Option<&Path>, attachment: &Attachment) -> Result<(), CniError> {
    let conf = TeardownConf::parse(&attachment.network.config, None)?;
    let key = AttachmentKey::new(&conf.name, &attachment.id);
    let journal = node.journal();
    journal.discard_drafts(&key)?;
    let mut released = None;
    if let Some(record) = journal.find(&key)? {
        let _lock = node.lock(record.vf.device)?;
        // While the lock was not ours, another DEL may have done it all.
        if let Some(mut record) = journal.find(&key)? {
            if let Some(netns) = netns {
                netns.clone_into(&mut record.netns);
            }
            undo(node, &mut RouteSocket::open()?, &record)?;
            released = record.addresses;
        }
    }
    // Also without a record: the addresses may be from another program, whose place we took.
    match conf.host_local_data_dir.filter(|folder| released.as_ref() != Some(folder)) {
        Some(folder) => ipam::release(&folder, &conf.name, &attachment.id),
        None => Ok(()),
    }
}

/// Undoes every attachment of the network that is not among the valid ones, and says which.
///
/// One that can't be undone does not keep the others; the errors come together at the end.
pub fn gc(node: &Node, network: &Network, valid: &[AttachmentId]) -> Result<(), CniError> {
    let name = TeardownConf::parse(&network.config, None)?.name;
    let is_stale =
        |record: &Record| record.key.network == name && !valid.contains(&record.key.id());
    let mut host = RouteSocket::open()?;
    let mut failures = Vec::new();
    for stale in node.journal().all()?.iter().filter(|record| is_stale(record)) {
        let _lock = node.lock(stale.vf.device)?;
        let Some(record) = node.journal().find(&stale.key)? else { continue };
        match undo(node, &mut host, &record) {
            Ok(()) => eprintln!("linkspan: removed {}", record.key),
            Err(error) => failures.push(error),
        }
    }
    join(failures)
}

/// Undoes what a record tells of, all that can be: the VF, the addresses, and last the record itself,
/// which stays if anything else does. The caller holds the device's lock.
pub(crate) fn undo(node: &Node, host: &mut RouteSocket, record: &Record) -> Result<(), CniError> {
    let Record { key, netns, vf, addresses } = record;
    let mut failures = Vec::new();
    match restore(&node.sysfs, host, vf, &key.interface, netns) {
        Ok(Restored::Renamed(name)) => eprintln!(
            "linkspan: VF {} is back as {name}, because another link is called {} now",
            vf.device, vf.netdev.name
        ),
        Ok(Restored::Whole | Restored::NoDevice) => {}
        Err(error) => failures.push(error.into()),
    }
    if let Some(folder) = addresses {
        failures.extend(ipam::release(folder, &key.network, &key.id()).err());
    }
    join(failures)?;
    Ok(node.journal().remove(record)?)
}

/// One error of many: the code and the advice of the first, and what all of them say.
fn join(failures: Vec<CniError>) -> Result<(), CniError> {
    let messages: Vec<String> = failures.iter().map(|e| e.msg.clone()).collect();
    match failures.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(CniError { msg: messages.join("; "), ..first }),
    }
}

impl From<RestoreError> for CniError {
    fn from(error: RestoreError) -> Self {
        let advice = match &error {
            RestoreError::Lost { .. } => {
                "DEL will be tried again. If it keeps failing, some process holds the pod's dead namespace open, \
                 and the VF in it: `lsns -t net` lists the namespaces and their processes"
            }
            _ => "DEL will be tried again; `dmesg` on the node may have more of the driver's words",
        };
        let code = match &error {
            RestoreError::Lost { .. } => Code::TryAgain,
            _ => Code::KernelRefused,
        };
        Self::caused_by(code, &error, advice)
    }
}
