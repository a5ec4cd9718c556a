//! VLAN sub-interfaces between a parent and its children: made for the first child, shared by the others,
//! and removed with the last one.
//!
//! Which of them are ours is in their names, which nobody else gives; who has a share is in the names of the
//! journal's records.

use std::fmt;
use std::str::FromStr;

use linkspan_linux::{Errno, Link, LinkBasics, LinkKind, NewKind, NewLink, RouteSocket};
use linkspan_types::{IfName, ParseError, VlanId};
use serde::{Deserialize, Serialize};

use super::ChildError;

/// The name of a sub-interface: `ls`, its parent's index in hexadecimal digits, a dot, and the VLAN's ID.
/// The index can't be another link's as long as the sub-interface exists, which goes with its parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VlanName {
    parent: u32,
    id: VlanId,
}

impl VlanName {
    /// The name of the sub-interface for a VLAN of a parent.
    #[must_use]
    pub fn new(parent: u32, id: VlanId) -> Self {
        Self { parent, id }
    }

    /// The same as an interface's name.
    #[must_use]
    pub fn name(&self) -> IfName {
        // "ls", at most 8 digits, a dot, at most 4 digits: 15 bytes, as long as a name may be.
        self.to_string().parse().unwrap_or_else(|_| unreachable!("{self} is a name"))
    }

    /// The VLAN.
    #[must_use]
    pub fn id(&self) -> VlanId {
        self.id
    }

    /// Whether a link is the one that this names, and not something else by the same name.
    #[must_use]
    pub fn is(&self, link: &Link) -> bool {
        matches!(link.kind, LinkKind::Vlan { id, .. } if id == self.id)
            && link.parent == Some(self.parent)
    }
}

impl fmt::Display for VlanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ls{:x}.{}", self.parent, self.id)
    }
}

impl FromStr for VlanName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parts = || {
            let (parent, id) = text.strip_prefix("ls")?.split_once('.')?;
            let parent = u32::from_str_radix(parent, 16).ok()?;
            let name = Self { parent, id: id.parse::<u16>().ok()?.try_into().ok()? };
            // Not `ls0a.0100`, which we never write.
            (name.to_string() == text).then_some(name)
        };
        parts().ok_or_else(|| ParseError {
            text: text.chars().take(64).collect(),
            expected: "a VLAN sub-interface such as ls3.100",
        })
    }
}

impl TryFrom<String> for VlanName {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<VlanName> for String {
    fn from(name: VlanName) -> Self {
        name.to_string()
    }
}

/// The sub-interface, which is made and set up where it is not there yet. The caller holds the
/// lock of the claim, and has its record in the journal.
///
/// Where the parent has a sub-interface for this VLAN that somebody else made, that one serves, for the
/// kernel lets no parent have two. It is never changed and never removed.
pub(super) fn share(
    socket: &mut RouteSocket,
    parent: u32,
    vlan: &VlanName,
) -> Result<LinkBasics, ChildError> {
    let name = vlan.name();
    match socket.link_by_name(&name) {
        Ok(link) if vlan.is(&link) => return Ok((&link).into()),
        Ok(_) => return Err(ChildError::VlanNameTaken { name }),
        Err(e) if e.is_missing() => {}
        Err(e) => return Err(e.into()),
    }
    let new = NewLink {
        name: &name,
        kind: NewKind::Vlan { id: vlan.id },
        parent,
        netns: None,
        index: None,
        mac: None,
        mtu: None,
        up: true,
        queues: None,
    };
    match socket.add_link(&new) {
        Ok(()) => Ok(socket.basics(&name)?),
        Err(e) if e.errno() == Some(Errno::EXIST) => {
            let others = socket.links()?;
            let other = others.iter().find(|link| vlan.is(link));
            other.map(LinkBasics::from).ok_or(ChildError::MakeVlan { name, source: e })
        }
        Err(source) => Err(ChildError::MakeVlan { name, source }),
    }
}

/// Removes a sub-interface that we made; that there is none is as good. The caller holds the lock of the
/// claim, and knows that nobody else has a share.
pub fn remove_unused(socket: &mut RouteSocket, vlan: &VlanName) -> Result<(), ChildError> {
    let link = match socket.link_by_name(&vlan.name()) {
        Err(e) if e.is_missing() => return Ok(()),
        link => link?,
    };
    if !vlan.is(&link) {
        return Ok(());
    }
    match socket.delete_link(link.index) {
        Err(e) if e.is_missing() => Ok(()),
        deleted => Ok(deleted?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_parent_and_the_vlan_and_is_never_too_long() {
        let id = |id: u16| VlanId::try_from(id).unwrap();
        for (name, text) in [
            (VlanName::new(3, id(100)), "ls3.100"),
            (VlanName::new(u32::MAX, id(4094)), "lsffffffff.4094"),
        ] {
            assert_eq!(name.name().as_str(), text);
            assert_eq!(text.parse(), Ok(name));
        }
        for text in ["ens1.100", "ls3", "ls3.", "lsx.100", "ls03.100", "ls3.0100", "ls3.4095", ""] {
            assert!(text.parse::<VlanName>().is_err(), "{text:?} was taken");
        }
    }
}
