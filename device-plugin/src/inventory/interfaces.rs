//! What the host uses its links for.  Pure: made of what netlink says.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use linkspan_linux::{HostLinks, Link, LinkKind};
use linkspan_types::{IfName, LinkType, MacAddr};

/// The links of the host, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interfaces(HashMap<String, Interface>);

/// One link of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Whether its administrator has set it up.
    pub(crate) up: bool,
    /// Whether it has a carrier, which only a link that is up can have.
    pub(crate) carrier: bool,
    /// What the host uses it for; nothing for one that is idle, which it is also while it is up.
    pub(crate) host_use: Option<HostUse>,
    /// Whether it is the Ethernet link of a device, or a bond of such.
    pub(crate) is_wire: bool,
}

/// What the host uses a link for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostUse {
    /// A default route, of either family.
    DefaultRoute,
    /// To belong to this bond, bridge, team or VRF.
    MemberOf(String),
    /// To carry this link: a VLAN, a macvlan, ipvlan or macvtap link.
    Carries(String),
    /// To take frames for another MAC than its own, as it does for a macvlan link in another namespace.
    TakesFramesFor(MacAddr),
    /// An address. The kernel's own of IPv6, which each link has that is up, is none.
    Address(IpAddr),
}

impl Interfaces {
    pub(crate) fn of(host: &HostLinks) -> Self {
        let mut uses: HashMap<u32, HostUse> = HashMap::new();
        // What is found first is what is told.
        for index in &host.default_routes {
            uses.entry(*index).or_insert(HostUse::DefaultRoute);
        }
        let name =
            |index| host.links.iter().find(|link| link.index == index).map(|l| l.name.clone());
        for link in &host.links {
            if let Some(controller) = link.controller {
                let controller = name(controller).unwrap_or_else(|| format!("link {controller}"));
                uses.entry(link.index).or_insert(HostUse::MemberOf(controller));
            }
        }
        for (parent, child) in host.links.iter().filter_map(carried) {
            uses.entry(parent).or_insert_with(|| HostUse::Carries(child.to_owned()));
        }
        for (index, address) in &host.addresses {
            let address = address.net.addr();
            let is_automatic = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
            if !is_automatic {
                uses.entry(*index).or_insert(HostUse::Address(address));
            }
        }
        let interface = |link: &Link| Interface {
            up: link.up,
            carrier: link.carrier,
            host_use: uses.get(&link.index).cloned(),
            is_wire: is_wire(link),
        };
        Self(host.links.iter().map(|link| (link.name.clone(), interface(link))).collect())
    }

    pub(crate) fn get(&self, name: &IfName) -> Option<&Interface> {
        self.0.get(name.as_str())
    }

    /// The Ethernet links of devices, and bonds of such, in no order.
    pub(crate) fn wires(&self) -> impl Iterator<Item = IfName> {
        let wires = self.0.iter().filter(|(_, interface)| interface.is_wire);
        wires.filter_map(|(name, _)| name.parse().ok())
    }
}

fn is_wire(link: &Link) -> bool {
    let is_device_or_bond = match &link.kind {
        LinkKind::None => true,
        LinkKind::Other(kind) => kind == "bond",
        _ => false,
    };
    is_device_or_bond && link.link_type == Some(LinkType::Ether)
}

/// A link that rides on another one of the same namespace, and that one's index.
fn carried(link: &Link) -> Option<(u32, &str)> {
    // The other end of a veth pair is called its parent too.
    let rides = !link.parent_is_elsewhere && link.kind != LinkKind::Other("veth".to_owned());
    let parent = link.parent.filter(|parent| rides && *parent != link.index)?;
    Some((parent, &link.name))
}

impl fmt::Display for HostUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DefaultRoute => f.write_str("the host's default route goes by it"),
            Self::MemberOf(controller) => write!(f, "it belongs to {controller}"),
            Self::Carries(child) => write!(f, "{child} rides on it"),
            Self::TakesFramesFor(mac) => {
                write!(f, "a link with the MAC {mac} rides on it, in another network namespace")
            }
            Self::Address(address) => write!(f, "it has the host's address {address}"),
        }
    }
}

#[cfg(test)]
impl Interfaces {
    pub(crate) fn insert(&mut self, name: &str, interface: Interface) {
        self.0.insert(name.to_owned(), interface);
    }
}

#[cfg(test)]
impl FromIterator<(String, Interface)> for Interfaces {
    fn from_iter<I: IntoIterator<Item = (String, Interface)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use linkspan_linux::Address;

    use super::*;

    fn link(index: u32, name: &str) -> Link {
        Link {
            index,
            name: name.to_owned(),
            alt_names: Vec::new(),
            mac: None,
            mtu: 1500,
            up: true,
            carrier: true,
            pci: None,
            controller: None,
            kind: LinkKind::None,
            parent: None,
            parent_is_elsewhere: false,
            link_type: Some(LinkType::Ether),
            promiscuous: false,
        }
    }

    fn address(index: u32, net: &str) -> (u32, Address) {
        (index, Address { net: net.parse().unwrap(), tentative: false, duplicate: false })
    }

    #[test]
    fn each_use_is_told_and_the_gravest_first() {
        let host = HostLinks {
            links: vec![
                link(1, "idle"),
                link(2, "default"),
                Link { controller: Some(9), ..link(3, "member") },
                link(4, "lower"),
                Link { parent: Some(4), ..link(5, "lower.100") },
                link(6, "address"),
                Link { parent: Some(1), parent_is_elsewhere: true, ..link(7, "child") },
                Link { controller: Some(77), ..link(8, "strange") },
                link(9, "bond0"),
                Link {
                    parent: Some(1),
                    kind: LinkKind::Other("veth".to_owned()),
                    ..link(10, "other end")
                },
            ],
            addresses: vec![
                address(1, "fe80::1/64"),
                address(2, "192.0.2.2/24"),
                address(4, "192.0.2.4/24"),
                address(6, "2001:db8::6/64"),
                address(77, "192.0.2.77/24"),
            ],
            default_routes: vec![2, 77],
        };
        let interfaces = Interfaces::of(&host);
        let uses = |name: &str| {
            let interface = interfaces.get(&name.parse().unwrap()).unwrap();
            interface.host_use.as_ref().map(ToString::to_string)
        };
        let table = [
            ("idle", None),
            ("default", Some("the host's default route goes by it")),
            ("member", Some("it belongs to bond0")),
            ("lower", Some("lower.100 rides on it")),
            ("lower.100", None),
            ("address", Some("it has the host's address 2001:db8::6")),
            ("child", None),
            ("strange", Some("it belongs to link 77")),
        ];
        for (name, expected) in table {
            assert_eq!(uses(name).as_deref(), expected, "{name}");
        }
        assert_eq!(interfaces.get(&"gone".parse().unwrap()), None);
    }

    #[test]
    fn wires_are_ethernet_links_of_devices_and_bonds() {
        let of_kind = |index, name, kind: &str| Link {
            kind: LinkKind::Other(kind.to_owned()),
            ..link(index, name)
        };
        let links = vec![
            Link { link_type: None, ..link(1, "lo") },
            link(2, "ens1"),
            Link { link_type: Some(LinkType::Infiniband), ..link(3, "ib0") },
            Link { controller: Some(5), ..link(4, "ens2") },
            of_kind(5, "bond0", "bond"),
            of_kind(6, "br0", "bridge"),
            of_kind(7, "veth0", "veth"),
        ];
        let interfaces = Interfaces::of(&HostLinks { links, ..HostLinks::default() });
        let mut wires: Vec<String> = interfaces.wires().map(|name| name.to_string()).collect();
        wires.sort_unstable();
        assert_eq!(wires, ["bond0", "ens1", "ens2"]);
    }
}
