//! The links that take kernel modules which not every machine has: ipvlan and VLAN; and what older kernels
//! than this machine's may do otherwise.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::ExitCode;

use linkspan_linux::{
    Audience, Errno, Link, LinkKind, NetlinkError, Netns, NewKind, NewLink, RouteSocket, free_index,
};
use linkspan_tests::cases;
use linkspan_tests::harness::{self, Need};
use linkspan_tests::pods::Pod;
use linkspan_types::{IfName, IpvlanFlag, IpvlanMode, MacAddr, MacvlanMode, VlanId, VlanProtocol};
use serde_json::Value;

fn main() -> ExitCode {
    harness::main(cases![&[Need::Root];
        every_mode_and_flag_of_ipvlan_reaches_the_kernel,
        children_of_one_ipvlan_parent_have_the_mode_of_the_last,
        two_children_share_a_vlan,
        a_name_of_the_parents_namespace_is_free_in_the_pods,
    ])
}

/// A dummy link, `up0`, in one pod, and another pod for what rides on it.
struct Bed {
    host: Pod,
    socket: RouteSocket,
    parent: u32,
    pod: Pod,
    netns: Netns,
    inside: RouteSocket,
}

impl Bed {
    fn new(test: &str) -> Self {
        let (host, pod) = (Pod::new(test, "host"), Pod::new(test, "pod"));
        host.run("ip", &["link", "add", "up0", "up", "type", "dummy"]);
        let mut socket = RouteSocket::open_in(&Netns::open(&host.netns()).unwrap()).unwrap();
        let parent = socket.link_by_name(&name("up0")).unwrap().index;
        let netns = Netns::open(&pod.netns()).unwrap();
        let inside = RouteSocket::open_in(&netns).unwrap();
        Self { host, socket, parent, pod, netns, inside }
    }

    /// Makes a link in the pod.
    fn try_make(&mut self, name: &IfName, kind: NewKind) -> Result<(), NetlinkError> {
        let link = NewLink {
            netns: Some(&self.netns),
            index: Some(free_index().unwrap()),
            up: true,
            ..new(name, kind, self.parent)
        };
        self.socket.add_link(&link)
    }

    fn make(&mut self, text: &str, kind: NewKind) -> Link {
        self.try_make(&name(text), kind).unwrap();
        self.inside.link_by_name(&name(text)).unwrap()
    }

    /// Gives a link in the pod addresses, and announces them, which is no error where there is no ARP.
    fn announce(&mut self, link: &Link, addresses: &[&str]) {
        let all: Vec<_> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        for address in &all {
            self.inside.add_address_without_dad(link.index, *address).unwrap();
        }
        let mac = link.mac.unwrap();
        let announced = self
            .netns
            .within(|| self.inside.announce(link.index, mac, &all, Audience::Nodes))
            .unwrap();
        assert!(announced.is_ok(), "{:?}: {announced:?}", link.kind);
    }

    /// What `ip` says of the kind of a link in the pod.
    fn shown(&self, link: &str) -> Value {
        let text = self.pod.run("ip", &["-j", "-d", "link", "show", link]);
        serde_json::from_str::<Value>(&text).unwrap()[0]["linkinfo"].take()
    }
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn new<'a>(name: &'a IfName, kind: NewKind<'a>, parent: u32) -> NewLink<'a> {
    NewLink {
        name,
        kind,
        parent,
        netns: None,
        index: None,
        mac: None,
        mtu: None,
        up: false,
        queues: None,
    }
}

const MACVLAN: NewKind =
    NewKind::Macvlan { mode: MacvlanMode::Bridge, sources: &[], broadcast_queue: None };

fn every_mode_and_flag_of_ipvlan_reaches_the_kernel() {
    let mut bed = Bed::new("ipvlan");
    for mode in [IpvlanMode::L2, IpvlanMode::L3, IpvlanMode::L3s] {
        for flag in [IpvlanFlag::Bridge, IpvlanFlag::Private, IpvlanFlag::Vepa] {
            let link = bed.make("net1", NewKind::Ipvlan { mode, flag });
            assert_eq!(link.kind, LinkKind::Ipvlan { mode, flag });
            assert_eq!((link.parent, link.parent_is_elsewhere), (Some(bed.parent), true));
            assert!(link.up);
            assert_eq!(link.mac, bed.socket.link(bed.parent).unwrap().mac);
            bed.announce(&link, &["10.91.0.2/24", "fd00:91::2/64"]);
            let shown = bed.shown("net1");
            assert_eq!(shown["info_data"]["mode"], mode.to_string(), "{shown}");
            assert!(shown.to_string().contains(&flag.to_string()), "{shown}");
            bed.inside.delete_link(link.index).unwrap();
        }
    }
    // A MAC of its own it can't have.
    let name = name("net1");
    let kind = NewKind::Ipvlan { mode: IpvlanMode::L2, flag: IpvlanFlag::Bridge };
    let own = NewLink { mac: Some(MacAddr([2, 0, 0, 0, 0x90, 1])), ..new(&name, kind, bed.parent) };
    bed.socket.add_link(&own).unwrap();
    let parent = bed.socket.link(bed.parent).unwrap();
    assert_eq!(bed.socket.link_by_name(&name).unwrap().mac, parent.mac);
}

fn children_of_one_ipvlan_parent_have_the_mode_of_the_last() {
    let mut bed = Bed::new("last");
    let l2 = bed.make("net1", NewKind::Ipvlan { mode: IpvlanMode::L2, flag: IpvlanFlag::Bridge });
    let last = NewKind::Ipvlan { mode: IpvlanMode::L3, flag: IpvlanFlag::Private };
    let l3 = bed.make("net2", last);
    assert_eq!(bed.inside.link(l2.index).unwrap().kind, l3.kind);
}

fn two_children_share_a_vlan() {
    let mut bed = Bed::new("vlan");
    let id = VlanId::try_from(4094).unwrap();
    let vlan_name = name("up0.4094");
    bed.socket
        .add_link(&NewLink { up: true, ..new(&vlan_name, NewKind::Vlan { id }, bed.parent) })
        .unwrap();
    let vlan = bed.socket.link_by_name(&vlan_name).unwrap();
    assert_eq!(vlan.kind, LinkKind::Vlan { id, protocol: VlanProtocol::Dot1Q });
    assert_eq!((vlan.parent, vlan.parent_is_elsewhere, vlan.up), (Some(bed.parent), false, true));
    let again = bed.socket.add_link(&new(&name("up0.2"), NewKind::Vlan { id }, bed.parent));
    assert_eq!(again.unwrap_err().errno(), Some(Errno::EXIST));

    bed.parent = vlan.index;
    for child in ["net1", "net2"] {
        assert_eq!(bed.make(child, MACVLAN).parent, Some(vlan.index));
    }
    // They go with it.
    bed.socket.delete_link(vlan.index).unwrap();
    assert_eq!(bed.inside.links().unwrap().len(), 1);
    bed.host.run(
        "ip",
        &["link", "add", "link", "up0", "up0.7", "type", "vlan", "proto", "802.1ad", "id", "7"],
    );
    let kind = bed.socket.link_by_name(&name("up0.7")).unwrap().kind;
    let id = VlanId::try_from(7).unwrap();
    assert_eq!(kind, LinkKind::Vlan { id, protocol: VlanProtocol::Dot1Ad });
}

fn a_name_of_the_parents_namespace_is_free_in_the_pods() {
    let mut bed = Bed::new("namesake");
    let link = bed.make("up0", MACVLAN);
    assert_eq!((link.parent, link.up), (Some(bed.parent), true));
    let again = bed.try_make(&name("up0"), MACVLAN);
    assert_eq!(again.unwrap_err().errno(), Some(Errno::EXIST));
    assert_eq!(bed.inside.links().unwrap().len(), 2, "the loopback and the link");
}
