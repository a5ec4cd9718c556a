//! Links that ride on a parent, made in another namespace by one message.

use linkspan_linux::{
    Errno, Link, LinkChange, LinkKind, NetlinkError, Netns, NewKind, NewLink, RouteSocket,
};
use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::Pod;
use linkspan_types::{IfName, MacAddr, MacvlanMode, Mtu};
use serde_json::{Value, json};

use crate::{name, pod_with_link, up};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        a_child_is_born_with_all_that_it_is_to_have,
        what_is_not_asked_for_is_left_to_the_kernel,
        every_mode_reaches_the_kernel,
        a_link_that_takes_more_room_than_others_is_read_whole,
        a_child_that_can_t_be_leaves_nothing,
        promiscuous_is_what_the_administrator_has_set,
        a_child_in_another_namespace_shows_by_its_mac_while_it_is_up,
    ]
}

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0x80, 2]);
const SOURCES: [MacAddr; 2] = [MacAddr([2, 0, 0, 0, 0x80, 3]), MacAddr([2, 0, 0, 0, 0x80, 4])];

/// A parent in one pod, and another pod for its children.
struct Bed {
    host: Pod,
    parent: RouteSocket,
    parent_index: u32,
    pod: Pod,
    netns: Netns,
    inside: RouteSocket,
}

impl Bed {
    fn new(test: &str) -> Self {
        let (host, mut parent, parent_index) = pod_with_link(test);
        parent.change_link(parent_index, &up()).unwrap();
        let pod = Pod::new(test, "inside");
        let netns = Netns::open(&pod.netns()).unwrap();
        let inside = RouteSocket::open_in(&netns).unwrap();
        Self { host, parent, parent_index, pod, netns, inside }
    }

    /// Makes `net1` in the pod after `wish`, whose parent and namespace are the bed's.
    fn make(&mut self, wish: NewLink) -> Link {
        self.try_make(wish).unwrap();
        self.inside.link_by_name(&name("net1")).unwrap()
    }

    fn try_make(&mut self, wish: NewLink) -> Result<(), NetlinkError> {
        let link = NewLink { parent: self.parent_index, netns: Some(&self.netns), ..wish };
        self.parent.add_link(&link)
    }

    /// What `ip` says of the kind of `net1`.
    fn shown(&self) -> Value {
        let text = self.pod.run("ip", &["-j", "-d", "link", "show", "net1"]);
        serde_json::from_str::<Value>(&text).unwrap()[0]["linkinfo"].take()
    }
}

fn wish<'a>(name: &'a IfName, kind: NewKind<'a>) -> NewLink<'a> {
    NewLink {
        name,
        kind,
        parent: 0,
        netns: None,
        index: None,
        mac: None,
        mtu: None,
        up: false,
        queues: None,
    }
}

fn macvlan(mode: MacvlanMode) -> NewKind<'static> {
    NewKind::Macvlan { mode, sources: &[], broadcast_queue: None }
}

fn macvtap(mode: MacvlanMode) -> NewKind<'static> {
    NewKind::Macvtap { mode, sources: &[], broadcast_queue: None }
}

fn refused(result: Result<(), NetlinkError>) -> Option<Errno> {
    result.unwrap_err().errno()
}

fn a_child_is_born_with_all_that_it_is_to_have() {
    let mut bed = Bed::new("born");
    for (kind, shown) in
        [(macvlan(MacvlanMode::Bridge), "macvlan"), (macvtap(MacvlanMode::Bridge), "macvtap")]
    {
        let name = name("net1");
        let whole = NewLink {
            index: Some(4711),
            mac: Some(MAC),
            mtu: Some(Mtu::try_from(1400).unwrap()),
            up: true,
            queues: Some(3),
            ..wish(&name, kind)
        };
        let link = bed.make(whole);
        assert_eq!((link.index, link.mac, link.mtu, link.up), (4711, Some(MAC), 1400, true));
        assert_eq!((link.parent, link.parent_is_elsewhere), (Some(bed.parent_index), true));
        assert_eq!(bed.shown()["info_kind"], shown);
        let text = bed.pod.run("ip", &["-j", "-d", "link", "show", "net1"]);
        let details = &serde_json::from_str::<Value>(&text).unwrap()[0];
        assert_eq!((&details["num_tx_queues"], &details["num_rx_queues"]), (&json!(3), &json!(3)));

        bed.inside.delete_link(4711).unwrap();
        assert!(bed.inside.link(4711).unwrap_err().is_missing());
        assert!(bed.inside.delete_link(4711).unwrap_err().is_missing());
    }
}

fn what_is_not_asked_for_is_left_to_the_kernel() {
    let mut bed = Bed::new("left");
    let name = name("net1");
    let link = bed.make(wish(&name, macvlan(MacvlanMode::Bridge)));
    assert_eq!((link.mtu, link.up), (1500, false));
    assert!(link.mac.is_some_and(|mac| mac != MacAddr::default()));
    // And in the parent's own namespace.
    let near = NewLink { parent: bed.parent_index, ..wish(&name, macvlan(MacvlanMode::Bridge)) };
    bed.parent.add_link(&near).unwrap();
    let link = bed.parent.link_by_name(&name).unwrap();
    assert_eq!((link.parent, link.parent_is_elsewhere), (Some(bed.parent_index), false));
}

fn every_mode_reaches_the_kernel() {
    let mut bed = Bed::new("modes");
    let name = name("net1");
    let read = |kind| match kind {
        LinkKind::Macvlan { mode, broadcast_queue, sources }
        | LinkKind::Macvtap { mode, broadcast_queue, sources } => (mode, broadcast_queue, sources),
        other => panic!("{other:?}"),
    };
    for mode in [
        MacvlanMode::Bridge,
        MacvlanMode::Private,
        MacvlanMode::Vepa,
        MacvlanMode::Passthru,
        MacvlanMode::Source,
    ] {
        let given: &[MacAddr] = if mode == MacvlanMode::Source { &SOURCES } else { &[] };
        let (sources, broadcast_queue) = (given, Some(2000));
        for kind in [
            NewKind::Macvlan { mode, sources, broadcast_queue },
            NewKind::Macvtap { mode, sources, broadcast_queue },
        ] {
            let link = bed.make(wish(&name, kind));
            let is_tap = matches!(link.kind, LinkKind::Macvtap { .. });
            assert_eq!(is_tap, matches!(kind, NewKind::Macvtap { .. }));
            let (now, queue, mut seen) = read(link.kind);
            seen.sort_unstable();
            assert_eq!((now, queue, &seen[..]), (mode, 2000, given));
            let shown = &bed.shown()["info_data"];
            assert_eq!(shown["mode"], mode.to_string());
            if mode == MacvlanMode::Source && !is_tap {
                assert_eq!(shown["macaddr_data"].as_array().map(Vec::len), Some(2), "{shown}");
            }
            bed.inside.delete_link(link.index).unwrap();
        }
    }
}

fn a_link_that_takes_more_room_than_others_is_read_whole() {
    let mut bed = Bed::new("large");
    // 12 bytes each, more than 32 KiB together.
    let sources: Vec<MacAddr> =
        (0..3000).map(u16::to_be_bytes).map(|[a, b]| MacAddr([2, 0, 0, 0, a, b])).collect();
    let name = name("net1");
    let kind =
        NewKind::Macvlan { mode: MacvlanMode::Source, sources: &sources, broadcast_queue: None };
    let link = bed.make(wish(&name, kind));
    let LinkKind::Macvlan { sources: read, .. } = &link.kind else { panic!("{link:?}") };
    assert_eq!(read.len(), sources.len());
    assert!(bed.inside.links().unwrap().contains(&link));
    // And the socket serves on.
    assert_eq!(bed.inside.link_by_name(&name).unwrap(), link);
}

fn a_child_that_can_t_be_leaves_nothing() {
    let mut bed = Bed::new("nothing");
    let net1 = name("net1");
    let bridge = || wish(&net1, macvlan(MacvlanMode::Bridge));
    let taken = bed.inside.link_by_name(&name("lo")).unwrap().index;
    let same_index = NewLink { index: Some(taken), ..bridge() };
    assert_eq!(refused(bed.try_make(same_index)), Some(Errno::EXIST));
    let sources =
        NewKind::Macvlan { mode: MacvlanMode::Bridge, sources: &SOURCES, broadcast_queue: None };
    assert_eq!(refused(bed.try_make(wish(&net1, sources))), Some(Errno::INVAL));
    let large = NewLink { mtu: Some(Mtu::try_from(9000).unwrap()), ..bridge() };
    assert_eq!(refused(bed.try_make(large)), Some(Errno::INVAL));
    assert_eq!(bed.inside.links().unwrap().len(), 1, "only the loopback");

    bed.try_make(bridge()).unwrap();
    assert_eq!(refused(bed.try_make(bridge())), Some(Errno::EXIST));
    let orphan = NewLink { parent: 4711, ..bridge() };
    let refusal = bed.parent.add_link(&orphan).unwrap_err();
    assert!(refusal.is_missing(), "{refusal}");
    let text = refusal.to_string();
    assert!(text.starts_with("cannot make the macvlan link net1 on link 4711: "), "{text}");
}

fn promiscuous_is_what_the_administrator_has_set() {
    let mut bed = Bed::new("promisc");
    let promiscuous = |bed: &mut Bed| bed.parent.link(bed.parent_index).unwrap().promiscuous;
    assert!(!promiscuous(&mut bed));
    // A child in mode passthru asks for it too, on its own account.
    let name = name("net1");
    bed.make(NewLink { up: true, ..wish(&name, macvlan(MacvlanMode::Passthru)) });
    let counted = bed.host.run("ip", &["-j", "-d", "link", "show", "one"]);
    assert_eq!(serde_json::from_str::<Value>(&counted).unwrap()[0]["promiscuity"], 1);
    assert!(!promiscuous(&mut bed));
    for on in [true, false] {
        let change = LinkChange { promiscuous: Some(on), ..LinkChange::default() };
        bed.parent.change_link(bed.parent_index, &change).unwrap();
        assert_eq!(promiscuous(&mut bed), on);
        let flags = bed.host.link("one")["flags"].as_array().unwrap().clone();
        assert_eq!(flags.contains(&json!("PROMISC")), on);
    }
}

fn a_child_in_another_namespace_shows_by_its_mac_while_it_is_up() {
    let mut bed = Bed::new("riders");
    let others = |bed: &mut Bed| bed.parent.riders().unwrap();
    assert_eq!(others(&mut bed), []);
    let name = name("net1");
    let wish = wish(&name, macvlan(MacvlanMode::Bridge));
    let index = bed.make(NewLink { mac: Some(MAC), up: true, ..wish }).index;
    let rider = [(bed.parent_index, MAC)];
    assert_eq!(others(&mut bed), rider);
    let down = LinkChange { up: Some(false), ..LinkChange::default() };
    bed.inside.change_link(index, &down).unwrap();
    assert_eq!(others(&mut bed), []);
}
