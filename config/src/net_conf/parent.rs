//! The link that a macvlan, ipvlan or macvtap child rides on, and what is between the two.

use linkspan_types::{IfName, Mtu, PciAddress, VlanId};

use super::sources::Sources;
use crate::Invalid;
use crate::fields::Fields;

/// The link that a child rides on, and what is between the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentConf {
    /// The link.
    pub link: ParentLink,
    /// Whether the link is looked up in the pod's namespace instead of the host's.
    pub in_container: bool,
    /// The VLAN of the parent that the child belongs to, never 0; none for what the parent itself
    /// sends and gets.
    pub vlan: Option<VlanId>,
    /// The MTU of the child; none inherits the parent's.
    pub mtu: Option<Mtu>,
}

/// Which link is the parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParentLink {
    /// The one with this name.
    Named(IfName),
    /// The netdev of this PCI device, a VF that the attachment holds for itself.
    Device(PciAddress),
    /// The one that the default route goes by.
    DefaultRoute,
}

impl ParentConf {
    pub(super) fn parse(sources: &Sources<'_>) -> Result<Self, Invalid> {
        const VLAN: &str = "a VLAN ID from 1 to 4094, or 0 for none";
        let root = &sources.root;
        let link = ParentLink::parse(sources)?;
        let in_container = root.boolean("linkInContainer")?;
        if in_container && matches!(link, ParentLink::Device(_)) {
            return Err(root.invalid("linkInContainer", "false where `deviceID` is the parent"));
        }
        Ok(Self {
            link,
            in_container,
            vlan: root
                .number::<u16, VlanId>("vlan", VLAN)?
                .filter(|vlan| *vlan != VlanId::default()),
            mtu: sources.mtu()?,
        })
    }
}

impl ParentLink {
    fn parse(sources: &Sources<'_>) -> Result<Self, Invalid> {
        let root = &sources.root;
        match (named(root)?, device(sources)?) {
            (Some((key, _)), Some(_)) if sources.native => Err(root
                .invalid(key, "no such key where a device is the parent")
                .advise(format!("Remove `{key}`, or the device: `deviceID` and `resourceName`"))),
            (Some((_, name)), _) => Ok(Self::Named(name)),
            (None, Some(device)) => Ok(Self::Device(device)),
            (None, None) if root.is_set("resourceName") => {
                Err(root.invalid("deviceID", "the device of `resourceName`"))
            }
            (None, None) => Ok(Self::DefaultRoute),
        }
    }
}

/// The name of the parent: `parent`, which the peers call `master`.
fn named(root: &Fields<'_>) -> Result<Option<(&'static str, IfName)>, Invalid> {
    const EXPECTED: &str = "the name of a network interface";
    let parent = root.parsed::<IfName>("parent", EXPECTED)?;
    let master = root.parsed::<IfName>("master", EXPECTED)?;
    match (parent, master) {
        (Some(parent), Some(master)) if parent != master => Err(root
            .invalid("master", format!("the same as `parent`, which is {parent}"))
            .advise("Remove one of the two")),
        (Some(parent), _) => Ok(Some(("parent", parent))),
        (None, master) => Ok(master.map(|master| ("master", master))),
    }
}

/// The VF that is the parent. A peer's configuration may have another device, which the peer ignores.
fn device(sources: &Sources<'_>) -> Result<Option<PciAddress>, Invalid> {
    const EXPECTED: &str = "the PCI address of the VF that is the parent, such as 0000:3b:02.1";
    let Some((place, text)) = sources.device(EXPECTED)? else { return Ok(None) };
    match text.parse() {
        Ok(device) => Ok(Some(device)),
        Err(_) if sources.native => Err(place.invalid("deviceID", EXPECTED)),
        Err(_) => Ok(None),
    }
}
