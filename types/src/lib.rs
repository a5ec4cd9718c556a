//! Values that can't be wrong: text is parsed into one of these once, at the edge of a program,
//! and is never checked again.

mod auxiliary;
mod child;
mod hash;
mod if_name;
mod infiniband;
mod link_type;
mod mac;
mod mtu;
mod pci;
mod pool_link;
mod text;
mod vdpa;
mod vf;
mod vlan;

pub use auxiliary::SubFunction;
pub use child::{IpvlanFlag, IpvlanMode, MacvlanMode};
pub use hash::fnv_1a;
pub use if_name::IfName;
pub use infiniband::PartitionKey;
pub use link_type::LinkType;
pub use mac::MacAddr;
pub use mtu::Mtu;
pub use pci::{PciAddress, PcieRoot};
pub use text::ParseError;
pub use vdpa::VdpaType;
pub use vf::{LinkState, Rates};
pub use vlan::{VlanId, VlanPriority, VlanProtocol, VlanRange, VlanTag};
