//! What kind of frames a NIC's link carries.

use crate::text::named;

/// The type of a link, by the names that iproute2 has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// Ethernet.
    Ether,
    /// IP over `InfiniBand`.
    Infiniband,
}

named!(LinkType, "a link type: ether or infiniband", Ether = "ether", Infiniband = "infiniband",);

impl LinkType {
    /// The type of that number (`ARPHRD_*` in the kernel's `if_arp.h`), as `type` has it in sysfs;
    /// nothing for one that no NIC on a PCI bus has.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Ether),
            32 => Some(Self::Infiniband),
            _ => None,
        }
    }
}
