//! Routes, set and read back by us and by `ip`.

use std::path::Path;

use linkspan_linux::{LinkChange, Netns, Route, RouteSocket};
use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::{Pod, run};
use serde_json::{Value, json};

use crate::{name, pod_with_link, up};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root];
        routes_of_both_families_are_set,
        every_attribute_of_a_route_is_read_back_and_names_it,
        of_a_route_over_two_links_each_has_its_path,
        the_default_route_with_the_lowest_metric_names_the_link,
        where_no_address_ever_was_there_is_no_default_route,
    ]
}

pub(crate) fn route(destination: &str, gateway: Option<&str>) -> Route {
    Route {
        destination: destination.parse().unwrap(),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        priority: None,
        table: None,
        scope: None,
        mtu: None,
        advertised_mss: None,
    }
}

fn rich() -> Route {
    Route {
        priority: Some(50),
        table: Some(1000),
        mtu: Some(1300),
        advertised_mss: Some(1200),
        ..route("fd00:82::/48", Some("fd00:81::1"))
    }
}

/// What `ip` says of the first route that the arguments select.
fn shown(pod: &Pod, arguments: &[&str]) -> Value {
    let text = pod.run("ip", &[&["-j"], arguments].concat());
    serde_json::from_str::<Value>(&text).unwrap()[0].take()
}

fn routes_of_both_families_are_set() {
    let (pod, mut socket, index) = pod_with_link("routes");
    for address in ["10.81.0.2/24", "fd00:81::2/64"] {
        socket.add_address(index, address.parse().unwrap()).unwrap();
    }
    socket.change_link(index, &up()).unwrap();
    let plain = route("10.82.0.0/16", Some("10.81.0.1"));
    for route in [plain, rich(), route("10.83.0.0/16", None)] {
        socket.add_route(index, &route).unwrap();
    }
    let v4 = shown(&pod, &["route", "show", "10.82.0.0/16"]);
    assert_eq!((&v4["gateway"], &v4["dev"]), (&json!("10.81.0.1"), &json!("one")));
    let v6 = shown(&pod, &["-6", "route", "show", "table", "1000"]);
    assert_eq!((&v6["gateway"], &v6["metric"]), (&json!("fd00:81::1"), &json!(50)));
    assert_eq!(v6["metrics"], json!([{ "mtu": 1300, "advmss": 1200 }]));
    assert_eq!(shown(&pod, &["route", "show", "10.83.0.0/16"])["scope"], "link");
    // Another program's is removed as well.
    pod.run("ip", &["route", "add", "10.87.0.0/16", "via", "10.81.0.1", "proto", "boot"]);
    socket.remove_route(index, &route("10.87.0.0/16", Some("10.81.0.1"))).unwrap();
}

fn every_attribute_of_a_route_is_read_back_and_names_it() {
    let (_pod, mut socket, index) = pod_with_link("attributes");
    for address in ["10.81.0.2/24", "fd00:81::2/64"] {
        socket.add_address_without_dad(index, address.parse().unwrap()).unwrap();
    }
    socket.change_link(index, &up()).unwrap();
    let all = [
        route("0.0.0.0/0", Some("10.81.0.1")),
        route("::/0", Some("fd00:81::1")),
        route("10.82.1.2/16", Some("10.81.0.1")),
        route("10.83.0.0/16", None),
        // A gateway of the other family.
        route("10.84.0.0/16", Some("fd00:81::1")),
        Route { scope: Some(0), ..route("10.85.0.0/16", None) },
        Route { table: Some(100), priority: Some(7), ..route("10.85.0.0/16", Some("10.81.0.1")) },
        Route { table: Some(254), priority: Some(7), ..route("fd00:85::/48", None) },
        Route { mtu: Some(1400), ..route("10.86.0.0/16", Some("10.81.0.1")) },
        rich(),
    ];
    for route in &all {
        let before = socket.routes(index).unwrap();
        assert!(!before.iter().any(|found| route.is(found)), "{route:?} in {before:?}");
        socket.add_route(index, route).unwrap();
        let after = socket.routes(index).unwrap();
        assert_eq!(
            after.iter().filter(|found| route.is(found)).count(),
            1,
            "{route:?} in {after:?}"
        );
    }
    let found = socket.routes(index).unwrap();
    let as_read = found.iter().find(|found| rich().is(found)).unwrap();
    assert_eq!(*as_read, Route { scope: Some(0), ..rich() });
    for route in &all {
        socket.remove_route(index, route).unwrap();
        let after = socket.routes(index).unwrap();
        assert!(!after.iter().any(|found| route.is(found)), "{route:?} in {after:?}");
        assert!(socket.remove_route(index, route).unwrap_err().is_missing());
    }
    for other in [
        Route { destination: "fd00:82::/49".parse().unwrap(), ..rich() },
        Route { gateway: Some("fd00:81::3".parse().unwrap()), ..rich() },
        Route { gateway: None, ..rich() },
        Route { priority: Some(51), ..rich() },
        Route { table: None, ..rich() },
        Route { mtu: Some(1301), ..rich() },
        Route { advertised_mss: Some(1201), ..rich() },
        Route { scope: Some(253), ..all[5].clone() },
    ] {
        assert!(!found.iter().any(|found| other.is(found)), "{other:?}");
    }
    assert!(socket.routes(4711).unwrap_err().is_missing());
}

fn of_a_route_over_two_links_each_has_its_path() {
    let (pod, mut socket, index) = pod_with_link("paths");
    for (link, address) in [("one", "10.81.0.2/24"), ("other", "10.82.0.2/24")] {
        pod.run("ip", &["address", "add", address, "dev", link]);
        pod.run("ip", &["link", "set", link, "up"]);
    }
    let hops = ["nexthop", "via", "10.81.0.1", "nexthop", "via", "10.82.0.1"];
    pod.run("ip", &[&["route", "add", "10.90.0.0/16"], &hops[..]].concat());
    let other = socket.link_by_name(&name("other")).unwrap().index;
    for (link, gateway) in [(index, "10.81.0.1"), (other, "10.82.0.1")] {
        let found = socket.routes(link).unwrap();
        let paths: Vec<&Route> = found
            .iter()
            .filter(|route| route.destination == "10.90.0.0/16".parse().unwrap())
            .collect();
        assert_eq!(paths.len(), 1, "{found:?}");
        assert_eq!(paths[0].gateway, Some(gateway.parse().unwrap()));
    }
}

fn the_default_route_with_the_lowest_metric_names_the_link() {
    let (pod, mut socket, one) = pod_with_link("default");
    let other = socket.link_by_name(&name("other")).unwrap().index;
    for (index, address) in [(one, "10.81.0.2/24"), (other, "fd00:81::2/64")] {
        socket.add_address_without_dad(index, address.parse().unwrap()).unwrap();
        socket.change_link(index, &up()).unwrap();
    }
    let default = |socket: &mut linkspan_linux::RouteSocket| socket.default_route_link().unwrap();
    assert_eq!(default(&mut socket), None);
    // None of these is one: another table, a part of the addresses, no way out.
    pod.run("ip", &["route", "add", "default", "dev", "one", "table", "100"]);
    pod.run("ip", &["route", "add", "128.0.0.0/1", "dev", "one"]);
    pod.run("ip", &["route", "add", "unreachable", "default", "metric", "9999"]);
    assert_eq!(default(&mut socket), None);

    let v6 = |metric| Route { priority: Some(metric), ..route("::/0", Some("fd00:81::1")) };
    let v4 = |metric| Route { priority: Some(metric), ..route("0.0.0.0/0", Some("10.81.0.1")) };
    socket.add_route(other, &v6(200)).unwrap();
    assert_eq!(default(&mut socket), Some(other));
    socket.add_route(one, &v4(200)).unwrap();
    assert_eq!(default(&mut socket), Some(one), "of equal metrics IPv4's");
    socket.add_route(other, &v6(100)).unwrap();
    assert_eq!(default(&mut socket), Some(other));
    socket.change_link(other, &LinkChange { up: Some(false), ..LinkChange::default() }).unwrap();
    assert_eq!(default(&mut socket), Some(one));
}

/// Not in a [`Pod`], whose loopback link is up and has an address.
fn where_no_address_ever_was_there_is_no_default_route() {
    let name = "routeless";
    let _ = std::process::Command::new("ip").args(["netns", "delete", name]).output();
    run("ip", &["netns", "add", name]);
    let netns = Netns::open(&Path::new("/run/netns").join(name)).unwrap();
    let links = RouteSocket::open_in(&netns).unwrap().default_route_links();
    run("ip", &["netns", "delete", name]);
    assert!(links.unwrap().is_empty());
}
