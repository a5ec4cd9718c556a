//! The kinds of attachment: what differs between them.

pub mod child;
pub mod pool;
mod put;
pub mod sriov;

use std::fmt;

use linkspan_types::{IfName, PciAddress};
use serde::{Deserialize, Serialize};

use child::ChildRecord;
use pool::PoolRecord;
pub use put::{Found, Plan, Way};
use sriov::VfRecord;

/// What the journal keeps of an attachment's link: all that it takes to undo it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkRecord {
    /// A VF that moves into the pod.
    Vf(VfRecord),
    /// A link that is made for the pod.
    Child(ChildRecord),
    /// A link of a pool that moves into the pod.
    Pool(PoolRecord),
}

/// What of the node an attachment has for itself, or has a share in.
///
/// It is the last part of the name of the attachment's record and the name of a lock, so it has no `/` and
/// no `=` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// No more than its own link.
    Nothing,
    /// A VF, for itself.
    Device(PciAddress),
    /// A link of the host that a device plugin made for it, for itself.
    PoolLink(IfName),
    /// A share in a VLAN sub-interface.
    Vlan(IfName),
}

impl LinkRecord {
    /// What the attachment claims.
    #[must_use]
    pub fn claim(&self) -> Claim {
        match self {
            Self::Vf(vf) => Claim::Device(vf.device),
            Self::Child(child) => child.claim(),
            Self::Pool(link) => Claim::PoolLink(link.name.clone()),
        }
    }
}

impl LinkRecord {
    /// The device that the attachment was given, as configurations name it.
    #[must_use]
    pub fn device(&self) -> Option<String> {
        match self {
            Self::Vf(vf) => Some(vf.device.to_string()),
            Self::Child(child) => child.vf.map(|vf| vf.device.to_string()),
            Self::Pool(link) => Some(link.device.clone()),
        }
    }
}

impl Claim {
    /// Whether no other attachment can have the same claim.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        matches!(self, Self::Device(_) | Self::PoolLink(_))
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("-"),
            Self::Device(device) => device.fmt(f),
            // An interface's name may have a `=` in it, which is not a good end of a record's name.
            Self::PoolLink(name) | Self::Vlan(name) => {
                f.write_str(&name.as_str().replace('=', "_"))
            }
        }
    }
}
