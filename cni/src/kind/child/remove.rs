//! Removes a child link from a pod, in whatever state ADD or an earlier DEL has left it.

use std::path::Path;

use linkspan_linux::{Link, LinkChange, Netns, RouteSocket};
use linkspan_types::IfName;

use super::{ChildError, ChildKind, ChildRecord, VfParent};
use crate::node::Node;

/// What there was to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A link.
    Link,
    /// Nothing: there is no namespace, or no such link in it.
    Nothing,
}

/// Removes the child of a record, and has its VF down again if it was. A VLAN sub-interface stays; see
/// [`super::remove_unused_vlan`].
///
/// `interface` is its name in the pod, whose namespace is (or was) at `netns`. That the link has the index of the
/// record is not enough: an index can become another link's where the path leads to another pod's namespace.
pub fn remove(
    node: &Node,
    host: &mut RouteSocket,
    record: &ChildRecord,
    interface: &IfName,
    netns: &Path,
) -> Result<Removed, ChildError> {
    let removed = match open(netns)? {
        None => Removed::Nothing,
        Some(mut pod) => {
            let parent = parent_index(host, &mut pod, record)?;
            let is_ours =
                |link: &Link| record.kind.is(link) && (parent.is_none() || link.parent == parent);
            delete(&mut pod, record.index, interface, is_ours)?
        }
    };
    if let Some(VfParent { device, up: false }) = record.vf {
        set_down(node, host, device)?;
    }
    Ok(removed)
}

/// Removes a link that no record tells of: another program has made it, whose place we took.
pub fn remove_unrecorded(
    kind: ChildKind,
    interface: &IfName,
    netns: &Path,
) -> Result<Removed, ChildError> {
    match open(netns)? {
        None => Ok(Removed::Nothing),
        Some(mut pod) => match pod.link_by_name(interface) {
            Err(e) if e.is_missing() => Ok(Removed::Nothing),
            link if link.as_ref().is_ok_and(|link| !kind.is(link)) => Ok(Removed::Nothing),
            link => delete_link(&mut pod, link?.index),
        },
    }
}

fn open(netns: &Path) -> Result<Option<RouteSocket>, ChildError> {
    match Netns::open(netns) {
        Err(e) if e.is_gone() => Ok(None),
        netns => Ok(Some(RouteSocket::open_in(&netns?)?)),
    }
}

/// The index of the link that the child rides on itself; none where that can't be known, as with a VLAN
/// sub-interface that is not ours.
fn parent_index(
    host: &mut RouteSocket,
    pod: &mut RouteSocket,
    record: &ChildRecord,
) -> Result<Option<u32>, ChildError> {
    let Some(vlan) = &record.vlan else { return Ok(Some(record.parent)) };
    let socket = if record.in_container { pod } else { host };
    match socket.link_by_name(&vlan.name()) {
        Err(e) if e.is_missing() => Ok(None),
        link => Ok(Some(link?.index)),
    }
}

fn delete(
    pod: &mut RouteSocket,
    index: Option<u32>,
    interface: &IfName,
    is_ours: impl Fn(&Link) -> bool,
) -> Result<Removed, ChildError> {
    let link = match index {
        Some(index) => pod.link(index),
        None => pod.link_by_name(interface),
    };
    match link {
        Err(e) if e.is_missing() => Ok(Removed::Nothing),
        link => match Some(link?).filter(is_ours) {
            Some(link) => delete_link(pod, link.index),
            None => Ok(Removed::Nothing),
        },
    }
}

fn delete_link(pod: &mut RouteSocket, index: u32) -> Result<Removed, ChildError> {
    match pod.delete_link(index) {
        Err(e) if e.is_missing() => Ok(Removed::Nothing),
        deleted => {
            deleted?;
            Ok(Removed::Link)
        }
    }
}

/// A device without a netdev has nothing to be set down.
fn set_down(
    node: &Node,
    host: &mut RouteSocket,
    device: linkspan_types::PciAddress,
) -> Result<(), ChildError> {
    for name in node.sysfs.pci(device).net_names()? {
        match host.link_by_name(&name) {
            Err(e) if e.is_missing() => {}
            link => {
                let down = LinkChange { up: Some(false), ..LinkChange::default() };
                host.change_link(link?.index, &down)?;
            }
        }
    }
    Ok(())
}
