//! The only code that talks to the kernel: routing netlink, network namespaces, per-link sysctls, PCI sysfs.
//!
//! What to do is decided elsewhere, over plain data; here it is asked and done, one exact message a step.
//! The netlink crates stay behind the types of this crate: they change often, and nobody else sees them.

mod address;
mod announce;
mod arp;
mod boottime;
mod child;
mod devlink;
mod host;
mod link;
mod link_events;
mod netdevice;
mod netlink;
mod netns;
mod node_events;
mod packet;
mod process;
mod random;
mod readable;
mod rename;
mod riders;
mod route;
mod signals;
pub mod sysctl;
mod vf;

pub use address::Address;
pub use announce::Audience;
pub use arp::{ArpProbe, probe};
pub use boottime::{Alarm, since_boot};
pub use child::{NewKind, NewLink, free_index, is_free_index};
pub use devlink::{DevlinkSocket, RunningVersion};
pub use host::HostLinks;
pub use link::{Link, LinkChange, LinkKind};
pub use link_events::{LinkEvents, wait_for_dad};
pub use netdevice::LinkBasics;
pub use netlink::{Errno, NetlinkError, RouteSocket};
pub use netns::{Netns, NetnsId, OpenNetnsError};
pub use node_events::NodeEvents;
pub use packet::{Closer, DhcpSocket, Heard, LeaseSocket, hear_lldp};
pub use process::{allow_all_descriptors, inherited_listener, program_behind};
pub use random::{random_below, random_mac, random_number};
pub use rename::rename_new;
pub use route::Route;
pub use signals::EndSignals;
pub use vf::{SetVfError, VfChange, VfSettings, VfTraffic};

pub mod inotify;
pub mod network_events;
pub mod pci;
pub mod uevent;
