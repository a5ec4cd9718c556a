//! The crate linux against this machine's kernel: links, addresses, routes and namespaces, each read back by
//! `ip`. Everything happens in namespaces of the test's own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod addresses;
mod children;
mod host;
mod neighbours;
mod packets;
mod routes;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use linkspan_linux::{Errno, LinkBasics, LinkChange, LinkEvents, Netns, RouteSocket};
use linkspan_tests::cases;
use linkspan_tests::harness::{self, Need};
use linkspan_tests::pods::Pod;
use linkspan_tests::wait::until;
use linkspan_types::{IfName, MacAddr, Mtu};
use serde_json::json;

fn main() -> ExitCode {
    let own = cases![&[Need::Root];
        a_link_moves_with_its_name_mac_and_mtu_in_one_message,
        other_names_come_and_go,
        a_refusal_has_the_kernel_s_sentence,
        a_link_may_say_nothing_by_ipv6,
        an_event_ends_the_wait_and_so_does_the_bound,
        a_namespace_is_told_from_what_is_left_of_one,
        no_namespace_is_kept_open,
    ];
    harness::main(
        own.into_iter()
            .chain(children::cases())
            .chain(addresses::cases())
            .chain(host::cases())
            .chain(packets::cases())
            .chain(routes::cases())
            .chain(neighbours::cases()),
    )
}

/// A pod with one end of a veth pair in it, and a socket there.
fn pod_with_link(test: &str) -> (Pod, RouteSocket, u32) {
    let pod = Pod::new(test, "pod");
    pod.run("ip", &["link", "add", "one", "type", "veth", "peer", "name", "other"]);
    let mut socket = RouteSocket::open_in(&Netns::open(&pod.netns()).unwrap()).unwrap();
    let index = socket.link_by_name(&name("one")).unwrap().index;
    (pod, socket, index)
}

/// Two pods with one end of a veth pair each, `one` and `other`, both up, and the index of `one`.
fn two_pods(test: &str) -> (Pod, RouteSocket, u32, Pod) {
    let (pod, mut socket, index) = pod_with_link(test);
    let peer = Pod::new(test, "peer");
    pod.run("ip", &["link", "set", "other", "netns", peer.name()]);
    peer.run("ip", &["link", "set", "other", "up"]);
    socket.change_link(index, &up()).unwrap();
    pod.wait_for_carrier("one");
    (pod, socket, index, peer)
}

fn up() -> LinkChange<'static> {
    LinkChange { up: Some(true), ..LinkChange::default() }
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn a_link_moves_with_its_name_mac_and_mtu_in_one_message() {
    let (_from, mut socket, index) = pod_with_link("moves");
    let to = Pod::new("moves", "to");
    let netns = Netns::open(&to.netns()).unwrap();
    let mac = MacAddr([2, 0, 0, 0, 0x80, 1]);
    let change = LinkChange {
        netns: Some(&netns),
        mac: Some(mac),
        mtu: Some(Mtu::try_from(1400).unwrap()),
        name: Some(&name("net1")),
        up: Some(true),
        ..LinkChange::default()
    };
    socket.change_link(index, &change).unwrap();
    let shown = to.link("net1");
    assert_eq!((&shown["address"], &shown["mtu"]), (&json!("02:00:00:00:80:01"), &json!(1400)));
    assert!(socket.link(index).unwrap_err().is_missing());

    let mut inside = RouteSocket::open_in(&netns).unwrap();
    let link = inside.link_by_name(&name("net1")).unwrap();
    assert_eq!((link.mac, link.mtu, link.up, link.pci), (Some(mac), 1400, true, None));
    assert_eq!(inside.basics(&name("net1")).unwrap(), LinkBasics::from(&link));
    assert_eq!(inside.basics(&name("lo")).unwrap().mac, None);
    assert!(inside.basics(&name("net2")).unwrap_err().is_missing());
}

fn other_names_come_and_go() {
    let (pod, mut socket, index) = pod_with_link("names");
    let long = "a-name-that-is-longer-than-fifteen";
    socket.add_alt_name(index, long).unwrap();
    assert_eq!(socket.link(index).unwrap().alt_names, [long]);
    assert_eq!(pod.link("one")["altnames"], json!([long]));
    assert_eq!(socket.add_alt_name(index, "other").unwrap_err().errno(), Some(Errno::EXIST));
    socket.remove_alt_name(index, long).unwrap();
    assert!(socket.link(index).unwrap().alt_names.is_empty());
}

fn a_refusal_has_the_kernel_s_sentence() {
    let (_pod, mut socket, index) = pod_with_link("sentence");
    let route = routes::route("10.84.0.0/16", Some("10.85.0.1"));
    socket.change_link(index, &up()).unwrap();
    let refusal = socket.add_route(index, &route).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!(
            "cannot add a route to 10.84.0.0/16 via 10.85.0.1 through link {index}: Network is unreachable \
         (os error 101); the kernel adds: Nexthop has invalid gateway"
        )
    );
    // And the socket serves on.
    assert_eq!(socket.link(index).unwrap().name, "one");
}

fn a_link_may_say_nothing_by_ipv6() {
    let (pod, mut socket, one) = pod_with_link("lsquiet");
    let other = socket.link_by_name(&name("other")).unwrap().index;
    let quiet = LinkChange { no_own_ipv6: true, ..LinkChange::default() };
    socket.change_link(one, &quiet).unwrap();
    for index in [one, other] {
        socket.change_link(index, &up()).unwrap();
    }
    pod.wait_for_carrier("one");
    let addresses = |link: &str| pod.run("ip", &["-6", "address", "show", "dev", link]);
    until("the other to have its address", Duration::from_mins(1), || {
        addresses("other").contains("fe80::").then_some(())
    });
    assert_eq!(addresses("one"), "");
}

fn an_event_ends_the_wait_and_so_does_the_bound() {
    let (pod, mut socket, index) = pod_with_link("events");
    let netns = Netns::open(&pod.netns()).unwrap();
    let events = netns.within(LinkEvents::subscribe).unwrap().unwrap();
    let mut looks = 0;
    let seen = events.wait_for(Duration::from_secs(30), || {
        looks += 1;
        let link = socket.link(index).map_err(io::Error::other)?;
        if looks == 1 {
            pod.run("ip", &["link", "set", "one", "name", "renamed"]);
        }
        Ok::<_, io::Error>((link.name == "renamed").then_some(()))
    });
    assert_eq!(seen.unwrap(), Some(()));
    let never = events.wait_for(Duration::from_millis(20), || Ok::<Option<()>, io::Error>(None));
    assert_eq!(never.unwrap(), None);
}

fn a_namespace_is_told_from_what_is_left_of_one() {
    let pod = Pod::new("left", "pod");
    let other = Netns::open(&pod.netns()).unwrap();
    assert_ne!(other.id().unwrap(), Netns::current().unwrap().id().unwrap());
    let inside = other.within(|| Netns::current().unwrap().id().unwrap()).unwrap();
    assert_eq!(inside, other.id().unwrap(), "the work is done inside");
    assert_ne!(Netns::current().unwrap().id().unwrap(), other.id().unwrap(), "and we are back");

    let home = Netns::current().unwrap();
    let inside = other.visit(&home, || Netns::current().unwrap().id().unwrap()).unwrap();
    assert_eq!(inside, other.id().unwrap());
    assert_eq!(Netns::current().unwrap().id().unwrap(), home.id().unwrap());

    let path = pod.netns();
    pod.delete();
    assert!(Netns::open(&path).unwrap_err().is_gone());
    // What stays when only the mount of a namespace is gone.
    std::fs::write(&path, "").unwrap();
    let error = Netns::open(&path).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert!(error.is_gone());
    assert_eq!(error.to_string(), format!("{} is not a network namespace", path.display()));
}

/// A link in a namespace that nobody holds open any more is gone with it.
fn no_namespace_is_kept_open() {
    let (pod, socket, _) = pod_with_link("kept");
    drop(socket);
    let outside = Pod::new("kept", "outside");
    pod.run("ip", &["link", "set", "other", "netns", outside.name()]);
    let netns = Netns::open(&outside.netns()).unwrap();
    let mut watcher = RouteSocket::open_in(&netns).unwrap();
    let events = netns.within(LinkEvents::subscribe).unwrap().unwrap();
    pod.delete();
    let gone =
        events.wait_for(Duration::from_secs(30), || match watcher.link_by_name(&name("other")) {
            Err(e) if e.is_missing() => Ok(Some(())),
            other => other.map(|_| None).map_err(io::Error::other),
        });
    assert_eq!(gone.unwrap(), Some(()), "the veth's other end went with the namespace");
}
