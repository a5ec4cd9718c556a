//! Addresses of links, and what the kernel finds out about them.

use std::net::IpAddr;
use std::time::Duration;

use linkspan_linux::{Address, Errno, Netns, RouteSocket, wait_for_dad};
use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::Pod;

use crate::{pod_with_link, two_pods, up};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        addresses_of_both_families_are_given_once_and_taken_away,
        an_ipv6_address_can_be_used_at_once_or_after_the_search_for_duplicates,
        a_duplicate_of_an_ipv6_address_is_found,
    ]
}

const V6: &str = "fd00:81::2/64";
const BOUND: Duration = Duration::from_secs(30);

fn address(net: &str) -> Address {
    Address { net: net.parse().unwrap(), tentative: false, duplicate: false }
}

fn addresses_of_both_families_are_given_once_and_taken_away() {
    let (_pod, mut socket, index) = pod_with_link("addresses");
    let v4 = "10.81.0.2/24";
    for net in [v4, V6] {
        socket.add_address(index, net.parse().unwrap()).unwrap();
    }
    socket.change_link(index, &up()).unwrap();
    let given = socket.addresses(index).unwrap();
    assert!(given.contains(&address(v4)), "{given:?}");
    assert!(given.contains(&Address { tentative: true, ..address(V6) }), "{given:?}");
    for net in [v4, V6] {
        let again = socket.add_address(index, net.parse().unwrap());
        assert_eq!(again.unwrap_err().errno(), Some(Errno::EXIST));
    }
    for net in [v4, V6] {
        socket.remove_address(index, net.parse().unwrap()).unwrap();
        let gone = socket.remove_address(index, net.parse().unwrap());
        assert_eq!(gone.unwrap_err().errno(), Some(Errno::ADDRNOTAVAIL));
    }
    let left = socket.addresses(index).unwrap();
    assert!(!left.iter().any(|a| a.net == address(v4).net || a.net == address(V6).net), "{left:?}");
    assert!(socket.addresses(4711).unwrap_err().is_missing());
}

fn an_ipv6_address_can_be_used_at_once_or_after_the_search_for_duplicates() {
    let (pod, mut socket, index, _peer) = two_pods("dad");
    let at_once = "fd00:81::3/64";
    socket.add_address_without_dad(index, at_once.parse().unwrap()).unwrap();
    let given = socket.addresses(index).unwrap();
    assert!(given.contains(&address(at_once)), "{given:?}");

    socket.add_address(index, V6.parse().unwrap()).unwrap();
    for (bound, tentative) in [(Duration::ZERO, true), (BOUND, false)] {
        assert_eq!(wait(&pod, &mut socket, index, bound), [] as [IpAddr; 0]);
        let given = socket.addresses(index).unwrap();
        assert!(given.contains(&Address { tentative, ..address(V6) }), "{given:?}");
    }
}

fn a_duplicate_of_an_ipv6_address_is_found() {
    let (pod, mut socket, index, peer) = two_pods("duplicate");
    peer.run("ip", &["address", "add", V6, "dev", "other", "nodad"]);
    for net in [V6, "fd00:81::3/64"] {
        socket.add_address(index, net.parse().unwrap()).unwrap();
    }
    let duplicate = address(V6).net.addr();
    assert_eq!(wait(&pod, &mut socket, index, BOUND), [duplicate]);
    let given = socket.addresses(index).unwrap();
    assert!(given.contains(&Address { tentative: true, duplicate: true, ..address(V6) }));
}

fn wait(pod: &Pod, socket: &mut RouteSocket, index: u32, bound: Duration) -> Vec<IpAddr> {
    let netns = Netns::open(&pod.netns()).unwrap();
    netns.within(|| wait_for_dad(socket, index, bound)).unwrap().unwrap()
}
