//! IP addresses of links.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, Parseable};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::AddressMessageBuilder;

use crate::netlink::{NetlinkError, RouteSocket};

impl RouteSocket {
    /// Gives a link an address. An IPv6 address is optimistic: it can be used at once, while the kernel
    /// looks for a duplicate (RFC 4429), where the namespace's `optimistic_dad` allows it.
    pub fn add_address(&mut self, index: u32, address: IpNet) -> Result<(), NetlinkError> {
        let mut message = match address {
            IpNet::V4(net) => AddressMessageBuilder::<std::net::Ipv4Addr>::new()
                .address(net.addr(), net.prefix_len())
                .build(),
            IpNet::V6(net) => AddressMessageBuilder::<std::net::Ipv6Addr>::new()
                .address(net.addr(), net.prefix_len())
                .build(),
        };
        message.header.index = index;
        if matches!(address, IpNet::V6(_)) {
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Optimistic));
        }
        self.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL, || {
            format!("give link {index} the address {address}")
        })
    }

    /// The addresses of a link.
    pub fn addresses(&mut self, index: u32) -> Result<Vec<IpNet>, NetlinkError> {
        let action = || format!("list the addresses of link {index}");
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let mut all = Vec::new();
        for reply in self.dump(&request, action)? {
            let message = AddressMessage::parse(reply.as_slice())
                .map_err(|e| NetlinkError::garbled(&action(), e))?;
            if message.header.index == index {
                all.extend(address_of(&message));
            }
        }
        Ok(all)
    }
}

/// The link's own address: on a point-to-point link `IFA_ADDRESS` is the other end's.
fn address_of(message: &AddressMessage) -> Option<IpNet> {
    let find = |local: bool| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(ip) if local => Some(*ip),
            AddressAttribute::Address(ip) if !local => Some(*ip),
            _ => None,
        })
    };
    let ip: IpAddr = find(true).or_else(|| find(false))?;
    IpNet::new(ip, message.header.prefix_len).ok()
}
