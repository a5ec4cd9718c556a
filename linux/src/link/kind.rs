//! What a link is, as the driver that made it tells.

use linkspan_types::{IpvlanFlag, IpvlanMode, MacAddr, MacvlanMode, VlanId, VlanProtocol};
use netlink_packet_route::link as wire;
use netlink_packet_route::link::{
    InfoData, InfoIpVlan, InfoMacVlan, InfoMacVtap, InfoVlan, IpVlanFlags, IpVlanMode, LinkInfo,
    MacVlanMode,
};

/// What a link is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LinkKind {
    /// A link with a MAC of its own on its parent.
    Macvlan {
        /// How the children of one parent reach each other.
        mode: MacvlanMode,
        /// How many broadcast and multicast frames it asked its parent to hold; zero where the kernel is
        /// older than 5.11 and does not say.
        broadcast_queue: u32,
        /// The source MACs that are let in, in mode `source`, in no order.
        sources: Vec<MacAddr>,
    },
    /// A macvlan link with a character device.
    Macvtap {
        /// As for a macvlan link.
        mode: MacvlanMode,
        /// As for a macvlan link.
        broadcast_queue: u32,
        /// As for a macvlan link.
        sources: Vec<MacAddr>,
    },
    /// A link with its parent's MAC.
    Ipvlan {
        /// On which layer packets are passed on.
        mode: IpvlanMode,
        /// Whether the children of one parent reach each other.
        flag: IpvlanFlag,
    },
    /// One VLAN of its parent.
    Vlan {
        /// Which VLAN.
        id: VlanId,
        /// Which kind of tag.
        protocol: VlanProtocol,
    },
    /// Another kind, by the kernel's name for it; also one of those above in a mode that we don't know.
    Other(String),
    /// No kind: the link of a device, or the loopback.
    #[default]
    None,
}

impl LinkKind {
    /// Reads `IFLA_LINKINFO`.
    pub(super) fn from_info(info: &[LinkInfo]) -> Self {
        let kind = info.iter().find_map(|part| match part {
            LinkInfo::Kind(kind) => Some(kind),
            _ => None,
        });
        let data = info.iter().find_map(|part| match part {
            LinkInfo::Data(data) => Some(data),
            _ => None,
        });
        let known = match data {
            Some(InfoData::MacVlan(data)) => macvlan(data),
            Some(InfoData::MacVtap(data)) => macvtap(data),
            Some(InfoData::IpVlan(data)) => ipvlan(data),
            Some(InfoData::Vlan(data)) => vlan(data),
            _ => None,
        };
        known.or_else(|| kind.map(|kind| Self::Other(kind.to_string()))).unwrap_or_default()
    }
}

/// The kernel tells the same of macvlan and macvtap links; the crate has two types for it.
macro_rules! read_macvlan {
    ($name:ident, $info:ident, $kind:ident) => {
        fn $name(data: &[$info]) -> Option<LinkKind> {
            let (mut mode, mut broadcast_queue, mut sources) = (None, 0, Vec::new());
            for part in data {
                match part {
                    $info::Mode(wire) => mode = macvlan_mode(*wire),
                    $info::BcQueueLen(length) => broadcast_queue = *length,
                    $info::MacAddrData(list) => {
                        sources.extend(list.iter().filter_map(|source| match source {
                            $info::MacAddr(mac) => Some(MacAddr(*mac)),
                            _ => None,
                        }));
                    }
                    _ => {}
                }
            }
            Some(LinkKind::$kind { mode: mode?, broadcast_queue, sources })
        }
    };
}
read_macvlan!(macvlan, InfoMacVlan, Macvlan);
read_macvlan!(macvtap, InfoMacVtap, Macvtap);

fn macvlan_mode(mode: MacVlanMode) -> Option<MacvlanMode> {
    match mode {
        MacVlanMode::Bridge => Some(MacvlanMode::Bridge),
        MacVlanMode::Private => Some(MacvlanMode::Private),
        MacVlanMode::Vepa => Some(MacvlanMode::Vepa),
        MacVlanMode::Passthrough => Some(MacvlanMode::Passthru),
        MacVlanMode::Source => Some(MacvlanMode::Source),
        _ => None,
    }
}

fn ipvlan(data: &[InfoIpVlan]) -> Option<LinkKind> {
    let (mut mode, mut flag) = (None, IpvlanFlag::Bridge);
    for part in data {
        match part {
            InfoIpVlan::Mode(IpVlanMode::L2) => mode = Some(IpvlanMode::L2),
            InfoIpVlan::Mode(IpVlanMode::L3) => mode = Some(IpvlanMode::L3),
            InfoIpVlan::Mode(IpVlanMode::L3S) => mode = Some(IpvlanMode::L3s),
            InfoIpVlan::Flags(flags) if flags.contains(IpVlanFlags::Private) => {
                flag = IpvlanFlag::Private;
            }
            InfoIpVlan::Flags(flags) if flags.contains(IpVlanFlags::Vepa) => {
                flag = IpvlanFlag::Vepa;
            }
            _ => {}
        }
    }
    Some(LinkKind::Ipvlan { mode: mode?, flag })
}

fn vlan(data: &[InfoVlan]) -> Option<LinkKind> {
    let (mut id, mut protocol) = (None, VlanProtocol::Dot1Q);
    for part in data {
        match part {
            InfoVlan::Id(number) => id = VlanId::try_from(*number).ok(),
            InfoVlan::Protocol(wire::VlanProtocol::Ieee8021Ad) => protocol = VlanProtocol::Dot1Ad,
            _ => {}
        }
    }
    Some(LinkKind::Vlan { id: id?, protocol })
}
