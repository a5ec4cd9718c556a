//! Why a child link can't be made or removed, with the CNI code and the advice that go with it.

use std::io;
use std::path::PathBuf;

use linkspan_linux::pci::SysfsError;
use linkspan_linux::{Errno, NetlinkError, OpenNetnsError};
use linkspan_types::{IfName, Mtu, PciAddress};

use super::ChildKind;
use crate::pod::NameTaken;
use crate::spec::{CniError, Code};

/// A child link that can't be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// No such parent.
    #[error("the parent is {name}, but there is no such link")]
    NoParent {
        /// Its name.
        name: IfName,
    },
    /// No parent is named, and none can be guessed.
    #[error("no parent is named, and there is no default route whose link could be it")]
    NoDefaultRoute,
    /// No such VF.
    #[error("`deviceID` is {device}, but this node has no such PCI device")]
    NoDevice {
        /// The VF.
        device: PciAddress,
    },
    /// The VF's link is not on the host.
    #[error("device {device} has no network interface in the host's namespace")]
    NoNetdev {
        /// The VF.
        device: PciAddress,
    },
    /// No link of a macvtap pool.
    #[error("there is no macvtap link {name}, which a device plugin makes for `deviceID` {device}")]
    NoPoolLink {
        /// The link's name.
        name: IfName,
        /// The device of the pool.
        device: String,
    },
    /// The child would take more than its parent can carry.
    #[error("`mtu` is {mtu}, expected at most that of the parent {parent}, which is {parent_mtu}")]
    Mtu {
        /// The MTU that was asked for.
        mtu: Mtu,
        /// The parent's name.
        parent: String,
        /// The parent's MTU.
        parent_mtu: u32,
    },
    /// A VLAN sub-interface can't be set up.
    #[error("the parent {parent} is down, expected it up, as a VLAN of it is asked for")]
    ParentDown {
        /// The parent's name.
        parent: String,
    },
    /// The name of a sub-interface of ours is another link's.
    #[error("there is a link {name} which is no VLAN sub-interface of the parent")]
    VlanNameTaken {
        /// The name.
        name: IfName,
    },
    /// The kernel makes no sub-interface.
    #[error("cannot make the VLAN sub-interface {name}")]
    MakeVlan {
        /// Its name.
        name: IfName,
        /// The kernel's word.
        #[source]
        source: NetlinkError,
    },
    /// The kernel makes no child.
    #[error("cannot make a {kind} link on {parent}")]
    Make {
        /// What was to be made.
        kind: ChildKind,
        /// The parent's name.
        parent: String,
        /// The kernel's word.
        #[source]
        source: NetlinkError,
    },
    /// The device node can't be given to its owner.
    #[error("cannot give {node} to its owner")]
    Node {
        /// The node.
        node: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// A MAC is to be made of an address, and there is none.
    #[error("`macFrom` is \"ip\", but the attachment has no address")]
    NoAddress,
    /// The host's namespace can't be opened.
    #[error("cannot open the host's network namespace")]
    Home(#[source] io::Error),
    /// The kernel has no random numbers.
    #[error("cannot choose a MAC")]
    Random(#[source] io::Error),
    /// The name is another link's.
    #[error(transparent)]
    NameTaken(#[from] NameTaken),
    /// Any other refusal of the kernel.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The pod's namespace is there but can't be opened.
    #[error(transparent)]
    Netns(#[from] OpenNetnsError),
    /// Sysfs could not be read.
    #[error(transparent)]
    Sysfs(#[from] SysfsError),
}

impl From<ChildError> for CniError {
    fn from(error: ChildError) -> Self {
        let (code, advice) = judge(&error);
        Self::caused_by(code, &error, advice)
    }
}

fn judge(error: &ChildError) -> (Code, &'static str) {
    match error {
        ChildError::NameTaken(_) => (NameTaken::CODE, NameTaken::ADVICE),
        ChildError::NoParent { .. } => (
            Code::NoSuchDevice,
            "Name a link of this node, as `ip link` shows it; one that is in a pod's namespace needs \
             linkInContainer",
        ),
        ChildError::NoDefaultRoute => {
            (Code::InvalidConfig, "Name the parent, or give the node a default route")
        }
        ChildError::NoDevice { .. } => (
            Code::NoSuchDevice,
            "See `ls /sys/bus/pci/devices`; the PF's VFs may have been made anew",
        ),
        ChildError::NoNetdev { .. } => (
            Code::TryAgain,
            "Bind it to its network driver; if it is bound, it is in some pod's namespace: `lsns -t net`",
        ),
        ChildError::NoPoolLink { .. } => (
            Code::NoSuchDevice,
            "See the log of the device plugin that has the pool; deleting the pod has it made anew",
        ),
        ChildError::Mtu { .. } => (
            Code::InvalidConfig,
            "Lower `mtu`, leave it out to have the parent's, or raise the parent's",
        ),
        ChildError::ParentDown { .. } => {
            (Code::TryAgain, "Set the parent up: `ip link set dev NAME up`")
        }
        ChildError::VlanNameTaken { .. } => {
            (Code::KernelRefused, "Rename that link: names such as ls3.100 are linkspan's")
        }
        ChildError::Make { source, .. } | ChildError::MakeVlan { source, .. } => refused(source),
        ChildError::Node { .. } => (
            Code::Io,
            "The runtime's /dev must be the host's devtmpfs, where the kernel makes the node",
        ),
        ChildError::NoAddress => (Code::InvalidConfig, "Use an IPAM that gives an address"),
        ChildError::Random(_) => (Code::TryAgain, "The machine has no random numbers yet"),
        ChildError::Netlink(_)
        | ChildError::Netns(_)
        | ChildError::Sysfs(_)
        | ChildError::Home(_) => {
            (Code::KernelRefused, "See the kernel's log on the node (`dmesg`)")
        }
    }
}

fn refused(source: &NetlinkError) -> (Code, &'static str) {
    let advice = match source.errno() {
        Some(Errno::BUSY) => {
            "The parent has children of another kind, or is in a bridge or a bond: macvlan and ipvlan can't \
             share a parent, and neither can anything with passthru"
        }
        Some(Errno::EXIST) => {
            "The pod has an interface of this name already: give each of its networks its own name"
        }
        Some(Errno::OPNOTSUPP) => {
            "The kernel has no such kind of link: see `modprobe macvlan`, ipvlan, macvtap or 8021q"
        }
        Some(Errno::ADDRINUSE) => "Another link of this parent has the MAC",
        _ => "See the kernel's log on the node (`dmesg`)",
    };
    (Code::KernelRefused, advice)
}
