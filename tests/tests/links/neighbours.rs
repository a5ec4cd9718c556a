//! What the neighbours are told, and asked.

use std::io;
use std::time::Duration;

use ipnet::IpNet;
use linkspan_linux::{Audience, Netns, RouteSocket, probe};
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::Pod;
use linkspan_tests::{cases, wait};
use linkspan_types::MacAddr;
use serde_json::Value;

use crate::two_pods;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        the_neighbours_learn_the_mac_of_every_address,
        a_tentative_address_is_not_announced,
        who_has_an_address_answers_a_probe,
        a_neighbour_that_was_seen_is_asked_alone_and_learns_from_it,
    ]
}

/// The neighbour that the kernel has in its table.
fn neighbour(pod: &Pod, address: &str) -> Option<String> {
    let text = pod.run("ip", &["-j", "neighbour", "show", address]);
    let all: Value = serde_json::from_str(&text).unwrap();
    all[0]["lladdr"].as_str().map(str::to_owned)
}

const BOUND: Duration = Duration::from_mins(1);

fn announce(
    pod: &Pod,
    socket: &mut RouteSocket,
    index: u32,
    mac: MacAddr,
    addresses: &[IpNet],
) -> io::Result<()> {
    let netns = Netns::open(&pod.netns()).unwrap();
    netns.within(|| socket.announce(index, mac, addresses, Audience::Nodes)).unwrap()
}

fn the_neighbours_learn_the_mac_of_every_address() {
    let (pod, mut socket, index, peer) = two_pods("learn");
    let link = socket.link(index).unwrap();
    // Two of them in one subnet.
    let nets = ["10.81.0.2/24", "fd00:81::2/64", "10.81.0.3/24", "10.82.0.2/24", "fd00:82::2/64"];
    let addresses = nets.map(|net| net.split('/').next().unwrap());
    for (net, address) in nets.iter().zip(addresses) {
        socket.add_address_without_dad(index, net.parse().unwrap()).unwrap();
        peer.run(
            "ip",
            &[
                "neighbour",
                "add",
                address,
                "lladdr",
                "02:00:00:00:80:09",
                "dev",
                "other",
                "nud",
                "stale",
            ],
        );
    }
    let mac = link.mac.unwrap();
    let all = nets.map(|net| net.parse().unwrap());
    announce(&pod, &mut socket, index, mac, &all).unwrap();
    for address in addresses {
        wait::until(address, Duration::from_secs(10), || {
            (neighbour(&peer, address) == Some(mac.to_string())).then_some(())
        });
    }
    let left: Value = serde_json::from_str(&pod.run("ip", &["-j", "neighbour", "show"])).unwrap();
    assert_eq!(left, serde_json::json!([]), "no trace in the table of the announcer");
}

fn a_tentative_address_is_not_announced() {
    let (pod, mut socket, index, _peer) = two_pods("tentative");
    let net = "fd00:81::2/64".parse().unwrap();
    socket.add_address(index, net).unwrap();
    let announced = announce(&pod, &mut socket, index, MacAddr::default(), &[net]);
    assert_eq!(announced.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
}

fn who_has_an_address_answers_a_probe() {
    let (pod, mut socket, index, peer) = two_pods("probe");
    peer.run("ip", &["address", "add", "10.81.0.2/24", "dev", "other"]);
    let owner = peer.link("other")["address"].as_str().unwrap().to_owned();
    let mac = socket.link(index).unwrap().mac.unwrap();
    let netns = Netns::open(&pod.netns()).unwrap();
    let ask = |address: &str, bound| {
        netns.within(|| probe(index, mac, address.parse().unwrap(), bound)).unwrap().unwrap()
    };
    let found = ask("10.81.0.2", Duration::from_secs(30)).unwrap();
    assert_eq!(found.to_string(), owner);
    assert_eq!(ask("10.81.0.3", Duration::from_millis(30)), None);
    // And the owner has learnt nothing from it.
    assert_eq!(neighbour(&peer, "10.81.0.3"), None);
}

fn a_neighbour_that_was_seen_is_asked_alone_and_learns_from_it() {
    let (pod, mut socket, index, peer) = two_pods("seen");
    let (own, theirs) = ("10.81.0.2", "10.81.0.9");
    socket.add_address(index, format!("{own}/24").parse().unwrap()).unwrap();
    peer.run("ip", &["address", "add", &format!("{theirs}/24"), "dev", "other"]);
    let mac: MacAddr = peer.link("other")["address"].as_str().unwrap().parse().unwrap();
    assert_eq!(neighbour(&peer, own), None);
    socket.ask_neighbour(index, theirs.parse().unwrap(), mac).unwrap();
    wait::until("the neighbour to know", BOUND, || neighbour(&peer, own));
    // What the kernel knows it knows better.
    let other = MacAddr([2, 0, 0, 0, 0x80, 8]);
    socket.ask_neighbour(index, theirs.parse().unwrap(), other).unwrap();
    assert_eq!(neighbour(&pod, theirs), Some(mac.to_string()));
    // One that is not there would hear a broadcast, and no question for itself.
    let nobody = "10.81.0.10";
    peer.run("ip", &["address", "add", &format!("{nobody}/24"), "dev", "other"]);
    socket.ask_neighbour(index, nobody.parse().unwrap(), other).unwrap();
    let gives_up = || pod.run("ip", &["neighbour", "show", nobody]).contains("FAILED");
    wait::until("nobody to answer", BOUND, || gives_up().then_some(()));
}
