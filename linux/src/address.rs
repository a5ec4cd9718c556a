//! IP addresses of links.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{
    DecodeError, Emitable, NLM_F_CREATE, NLM_F_EXCL, NlasIterator, Parseable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeader, AddressMessage,
};
use rtnetlink::AddressMessageBuilder;

use crate::netlink::{NetlinkError, RouteSocket};

/// An address of a link, and what the kernel has found out about it. Only of IPv6 addresses it finds out
/// anything (duplicate address detection, RFC 4862, section 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address, with the length of its prefix.
    pub net: IpNet,
    /// Whether the kernel is not through with looking for a duplicate, or has found one: nothing can be
    /// sent from it, unless it is optimistic (RFC 4429).
    pub tentative: bool,
    /// Whether somebody else has it. It stays tentative then.
    pub duplicate: bool,
}

impl RouteSocket {
    /// Gives a link an address. An IPv6 address is optimistic: it can be used at once, while the kernel
    /// looks for a duplicate (RFC 4429). The kernel grants that only where `optimistic_dad` is set for the
    /// link or its namespace (`inet6_rtm_newaddr` in `net/ipv6/addrconf.c`); otherwise the address can be
    /// used after one to two seconds.
    pub fn add_address(&mut self, index: u32, address: IpNet) -> Result<(), NetlinkError> {
        self.add(index, address, AddressFlags::Optimistic)
    }

    /// Gives a link an address that can be used at once, whatever the link's sysctls say: for a duplicate
    /// of an IPv6 address nobody looks.
    pub fn add_address_without_dad(
        &mut self,
        index: u32,
        address: IpNet,
    ) -> Result<(), NetlinkError> {
        self.add(index, address, AddressFlags::Nodad)
    }

    /// Takes an address from a link, and with it the route to its network.
    pub fn remove_address(&mut self, index: u32, address: IpNet) -> Result<(), NetlinkError> {
        self.change(RouteNetlinkMessage::DelAddress(message(index, address)), 0, || {
            format!("take the address {address} from link {index}")
        })
    }

    fn add(&mut self, index: u32, address: IpNet, v6: AddressFlags) -> Result<(), NetlinkError> {
        let mut message = message(index, address);
        if matches!(address, IpNet::V6(_)) {
            message.attributes.push(AddressAttribute::Flags(v6));
        }
        self.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL, || {
            format!("give link {index} the address {address}")
        })
    }

    /// The addresses of a link.
    pub fn addresses(&mut self, index: u32) -> Result<Vec<Address>, NetlinkError> {
        let action = || format!("list the addresses of link {index}");
        let all = self.dump_addresses(index, action)?;
        Ok(all.into_iter().filter(|(link, _)| *link == index).map(|(_, address)| address).collect())
    }

    /// The addresses of all links, each with the index of its link.
    pub fn all_addresses(&mut self) -> Result<Vec<(u32, Address)>, NetlinkError> {
        self.dump_addresses(0, || "list the addresses of all links".to_owned())
    }

    fn dump_addresses(
        &mut self,
        index: u32,
        action: impl Fn() -> String,
    ) -> Result<Vec<(u32, Address)>, NetlinkError> {
        let mut request = AddressMessage::default();
        request.header.index = index;
        let mut all = Vec::new();
        for reply in self.dump_some(&RouteNetlinkMessage::GetAddress(request), &action)? {
            let read = parse(&reply).map_err(|e| NetlinkError::garbled(&action(), e))?;
            all.extend(read);
        }
        Ok(all)
    }
}

fn message(index: u32, address: IpNet) -> AddressMessage {
    let mut message = match address {
        IpNet::V4(net) => {
            AddressMessageBuilder::<Ipv4Addr>::new().address(net.addr(), net.prefix_len()).build()
        }
        IpNet::V6(net) => {
            AddressMessageBuilder::<Ipv6Addr>::new().address(net.addr(), net.prefix_len()).build()
        }
    };
    message.header.index = index;
    message
}

/// `IFA_LABEL` of `linux/if_addr.h`: a name, which need not be UTF-8, and the crate would take no other.
const IFA_LABEL: u16 = 3;

/// Reads an `RTM_NEWADDR` message: the link's index, and its address; nothing for an address of another family.
fn parse(reply: &[u8]) -> Result<Option<(u32, Address)>, DecodeError> {
    let header = AddressHeader::parse(reply)?;
    let (mut local, mut other, mut flags) = (None, None, AddressFlags::empty());
    for attribute in NlasIterator::new(&reply[header.buffer_len()..]) {
        let attribute = attribute?;
        if attribute.kind() == IFA_LABEL {
            continue;
        }
        match AddressAttribute::parse(&attribute)? {
            AddressAttribute::Local(ip) => local = Some(ip),
            AddressAttribute::Address(ip) => other = Some(ip),
            AddressAttribute::Flags(all) => flags = all,
            _ => {}
        }
    }
    // The link's own address: on a point-to-point link `IFA_ADDRESS` is the other end's.
    let net = local.or(other).and_then(|ip: IpAddr| IpNet::new(ip, header.prefix_len).ok());
    let address = |net| Address {
        net,
        tentative: flags.contains(AddressFlags::Tentative),
        duplicate: flags.contains(AddressFlags::Dadfailed),
    };
    Ok(net.map(|net| (header.index, address(net))))
}
