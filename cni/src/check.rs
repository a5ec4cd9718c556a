//! CHECK: whether a VF is where ADD has put it, and up. It costs two small questions to the kernel, because
//! some runtimes check after each ADD.

use std::path::Path;

use linkspan_config::net_conf::TeardownConf;
use linkspan_linux::{Link, Netns, RouteSocket};

use crate::journal::{AttachmentKey, Record};
use crate::node::Node;
use crate::spec::{Attachment, CniError, Code};

/// Checks one attachment; what differs is the error.
pub fn check(node: &Node, netns: &Path, attachment: &Attachment) -> Result<(), CniError> {
    let conf = TeardownConf::parse(&attachment.network.config, None)?;
    let key = AttachmentKey::new(&conf.name, &attachment.id);
    let Some(record) = node.journal().find(&key)? else {
        return Err(differs(format!("there is no {key}")));
    };
    let mut pod = RouteSocket::open_in(&Netns::open(netns)?)?;
    let link = match pod.link_by_name(&key.interface) {
        Err(e) if e.is_missing() => {
            return Err(differs(format!("the pod has no interface {}", key.interface)));
        }
        link => link?,
    };
    difference(&record, &link).map_or(Ok(()), |difference| Err(differs(difference)))
}

/// The first thing in which the interface is not as ADD has left it.
fn difference(record: &Record, link: &Link) -> Option<String> {
    let name = &record.key.interface;
    let device = record.vf.device;
    if let Some(other) = link.pci.filter(|pci| *pci != device) {
        return Some(format!("{name} is device {other}, expected VF {device}"));
    }
    let mac = record.vf.change.mac;
    if mac.is_some() && link.mac != mac {
        let [now, expected] = [link.mac, mac].map(Option::unwrap_or_default);
        return Some(format!("{name} has MAC {now}, expected {expected}"));
    }
    (!link.up).then(|| format!("{name} is down, expected it up"))
}

fn differs(what: String) -> CniError {
    CniError::new(Code::NotAsAttached, what, "Delete the pod, and its controller makes it anew")
}
