//! The keys of the kinds `macvlan`, `ipvlan` and `macvtap`: which parent, and how the child shares it.

use linkspan_types::{
    IfName, IpvlanFlag, IpvlanMode, MacAddr, MacvlanMode, Mtu, PciAddress, VlanId,
};

/// What an attachment of kind `macvlan` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacvlanConf {
    /// What the link rides on.
    pub parent: ParentConf,
    /// How it shares its parent.
    pub sharing: MacvlanSharing,
    /// The MAC of the link.
    pub mac: MacChoice,
}

/// What an attachment of kind `ipvlan` asks for. Its MAC is its parent's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpvlanConf {
    /// What the link rides on.
    pub parent: ParentConf,
    /// How packets are passed.
    pub mode: IpvlanMode,
    /// Whether the children of the parent reach each other.
    pub flag: IpvlanFlag,
}

/// What an attachment of kind `macvtap` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacvtapConf {
    /// Where the link comes from.
    pub source: MacvtapSource,
    /// The MAC of the link.
    pub mac: MacChoice,
    /// The owner of `/dev/tapN`, a user's number.
    pub owner: u32,
    /// The group of `/dev/tapN`.
    pub group: u32,
    /// Whether the link takes frames for any MAC.
    pub promiscuous: bool,
}

/// Where a macvtap link comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MacvtapSource {
    /// It is made for the attachment.
    Parent {
        /// What it rides on.
        parent: ParentConf,
        /// How it shares its parent.
        sharing: MacvlanSharing,
        /// How many pairs of queues it has; none leaves it to the kernel.
        queues: Option<u32>,
    },
    /// A device plugin has made it, for this device of a macvtap pool.
    Pool {
        /// The device's ID as the kubelet knows it: not a PCI address.
        device: String,
        /// The MTU to give it.
        mtu: Option<Mtu>,
    },
}

/// The link that a child rides on, and what is between the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentConf {
    /// The link.
    pub link: ParentLink,
    /// Whether the link is looked up in the pod's namespace instead of the host's.
    pub in_container: bool,
    /// The VLAN of the parent that the child belongs to; none for what the parent itself sends and gets.
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

/// How a macvlan or macvtap link shares its parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MacvlanSharing {
    /// The mode.
    pub mode: MacvlanMode,
    /// In mode `source`, the MACs whose frames are taken; empty in all others.
    pub sources: Vec<MacAddr>,
    /// How many broadcast frames may wait for the children of the parent (`bcqueuelen`).
    pub broadcast_queue: Option<u32>,
}

/// Which MAC a child is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacChoice {
    /// Any: a random one.
    Any,
    /// This one; an interface can have it.
    This(MacAddr),
    /// One that is made of the attachment's first address, the same on every node.
    FromIp,
}
