//! What the links of a namespace are used for there: one look at all of them, with addresses and default routes.

use crate::address::Address;
use crate::link::Link;
use crate::netlink::{NetlinkError, RouteSocket};

/// The links of a namespace, as plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostLinks {
    /// The links.
    pub links: Vec<Link>,
    /// Their addresses, each with the index of its link.
    pub addresses: Vec<(u32, Address)>,
    /// The indices of the links that a default route of the main table goes by.
    pub default_routes: Vec<u32>,
}

impl HostLinks {
    /// Looks at the links of the calling thread's network namespace.
    pub fn look() -> Result<Self, NetlinkError> {
        let mut socket = RouteSocket::open()?;
        Ok(Self {
            links: socket.links()?,
            addresses: socket.all_addresses()?,
            default_routes: socket.default_route_links()?,
        })
    }
}
