//! ADD: puts one interface into a pod, or leaves the node as it was.

use std::path::Path;

use linkspan_config::net_conf::{IpamConf, KindConf, NetConf};
use linkspan_linux::{Netns, OpenNetnsError, RouteSocket};
use linkspan_types::PciAddress;

use crate::addresses;
use crate::detach;
use crate::ipam;
use crate::journal::{AttachmentKey, Record};
use crate::kind::sriov::{Destination, Vf};
use crate::node::Node;
use crate::spec::{AddResult, Attachment, CniError, Code, Interface};

/// Attaches a pod: parse, lock, journal, link, address, announce, result.
///
/// What fails after the journal was written is undone before the error is returned. If even that fails, or
/// the process is killed, the journal still has all that DEL needs.
pub fn add(node: &Node, netns_path: &Path, attachment: &Attachment) -> Result<AddResult, CniError> {
    let conf = NetConf::parse(&attachment.network.config, &attachment.args.runtime_inputs(), None)?;
    let KindConf::Sriov(sriov) = &conf.kind else {
        return Err(CniError::new(Code::UnsupportedField, "this kind is not there yet", ""));
    };
    let key = AttachmentKey::new(&conf.name, &attachment.id);
    let netns = open_pod(netns_path)?;

    let _lock = node.lock(sriov.device)?;
    let mut host = RouteSocket::open()?;
    make_free(node, &mut host, &key, sriov.device)?;
    let vf = Vf::find(&node.sysfs, &mut host, sriov)?;
    let record = Record {
        key,
        netns: netns_path.to_owned(),
        vf: vf.record().clone(),
        addresses: addresses_folder(&conf.ipam),
    };
    node.journal().write(&record)?;

    let to = Destination {
        netns: &netns,
        path: netns_path,
        name: &record.key.interface,
        mtu: sriov.mtu,
    };
    attach(node, &mut host, &vf, &to, &conf, attachment)
        .map_err(|error| undo(node, &mut host, &record, error))
}

fn attach(
    node: &Node,
    host: &mut RouteSocket,
    vf: &Vf,
    to: &Destination,
    conf: &NetConf,
    attachment: &Attachment,
) -> Result<AddResult, CniError> {
    let mut pod = RouteSocket::open_in(to.netns)?;
    let link = vf.attach(&node.sysfs, host, &mut pod, to)?;
    let mut result = ipam::reserve(&conf.ipam, &conf.name, &attachment.id)?;
    addresses::configure(&mut pod, to.netns, to.name, link.index, &result)?;
    addresses::tell_neighbours(&mut pod, to.netns, &link, &result);

    result.interfaces = vec![Interface {
        name: link.name,
        mac: link.mac,
        mtu: Some(link.mtu),
        sandbox: Some(to.path.to_string_lossy().into_owned()),
        pci_id: Some(vf.record().device.to_string()),
        ..Interface::default()
    }];
    for ip in &mut result.ips {
        ip.interface = Some(0);
    }
    if !conf.dns.is_empty() {
        result.dns = conf.dns.clone();
    }
    Ok(result)
}

/// Undoes a failed ADD, and adds to its error what could not be undone.
fn undo(node: &Node, host: &mut RouteSocket, record: &Record, mut error: CniError) -> CniError {
    if let Err(left) = detach::undo(node, host, record) {
        let CniError { msg, .. } = left;
        error.msg = format!("{}; and what was done so far could not be undone: {msg}", error.msg);
    }
    error
}

/// Makes sure that no other attachment holds the device. One whose pod is gone without a DEL is undone;
/// one that lives is an error.
fn make_free(
    node: &Node,
    host: &mut RouteSocket,
    key: &AttachmentKey,
    device: PciAddress,
) -> Result<(), CniError> {
    let Some(holder) = node.journal().holder(device)? else { return Ok(()) };
    let gone = Netns::open(&holder.netns).is_err_and(|e| e.is_gone());
    if gone {
        return detach::undo(node, host, &holder);
    }
    let again = if holder.key == *key { " already" } else { "" };
    Err(CniError::new(
        Code::DeviceHeld,
        format!("VF {device} is{again} held by {}", holder.key),
        format!(
            "It is free once the runtime has called DEL for that pod, or the pod's namespace {} is gone",
            holder.netns.display()
        ),
    ))
}

fn addresses_folder(ipam: &IpamConf) -> Option<std::path::PathBuf> {
    match ipam {
        IpamConf::None | IpamConf::Static(_) | IpamConf::Delegate(_) => None,
        IpamConf::HostLocal(conf) => Some(conf.data_dir.clone()),
    }
}

/// Opens the pod's namespace, which must not be the host's: a VF "moved" there would be renamed on the host.
fn open_pod(path: &Path) -> Result<Netns, CniError> {
    let netns = Netns::open(path)?;
    let io = |e: std::io::Error| CniError::caused_by(Code::Io, &e, "");
    if netns.id().map_err(io)? == Netns::current().and_then(|own| own.id()).map_err(io)? {
        return Err(CniError::new(
            Code::InvalidEnvironment,
            format!("CNI_NETNS is {}, which is the host's own namespace", path.display()),
            "A pod with hostNetwork: true has all the host's interfaces already, and gets no others",
        ));
    }
    Ok(netns)
}

impl From<OpenNetnsError> for CniError {
    fn from(error: OpenNetnsError) -> Self {
        let code = if error.is_gone() { Code::UnknownContainer } else { Code::InvalidEnvironment };
        Self::caused_by(code, &error, "CNI_NETNS must be the path of the pod's network namespace")
    }
}
