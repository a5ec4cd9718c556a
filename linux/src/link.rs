//! Network links: what they are now, and the few messages that change them.

mod kind;

use std::os::fd::{AsFd, AsRawFd};

use linkspan_types::{IfName, LinkType, MacAddr, Mtu, PciAddress};
use netlink_packet_core::{Emitable, NLM_F_EXCL, NlasIterator, ParseableParametrized};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkExtentMask, LinkFlags,
    LinkHeader, LinkMessage, Prop,
};
use rtnetlink::LinkUnspec;

use crate::netlink::{NetlinkError, RouteSocket, text_of};
use crate::netns::Netns;

pub use kind::LinkKind;

/// A link as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Link {
    /// The number that names it within its namespace; it keeps it when it moves, unless the number is taken
    /// where it goes.
    pub index: u32,
    /// Its name. Not an [`IfName`]: what others called a link need not be a name that we would give. Bytes that are
    /// no UTF-8 are replaced, which no [`IfName`] has, so that no other link is taken for this one.
    pub name: String,
    /// Its other names.
    pub alt_names: Vec<String>,
    /// Its Ethernet address; none for a link of another type.
    pub mac: Option<MacAddr>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it was set up by its administrator.
    pub up: bool,
    /// Whether it has a carrier, which only a link that is up can have, and the kernel sends what it is given:
    /// that comes a moment later (`linkwatch_do_dev` in `net/core/link_watch.c`).
    pub carrier: bool,
    /// The PCI function that it is the netdev of (kernel 5.14 and newer).
    pub pci: Option<PciAddress>,
    /// The index of the bond, bridge or VRF that it belongs to.
    pub controller: Option<u32>,
    /// What it is.
    pub kind: LinkKind,
    /// The link that it rides on, by its index in that link's own namespace; of a veth, the other end.
    pub parent: Option<u32>,
    /// Whether the parent is in another namespace than the link.
    pub parent_is_elsewhere: bool,
    /// What it carries; nothing for one that is no NIC's, such as the loopback. The hardware address of an
    /// `InfiniBand` link has 20 bytes, and nothing rides on it that expects Ethernet.
    pub link_type: Option<LinkType>,
    /// Whether its administrator has asked for promiscuous mode, which is what [`LinkChange`] sets and takes
    /// back. Bridges, macvlan links in mode `passthru` and captures ask for it on their own account, which
    /// does not show here.
    pub promiscuous: bool,
}

/// Changes to a link that go to the kernel as one message. It applies them one after the other, in an order
/// that its versions don't agree on (`do_setlink` in `net/core/rtnetlink.c`), and those before a failing one
/// stay: after a failure the link may have moved or not.
#[derive(Clone, Debug, Default)]
pub struct LinkChange<'a> {
    /// The namespace to move to; a link that is up goes down as it moves.
    pub netns: Option<&'a Netns>,
    /// The new Ethernet address.
    pub mac: Option<MacAddr>,
    /// The new MTU.
    pub mtu: Option<Mtu>,
    /// The new name. A link that moves has it from the moment it arrives.
    pub name: Option<&'a IfName>,
    /// Up or down.
    pub up: Option<bool>,
    /// Whether it takes frames for any MAC, on the administrator's account.
    pub promiscuous: Option<bool>,
    /// That it gives itself no IPv6 address when it comes up, and so says nothing by IPv6. The kernel changes this after
    /// all else, so that a link that is to come up has to have it before.
    pub no_own_ipv6: bool,
}

impl RouteSocket {
    /// The link with this index.
    pub fn link(&mut self, index: u32) -> Result<Link, NetlinkError> {
        let mut message = request();
        message.header.index = index;
        self.get_link(message, || format!("look at link {index}"))
    }

    /// The link with this name; other names don't count.
    pub fn link_by_name(&mut self, name: &IfName) -> Result<Link, NetlinkError> {
        let mut message = request();
        message.attributes.push(LinkAttribute::IfName(name.to_string()));
        self.get_link(message, || format!("look at link {name}"))
    }

    /// All links of the namespace.
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let action = || "list the links".to_owned();
        let replies = self.dump(&RouteNetlinkMessage::GetLink(request()), action)?;
        replies.iter().map(|reply| Link::parse(reply, &action())).collect()
    }

    /// The netdev of a PCI function, if it has one in this namespace.
    pub fn link_of(&mut self, device: PciAddress) -> Result<Option<Link>, NetlinkError> {
        Ok(self.links()?.into_iter().find(|link| link.pci == Some(device)))
    }

    /// Changes a link by one message; none is sent where nothing is to change.
    pub fn change_link(&mut self, index: u32, change: &LinkChange) -> Result<(), NetlinkError> {
        if change.is_empty() {
            return Ok(());
        }
        let mut builder = LinkUnspec::new_with_index(index);
        if let Some(netns) = change.netns {
            builder = builder.setns_by_fd(netns.as_fd().as_raw_fd());
        }
        if let Some(mac) = change.mac {
            builder = builder.address(mac.0.to_vec());
        }
        if let Some(mtu) = change.mtu {
            builder = builder.mtu(mtu.into());
        }
        if let Some(name) = change.name {
            builder = builder.name(name.as_str());
        }
        builder = match change.up {
            Some(true) => builder.up(),
            Some(false) => builder.down(),
            None => builder,
        };
        if let Some(promiscuous) = change.promiscuous {
            builder = builder.promiscuous(promiscuous);
        }
        if change.no_own_ipv6 {
            let of_ipv6 = vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)];
            let families = vec![AfSpecUnspec::Inet6(of_ipv6)];
            builder = builder.append_extra_attribute(LinkAttribute::AfSpecUnspec(families));
        }
        let message = RouteNetlinkMessage::SetLink(builder.build());
        self.change(message, 0, || change.describe(index))
    }

    /// Gives a link another name beside its own.
    pub fn add_alt_name(&mut self, index: u32, name: &str) -> Result<(), NetlinkError> {
        let message = RouteNetlinkMessage::NewLinkProp(alt_name(index, name));
        self.change(message, NLM_F_EXCL, || format!("give link {index} the other name {name}"))
    }

    /// Takes one of a link's other names away.
    pub fn remove_alt_name(&mut self, index: u32, name: &str) -> Result<(), NetlinkError> {
        let message = RouteNetlinkMessage::DelLinkProp(alt_name(index, name));
        self.change(message, 0, || format!("take the other name {name} from link {index}"))
    }

    fn get_link(
        &mut self,
        message: LinkMessage,
        action: impl Fn() -> String,
    ) -> Result<Link, NetlinkError> {
        let reply = self.get(RouteNetlinkMessage::GetLink(message), &action)?;
        Link::parse(&reply, &action())
    }
}

impl LinkChange<'_> {
    fn is_empty(&self) -> bool {
        let Self { netns, mac, mtu, name, up, promiscuous, no_own_ipv6 } = self;
        netns.is_none()
            && mac.is_none()
            && mtu.is_none()
            && name.is_none()
            && up.is_none()
            && promiscuous.is_none()
            && !no_own_ipv6
    }

    fn describe(&self, index: u32) -> String {
        let mut parts = Vec::new();
        parts.extend(self.netns.map(|_| "another namespace".to_owned()));
        parts.extend(self.name.map(|name| format!("name {name}")));
        parts.extend(self.mac.map(|mac| format!("MAC {mac}")));
        parts.extend(self.mtu.map(|mtu| format!("MTU {mtu}")));
        let modes = |on| if on { "promiscuous mode" } else { "no promiscuous mode" }.to_owned();
        parts.extend(self.promiscuous.map(modes));
        parts.extend(self.no_own_ipv6.then(|| "no IPv6 address of its own".to_owned()));
        parts.extend(self.up.map(|up| if up { "up" } else { "down" }.to_owned()));
        format!("change link {index} to {}", parts.join(", "))
    }
}

impl Link {
    /// Reads only those attributes that are of use here: of the 60 that the kernel tells of a link, the others
    /// take ten times as long.
    fn parse(reply: &[u8], action: &str) -> Result<Self, NetlinkError> {
        let garbled = |e| NetlinkError::garbled(action, e);
        let header = LinkHeader::parse(reply).map_err(garbled)?;
        let mut link = Self::of(&header);
        for attribute in NlasIterator::new(&reply[header.buffer_len()..]) {
            let attribute = attribute.map_err(garbled)?;
            match attribute.kind() {
                // The crate would take no name that is not UTF-8, and one such link would hide all the others.
                IFLA_IFNAME => link.name = text_of(&attribute),
                IFLA_PROP_LIST => link.alt_names = alt_names(attribute.value()),
                kind if READ.contains(&kind) => {
                    let family = header.interface_family;
                    let read = LinkAttribute::parse_with_param(&attribute, family);
                    link.read(read.map_err(garbled)?);
                }
                _ => {}
            }
        }
        Ok(link)
    }

    fn of(header: &LinkHeader) -> Self {
        Self {
            index: header.index,
            name: String::new(),
            alt_names: Vec::new(),
            mac: None,
            mtu: 0,
            up: header.flags.contains(LinkFlags::Up),
            carrier: header.flags.contains(LinkFlags::LowerUp | LinkFlags::Running),
            pci: None,
            controller: None,
            kind: LinkKind::None,
            parent: None,
            parent_is_elsewhere: false,
            link_type: LinkType::from_number(header.link_layer_type.into()),
            promiscuous: header.flags.contains(LinkFlags::Promisc),
        }
    }

    fn read(&mut self, attribute: LinkAttribute) {
        match attribute {
            LinkAttribute::Address(bytes) => {
                self.mac = bytes.as_slice().try_into().ok().map(MacAddr);
            }
            LinkAttribute::Mtu(mtu) => self.mtu = mtu,
            LinkAttribute::Controller(index) => self.controller = Some(index),
            LinkAttribute::LinkInfo(info) => self.kind = LinkKind::from_info(&info),
            LinkAttribute::Link(index) => self.parent = Some(index),
            LinkAttribute::LinkNetNsId(_) => self.parent_is_elsewhere = true,
            LinkAttribute::ParentDevName(device) => self.pci = device.parse().ok(),
            _ => {}
        }
    }
}

// Of `linux/if_link.h`.
const IFLA_IFNAME: u16 = 3;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;

/// The other attributes that a [`Link`] is read from: `IFLA_ADDRESS`, `MTU`, `LINK`, `MASTER`, `LINKINFO`,
/// `LINK_NETNSID` and `PARENT_DEV_NAME`.
const READ: [u16; 7] = [1, 4, 5, 10, 18, 37, 56];

fn alt_names(properties: &[u8]) -> Vec<String> {
    let properties = NlasIterator::new(properties).map_while(Result::ok);
    properties.filter(|property| property.kind() == IFLA_ALT_IFNAME).map(|p| text_of(&p)).collect()
}

/// A request that keeps the kernel from filling in counters that nobody reads.
fn request() -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    message
}

fn alt_name(index: u32, name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::PropList(vec![Prop::AltIfName(name.to_owned())]));
    message
}
