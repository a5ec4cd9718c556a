//! Values that can't be wrong: text is parsed into one of these once, at the edge of a program,
//! and is never checked again.

mod child;
mod if_name;
mod mac;
mod mtu;
mod pci;
mod text;
mod vf;
mod vlan;

pub use child::{IpvlanFlag, IpvlanMode, MacvlanMode};
pub use if_name::IfName;
pub use mac::MacAddr;
pub use mtu::Mtu;
pub use pci::PciAddress;
pub use text::ParseError;
pub use vf::{LinkState, Rates};
pub use vlan::{VlanId, VlanPriority, VlanProtocol, VlanRange, VlanTag};
