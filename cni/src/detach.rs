//! DEL: undoes an attachment by its record and by what the kernel shows, in any state, any number of times.

use std::path::Path;

use linkspan_config::net_conf::{KindName, TeardownConf};
use linkspan_linux::RouteSocket;

use crate::device_info;
use crate::ipam::IpamRecord;
use crate::ipam::delegate::DelegateCall;
use crate::journal::{AttachmentKey, Record};
use crate::kind::child::{self, ChildKind};
use crate::kind::sriov::{RestoreError, Restored, restore};
use crate::kind::{Claim, LinkRecord, pool};
use crate::log;
use crate::node::Node;
use crate::spec::{Attachment, CniError, Code};

/// Undoes one attachment. One that is not there, or only in part, is no error.
pub fn del(
    node: &Node,
    netns: Option<&Path>,
    attachment: &Attachment,
    called_as: Option<KindName>,
) -> Result<(), CniError> {
    let conf = TeardownConf::parse(&attachment.network.config, called_as)?;
    let key = AttachmentKey::new(&conf.name, &attachment.id);
    let journal = node.journal();
    let addresses = addresses_of(&conf, attachment, netns);
    let records = journal.settle(&key)?;
    if records.is_empty() {
        return undo_unrecorded(&conf, &key, netns, &addresses);
    }
    let mut released = IpamRecord::None;
    for mut record in records {
        if let Some(netns) = netns {
            netns.clone_into(&mut record.netns);
        }
        // What the runtime says now goes before what was written down: plugins may have moved.
        if addresses != IpamRecord::None && addresses.is_at(&record.ipam) {
            record.ipam = addresses.clone();
        }
        undo(node, &mut RouteSocket::open()?, &record)?;
        released = record.ipam;
    }
    if addresses.is_at(&released) { Ok(()) } else { addresses.release(&conf.name, &attachment.id) }
}

/// Undoes what has no record: a link that a peer has made, and addresses that are from another program, whose
/// place we took, or from an ADD that was killed before its record was written.
fn undo_unrecorded(
    conf: &TeardownConf,
    key: &AttachmentKey,
    netns: Option<&Path>,
    addresses: &IpamRecord,
) -> Result<(), CniError> {
    let release = || addresses.release(&conf.name, &key.id());
    if addresses.goes_over_the_link() {
        release()?;
    }
    let of_peer = conf.kind.filter(|_| conf.is_peers).and_then(child_kind);
    if let (Some(kind), Some(netns)) = (of_peer, netns) {
        child::remove_unrecorded(kind, &key.interface, netns)?;
    }
    if addresses.goes_over_the_link() { Ok(()) } else { release() }
}

/// Who gave the addresses, as the configuration has it. A plugin that is not there has given none.
fn addresses_of(conf: &TeardownConf, attachment: &Attachment, netns: Option<&Path>) -> IpamRecord {
    if let Some(folder) = &conf.host_local_data_dir {
        return IpamRecord::HostLocal(folder.clone());
    }
    if let Some(socket) = &conf.dhcp_socket {
        return IpamRecord::Dhcp(socket.clone());
    }
    let call =
        conf.ipam_delegate.as_ref().map(|plugin| DelegateCall::new(plugin, attachment, netns));
    match call.filter(|call| call.delegate.is_there()) {
        Some(call) => IpamRecord::Delegate(Box::new(call)),
        None => IpamRecord::None,
    }
}

/// Undoes what a record tells of, all that can be: the link, the addresses, and last the record itself, which
/// stays if anything else does.
///
/// What the attachment claims is locked while its link is at work on, and not while another plugin is.
pub fn undo(node: &Node, host: &mut RouteSocket, record: &Record) -> Result<(), CniError> {
    let Record { key, link, ipam, device_info, .. } = record;
    let claim = link.claim();
    let mut failures = Vec::new();
    if ipam.goes_over_the_link() {
        failures.extend(ipam.release(&key.network, &key.id()).err());
    }
    {
        let lock = if claim.is_exclusive() { node.lock(&claim)? } else { None };
        // While the lock was not ours, another call may have done it all, and the claim be another's by now.
        if lock.is_some() && node.journal().find(key)?.is_none() {
            return Ok(());
        }
        failures.extend(undo_link(node, host, record).err());
    }
    if !ipam.goes_over_the_link() {
        failures.extend(ipam.release(&key.network, &key.id()).err());
    }
    if let Some(path) = device_info {
        failures.extend(device_info::remove(path).err().map(CniError::from));
    }
    join(failures)?;
    finish(node, host, record, &claim)
}

/// Removes the record, and before it a VLAN sub-interface that nobody else has a share in.
fn finish(
    node: &Node,
    host: &mut RouteSocket,
    record: &Record,
    claim: &Claim,
) -> Result<(), CniError> {
    let journal = node.journal();
    let vlan = match &record.link {
        LinkRecord::Child(child) => child.vlan.as_ref(),
        LinkRecord::Vf(_) | LinkRecord::Pool(_) => None,
    };
    let _lock = vlan.map(|_| node.lock(claim)).transpose()?;
    if let Some(vlan) = vlan
        && (claim.is_exclusive() || !journal.is_shared(claim, &record.key)?)
    {
        child::remove_unused_vlan(host, vlan)?;
    }
    Ok(journal.remove(record)?)
}

fn undo_link(node: &Node, host: &mut RouteSocket, record: &Record) -> Result<(), CniError> {
    let Record { key, netns, .. } = record;
    match &record.link {
        LinkRecord::Vf(vf) => {
            if let Restored::Renamed(name) = restore(&node.sysfs, host, vf, &key.interface, netns)?
            {
                log::warning(format_args!(
                    "VF {} is back as {name}, because another link has its name now",
                    vf.device
                ));
            }
        }
        LinkRecord::Child(child) => {
            child::remove(node, host, child, &key.interface, netns)?;
        }
        LinkRecord::Pool(link) => pool::restore(host, link, &key.interface, netns)?,
    }
    Ok(())
}

/// The kinds whose links a peer has made without a record that we could read.
fn child_kind(kind: KindName) -> Option<ChildKind> {
    match kind {
        KindName::Macvlan => Some(ChildKind::Macvlan),
        KindName::Ipvlan => Some(ChildKind::Ipvlan),
        KindName::Macvtap => Some(ChildKind::Macvtap),
        KindName::Sriov => None,
    }
}

/// One error of many: the code and the advice of the first, and what all of them say.
pub(crate) fn join(failures: Vec<CniError>) -> Result<(), CniError> {
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
