//! The parent of a child link: the host link that the configuration names, or means.

use linkspan_config::net_conf::{ParentConf, ParentLink};
use linkspan_linux::{Link, LinkBasics, LinkChange, RouteSocket};
use linkspan_types::PciAddress;

use super::{ChildError, ChildRecord, Wanted};
use crate::node::Node;

/// A parent that is there.
pub(super) struct Parent {
    /// The link, as it was found.
    pub(super) link: LinkBasics,
    /// Its name.
    pub(super) name: String,
    /// The VF that it is, if it was asked for by that.
    pub(super) device: Option<PciAddress>,
}

impl Parent {
    /// Looks a parent up in the namespace of `socket`, and checks the MTU that its child is to have.
    pub(super) fn find(
        node: &Node,
        socket: &mut RouteSocket,
        conf: &ParentConf,
    ) -> Result<Self, ChildError> {
        let of = |link: Link, device| Self { link: (&link).into(), name: link.name, device };
        let parent = match &conf.link {
            ParentLink::Named(name) => match socket.basics(name) {
                Err(e) if e.is_missing() => {
                    return Err(ChildError::NoParent { name: name.clone() });
                }
                link => Self { link: link?, name: name.to_string(), device: None },
            },
            ParentLink::DefaultRoute => {
                let index = socket.default_route_link()?.ok_or(ChildError::NoDefaultRoute)?;
                of(socket.link(index)?, None)
            }
            ParentLink::Device(device) => of(netdev(node, socket, *device)?, Some(*device)),
        };
        let Self { link, name, device } = &parent;
        if let Some(mtu) = conf.mtu.filter(|mtu| u32::from(*mtu) > link.mtu) {
            return Err(ChildError::Mtu { mtu, parent: name.clone(), parent_mtu: link.mtu });
        }
        if conf.vlan.is_some() && !link.up && device.is_none() {
            return Err(ChildError::ParentDown { parent: name.clone() });
        }
        Ok(parent)
    }

    /// Sets a VF that is the attachment's own up. Any other parent is its administrator's.
    pub(super) fn wake(&self, socket: &mut RouteSocket) -> Result<(), ChildError> {
        if self.device.is_some() && !self.link.up {
            let up = LinkChange { up: Some(true), ..LinkChange::default() };
            socket.change_link(self.link.index, &up)?;
        }
        Ok(())
    }
}

/// Finds a parent for nobody in particular: whether there is one.
pub fn find_parent(
    node: &Node,
    socket: &mut RouteSocket,
    conf: &ParentConf,
) -> Result<(), ChildError> {
    Parent::find(node, socket, conf).map(drop)
}

/// In what a child rides on another link than it should, as "rides on link 7, expected ens1". `socket` is one
/// of the parent's namespace; without a record only a parent that the configuration names can be compared.
pub fn parent_difference(
    socket: &mut RouteSocket,
    wanted: &Wanted,
    record: Option<&ChildRecord>,
    child: &Link,
) -> Result<Option<String>, ChildError> {
    let name = match (&wanted.parent.link, record) {
        (_, Some(ChildRecord { vlan: Some(vlan), .. })) => vlan.name(),
        (ParentLink::Named(name), _) if wanted.parent.vlan.is_none() => name.clone(),
        (_, Some(record)) => {
            let rides = child.parent == Some(record.parent);
            let expected =
                || format!("rides on link {:?}, expected {}", child.parent, record.parent);
            return Ok((!rides).then(expected));
        }
        (_, None) => return Ok(None),
    };
    let parent = match socket.link_by_name(&name) {
        // A sub-interface that somebody else made serves under another name.
        Err(e) if e.is_missing() && record.is_some_and(|record| record.vlan.is_some()) => {
            return Ok(None);
        }
        Err(e) if e.is_missing() => {
            return Ok(Some(format!("had the parent {name}, which is gone")));
        }
        parent => parent?,
    };
    let now = child.parent.map_or_else(|| "no link".to_owned(), |index| format!("link {index}"));
    Ok((child.parent != Some(parent.index))
        .then(|| format!("rides on {now}, expected {name}, which is link {}", parent.index)))
}

fn netdev(node: &Node, socket: &mut RouteSocket, device: PciAddress) -> Result<Link, ChildError> {
    let function = node.sysfs.pci(device);
    if !function.exists() {
        return Err(ChildError::NoDevice { device });
    }
    for name in function.net_names()? {
        match socket.link_by_name(&name) {
            Err(e) if e.is_missing() => {}
            link => return Ok(link?),
        }
    }
    Err(ChildError::NoNetdev { device })
}
