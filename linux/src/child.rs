//! Making and deleting links that ride on a parent: macvlan, macvtap, ipvlan and VLAN links.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use linkspan_types::{IfName, IpvlanFlag, IpvlanMode, MacAddr, MacvlanMode, Mtu, VlanId};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoIpVlan, InfoKind, InfoMacVlan, InfoVlan, IpVlanFlags, IpVlanMode, LinkAttribute,
    LinkMessage, MacVlanMacAddressMode, MacVlanMode,
};
use rtnetlink::{LinkMessageBuilder, LinkUnspec};

use crate::netlink::{NetlinkError, RouteSocket};
use crate::netns::Netns;
use crate::random::random_below;

/// Higher indexes than the kernel comes to by counting.
const LARGE_INDEX: u32 = 1 << 30;

/// A link that is to be made on top of another.
#[derive(Clone, Copy, Debug)]
pub struct NewLink<'a> {
    /// The name that it has from the first moment.
    pub name: &'a IfName,
    /// What it is to be.
    pub kind: NewKind<'a>,
    /// The link that it rides on, by its index in the socket's namespace.
    pub parent: u32,
    /// The namespace in which it appears, where that is not the socket's; the parent stays in the socket's.
    pub netns: Option<&'a Netns>,
    /// The index that it is to have; none leaves it to the kernel. Kernels before 6.14 look in the wrong place
    /// for a link that exists already, the socket's namespace: with an index for one that has it, and without
    /// for one that has the name.
    pub index: Option<u32>,
    /// Its Ethernet address; none leaves it to the kernel, which makes one up for a macvlan or macvtap link
    /// and takes the parent's for the others. An ipvlan link has its parent's whatever is asked for.
    pub mac: Option<MacAddr>,
    /// Its MTU; none takes the parent's, which is also the most that is allowed.
    pub mtu: Option<Mtu>,
    /// Whether it is up from the first moment.
    pub up: bool,
    /// How many queues it has in each direction, 1 to 4096; none is one.
    pub queues: Option<u32>,
}

/// The kinds of links that ride on a parent, and how each shares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKind<'a> {
    /// A link with a MAC of its own.
    Macvlan {
        /// How the children of one parent reach each other.
        mode: MacvlanMode,
        /// The source MACs that are let in, in mode `source` alone: any other mode refuses them.
        sources: &'a [MacAddr],
        /// How many broadcast and multicast frames may wait for the parent's children (kernel 5.11 and
        /// newer; older ones pass it over); none is 1000. The largest that a child asks for holds.
        broadcast_queue: Option<u32>,
    },
    /// A macvlan link with a character device, `/dev/tapN` of its index, for a virtual machine.
    Macvtap {
        /// As for a macvlan link.
        mode: MacvlanMode,
        /// As for a macvlan link.
        sources: &'a [MacAddr],
        /// As for a macvlan link.
        broadcast_queue: Option<u32>,
    },
    /// A link with its parent's MAC. All children of one parent have the mode and the flag of the last.
    Ipvlan {
        /// On which layer packets are passed on.
        mode: IpvlanMode,
        /// Whether the children of one parent reach each other.
        flag: IpvlanFlag,
    },
    /// The parent's frames of one IEEE 802.1Q VLAN, without their tags.
    Vlan {
        /// Which VLAN.
        id: VlanId,
    },
}

/// An index that no link has, had or will have in any namespace, as far as chance goes.
pub fn free_index() -> io::Result<u32> {
    Ok(random_below(LARGE_INDEX)? | LARGE_INDEX)
}

/// Whether an index is one of those that [`free_index`] gives: the kernel has other links than ours count there.
#[must_use]
pub fn is_free_index(index: u32) -> bool {
    index & LARGE_INDEX != 0
}

impl RouteSocket {
    /// Makes a link, whole, by one message: where that fails, there is none.
    pub fn add_link(&mut self, link: &NewLink) -> Result<(), NetlinkError> {
        let message = RouteNetlinkMessage::NewLink(message(link));
        self.change(message, NLM_F_CREATE | NLM_F_EXCL, || {
            let (kind, _) = link.kind.info();
            format!("make the {kind} link {} on link {}", link.name, link.parent)
        })
    }

    /// Deletes a link that somebody has made; that of a device refuses.
    pub fn delete_link(&mut self, index: u32) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_index(index).build();
        self.change(RouteNetlinkMessage::DelLink(message), 0, || format!("delete link {index}"))
    }
}

fn message(link: &NewLink) -> LinkMessage {
    let (kind, data) = link.kind.info();
    let mut builder = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(kind)
        .set_info_data(data)
        .name(link.name.as_str())
        .link(link.parent);
    if let Some(netns) = link.netns {
        builder = builder.setns_by_fd(netns.as_fd().as_raw_fd());
    }
    if let Some(index) = link.index {
        builder = builder.index(index);
    }
    if let Some(mac) = link.mac {
        builder = builder.address(mac.0.to_vec());
    }
    if let Some(mtu) = link.mtu {
        builder = builder.mtu(mtu.into());
    }
    if link.up {
        builder = builder.up();
    }
    if let Some(queues) = link.queues {
        builder = builder
            .append_extra_attribute(LinkAttribute::NumTxQueues(queues))
            .append_extra_attribute(LinkAttribute::NumRxQueues(queues));
    }
    builder.build()
}

impl NewKind<'_> {
    fn info(&self) -> (InfoKind, InfoData) {
        match *self {
            Self::Macvlan { mode, sources, broadcast_queue } => {
                (InfoKind::MacVlan, macvlan(mode, sources, broadcast_queue))
            }
            // The kernel reads the same attributes for both (`macvtap_newlink` in `drivers/net/macvtap.c`).
            Self::Macvtap { mode, sources, broadcast_queue } => {
                (InfoKind::MacVtap, macvlan(mode, sources, broadcast_queue))
            }
            Self::Ipvlan { mode, flag } => (InfoKind::IpVlan, ipvlan(mode, flag)),
            Self::Vlan { id } => (InfoKind::Vlan, InfoData::Vlan(vec![InfoVlan::Id(id.into())])),
        }
    }
}

fn macvlan(mode: MacvlanMode, sources: &[MacAddr], broadcast_queue: Option<u32>) -> InfoData {
    let mut data = vec![InfoMacVlan::Mode(match mode {
        MacvlanMode::Bridge => MacVlanMode::Bridge,
        MacvlanMode::Private => MacVlanMode::Private,
        MacvlanMode::Vepa => MacVlanMode::Vepa,
        MacvlanMode::Passthru => MacVlanMode::Passthrough,
        MacvlanMode::Source => MacVlanMode::Source,
    })];
    data.extend(broadcast_queue.map(InfoMacVlan::BcQueueLen));
    if !sources.is_empty() {
        let list = sources.iter().map(|mac| InfoMacVlan::MacAddr(mac.0)).collect();
        data.push(InfoMacVlan::MacAddrMode(MacVlanMacAddressMode::Set));
        data.push(InfoMacVlan::MacAddrData(list));
    }
    InfoData::MacVlan(data)
}

fn ipvlan(mode: IpvlanMode, flag: IpvlanFlag) -> InfoData {
    let mode = match mode {
        IpvlanMode::L2 => IpVlanMode::L2,
        IpvlanMode::L3 => IpVlanMode::L3,
        IpvlanMode::L3s => IpVlanMode::L3S,
    };
    let flags = match flag {
        IpvlanFlag::Bridge => IpVlanFlags::empty(),
        IpvlanFlag::Private => IpVlanFlags::Private,
        IpvlanFlag::Vepa => IpVlanFlags::Vepa,
    };
    InfoData::IpVlan(vec![InfoIpVlan::Mode(mode), InfoIpVlan::Flags(flags)])
}
