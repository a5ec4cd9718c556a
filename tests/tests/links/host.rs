//! What the links of a namespace are used for: the one look by which the device plugin tells what is in use.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use linkspan_linux::{HostLinks, Netns};
use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::Pod;
use linkspan_types::IfName;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        members_children_addresses_and_default_routes_are_seen,
        a_child_in_another_namespace_has_no_parent_here,
        a_name_that_is_no_text_hides_no_other_link,
    ]
}

fn look(pod: &Pod) -> HostLinks {
    let netns = Netns::open(&pod.netns()).unwrap();
    netns.within(HostLinks::look).unwrap().unwrap()
}

fn index(host: &HostLinks, name: &str) -> u32 {
    host.links.iter().find(|link| link.name == name).unwrap().index
}

fn members_children_addresses_and_default_routes_are_seen() {
    let pod = Pod::new("host_use", "host");
    for pair in ["member", "lower", "four", "six", "other"] {
        let peer = format!("{pair}-p");
        pod.run("ip", &["link", "add", pair, "type", "veth", "peer", "name", &peer]);
        pod.run("ip", &["link", "set", &peer, "up"]);
        pod.run("ip", &["link", "set", pair, "up"]);
        pod.wait_for_carrier(pair);
    }
    pod.run("ip", &["link", "add", "br0", "type", "bridge"]);
    pod.run("ip", &["link", "set", "member", "master", "br0"]);
    pod.run("ip", &["link", "add", "child", "link", "lower", "type", "macvlan"]);
    pod.run("ip", &["addr", "add", "192.0.2.2/24", "dev", "four"]);
    pod.run("ip", &["addr", "add", "198.51.100.2/24", "dev", "other"]);
    pod.run("ip", &["addr", "add", "2001:db8::2/64", "dev", "six", "nodad"]);
    let hops = ["nexthop", "via", "192.0.2.1", "nexthop", "via", "198.51.100.1"];
    pod.run("ip", &[&["route", "add", "default"], &hops[..]].concat());
    pod.run("ip", &["-6", "route", "add", "default", "via", "2001:db8::1"]);
    // Of another destination and of another table.
    pod.run("ip", &["route", "add", "203.0.113.0/24", "dev", "lower"]);
    pod.run("ip", &["route", "add", "default", "dev", "lower", "table", "100"]);

    let host = look(&pod);
    let link = |name: &str| host.links.iter().find(|link| link.name == name).unwrap();
    assert_eq!(link("member").controller, Some(index(&host, "br0")));
    assert_eq!(link("child").parent, Some(index(&host, "lower")));
    assert!(!link("child").parent_is_elsewhere && link("four").carrier);
    let mut routes = host.default_routes.clone();
    routes.sort_unstable();
    let mut expected = ["four", "other", "six"].map(|name| index(&host, name));
    expected.sort_unstable();
    assert_eq!(routes, expected);
    let addresses = |name: &str| -> Vec<IpAddr> {
        let own = host.addresses.iter().filter(|(link, _)| *link == index(&host, name));
        own.map(|(_, address)| address.net.addr()).collect()
    };
    assert!(addresses("four").contains(&"192.0.2.2".parse().unwrap()));
    assert!(addresses("six").contains(&"2001:db8::2".parse().unwrap()));
    // Only the kernel's own, which each link has that is up.
    let is_automatic =
        |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    assert!(addresses("lower").iter().all(is_automatic));
}

fn a_child_in_another_namespace_has_no_parent_here() {
    let pod = Pod::new("host_child", "host");
    let other = Pod::new("host_child", "other");
    pod.run("ip", &["link", "add", "lower", "type", "veth", "peer", "name", "lower-p"]);
    pod.run("ip", &["link", "add", "child", "link", "lower", "type", "macvlan"]);
    pod.run("ip", &["link", "set", "child", "netns", other.name()]);
    let host = look(&other);
    let child = host.links.iter().find(|link| link.name == "child").unwrap();
    assert!(child.parent.is_some() && child.parent_is_elsewhere, "{child:?}");
}

/// The kernel takes any bytes but a few.
fn a_name_that_is_no_text_hides_no_other_link() {
    let pod = Pod::new("host_bytes", "host");
    let [name, alt_name] = [&b"up\xff\xfe"[..], b"other\xc3"].map(OsStr::from_bytes);
    let ip = |arguments: &[&OsStr]| {
        let all =
            [OsStr::new("-n"), OsStr::new(pod.name())].into_iter().chain(arguments.iter().copied());
        assert!(Command::new("ip").args(all).status().unwrap().success());
    };
    let words = |text: &'static str| text.split(' ').map(OsStr::new);
    pod.run("ip", &["link", "add", "veth0", "type", "veth", "peer", "name", "veth1"]);
    ip(&words("link set veth1 name").chain([name]).collect::<Vec<_>>());
    ip(&words("link property add dev veth0 altname").chain([alt_name]).collect::<Vec<_>>());
    // An IPv4 address is labelled with its link's name.
    ip(&words("addr add 192.0.2.2/24 dev").chain([name]).collect::<Vec<_>>());

    let host = look(&pod);
    let mut names: Vec<_> = host.links.iter().map(|link| link.name.as_str()).collect();
    names.sort_unstable();
    let replaced = "up\u{fffd}\u{fffd}";
    assert_eq!(names, ["lo", replaced, "veth0"]);
    assert!(replaced.parse::<IfName>().is_err(), "it is nobody's name");
    let link = |name: &str| host.links.iter().find(|link| link.name == name).unwrap();
    assert_eq!(link("veth0").alt_names, ["other\u{fffd}"]);
    assert!(host.addresses.iter().any(|(index, _)| *index == link(replaced).index));
}
