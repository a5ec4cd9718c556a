//! A lease from its beginning to its end.

use std::net::Ipv4Addr;

use linkspan_proto::dhcp::{Probe, Wishes};
use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::{DhcpDaemon, INTERFACE, addresses};
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{FAR, Lan};
use linkspan_tests::pods::Pod;
use linkspan_tests::scrape;
use linkspan_tests::wait::until;

use crate::{BOUND, RANGE, SERVER, SOON, pod, serve, wishes};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq")];
        a_pod_gets_an_address_keeps_it_and_gives_it_back,
        a_server_that_has_moved_is_asked_by_broadcast,
        what_the_server_changes_is_changed_on_the_interface,
        an_address_that_the_server_takes_back_is_replaced,
        an_address_whose_time_is_over_goes_and_another_comes,
        an_address_that_somebody_has_taken_away_is_put_back,
        an_address_that_a_neighbour_has_is_declined,
        a_pod_waits_no_longer_than_it_is_to,
    ]
}

fn a_pod_gets_an_address_keeps_it_and_gives_it_back() {
    let lan = Lan::new("dhbind");
    let server = serve(&lan, &SOON);
    let pod = pod(&lan, "pod");
    let mut daemon = DhcpDaemon::start(&[]);
    let lease = daemon.attach(&pod, wishes());
    let address = Ipv4Addr::from(lease.address).to_string();
    assert_eq!(Ipv4Addr::from(lease.server).to_string(), SERVER);
    assert_eq!(lease.prefix_length, 24);
    assert_eq!(daemon.check(&pod).differences, [""; 0]);
    let granted = format!("DHCPACK({FAR}) {address}");
    assert_eq!(server.count(&granted), 1);
    until("two renewals", BOUND, || (server.count(&granted) >= 3).then_some(()));
    until("the second answer to be heard", BOUND, || {
        (daemon.metric("linkspan_dhcp_exchange_duration_seconds_count") >= 3).then_some(())
    });
    assert_eq!(daemon.metric(r#"linkspan_dhcp_leases{state="BOUND"}"#), 1);
    assert_eq!((daemon.health().0, daemon.leases_on_disk().len()), (200, 1));
    assert_eq!(scrape::status(daemon.process().id(), "Threads"), 2);
    assert_eq!(addresses(&pod), std::slice::from_ref(&address));
    // Between two messages there is nothing of the pod's that is open.
    let sockets = || pod.run("cat", &["/proc/net/packet", "/proc/net/udp"]).lines().count();
    until("the sockets to be closed", BOUND, || (sockets() == 2).then_some(()));

    daemon.release(&pod).unwrap();
    server.wait_for(&["DHCPRELEASE", &address]);
    assert_eq!((daemon.leases().len(), daemon.leases_on_disk().len()), (0, 0));
    until("the server to have it back", BOUND, || server.leases().is_empty().then_some(()));
    daemon.release(&pod).unwrap();
}

fn a_server_that_has_moved_is_asked_by_broadcast() {
    let lan = Lan::new("dhmoved");
    let mut server = serve(&lan, &SOON);
    let pod = pod(&lan, "pod");
    let daemon = DhcpDaemon::start(&[]);
    let address = Ipv4Addr::from(daemon.attach(&pod, wishes()).address).to_string();
    server.stop();
    lan.neighbour.run("ip", &["address", "delete", &format!("{SERVER}/24"), "dev", FAR]);
    lan.neighbour.run("ip", &["address", "add", "10.120.0.2/24", "dev", FAR]);
    until("the server not to answer", BOUND, || (daemon.state(&pod) == "REBINDING").then_some(()));
    server.resume();
    // The question before the server was there again is repeated a minute later: this is what a restart does, too.
    let mut daemon = daemon;
    daemon.kill();
    daemon.resume(&[]);
    until("more time", BOUND, || (daemon.state(&pod) == "BOUND").then_some(()));
    let lease = daemon.check(&pod).lease.unwrap();
    assert_eq!(Ipv4Addr::from(lease.server).to_string(), "10.120.0.2");
    assert_eq!(
        (Ipv4Addr::from(lease.address).to_string(), addresses(&pod)),
        (address.clone(), vec![address])
    );
}

fn what_the_server_changes_is_changed_on_the_interface() {
    let lan = Lan::new("dhchange");
    let routes = |text: &str| format!("--dhcp-option=121,{text}");
    let before = routes("0.0.0.0/0,10.120.0.1,10.130.0.0/16,10.120.0.5");
    let mut server = serve(&lan, &[&SOON[..], &[&before]].concat());
    let pod = pod(&lan, "pod");
    let daemon = DhcpDaemon::start(&[]);
    let lease = daemon.attach(&pod, wishes());
    assert_eq!((lease.routes.len(), lease.mtu), (1, 0));
    let other = crate::pod(&lan, "other");
    let _lease = daemon.attach(&other, Wishes { keeps_mtu: true, ..wishes() });
    // As the plugin sets them.
    pod.run("ip", &["route", "add", "default", "via", "10.120.0.1"]);
    pod.run("ip", &["route", "add", "10.130.0.0/16", "via", "10.120.0.5"]);

    let after = routes("0.0.0.0/0,10.120.0.4,10.131.0.0/16,10.120.0.5");
    server.restart_with(FAR, RANGE, &[&SOON[..], &[&after, "--dhcp-option=26,1400"]].concat());
    let shown = || pod.run("ip", &["route", "show"]);
    until("the routes to change", BOUND, || shown().contains("10.131.0.0/16").then_some(()));
    until("the MTU to change", BOUND, || (pod.link(INTERFACE)["mtu"] == 1400).then_some(()));
    let daemon_has_seen = |pod: &Pod| daemon.check(pod).lease.is_some_and(|now| now.mtu == 1400);
    until("the other's lease to change", BOUND, || daemon_has_seen(&other).then_some(()));
    assert_eq!(other.link(INTERFACE)["mtu"], 1500, "its network says so");
    let now = shown();
    assert!(now.contains("default via 10.120.0.4") && !now.contains("via 10.120.0.1"), "{now}");
    assert!(!now.contains("10.130.0.0"), "{now}");
}

fn an_address_that_the_server_takes_back_is_replaced() {
    let lan = Lan::new("dhnak");
    let mut server = serve(&lan, &SOON);
    let pod = pod(&lan, "pod");
    let daemon = DhcpDaemon::start(&[]);
    let first = Ipv4Addr::from(daemon.attach(&pod, wishes()).address).to_string();
    pod.run("ip", &["route", "add", "default", "via", SERVER]);
    server.stop();
    server.forget();
    server.restart_with(FAR, "10.120.0.251,10.120.0.254,120", &SOON);
    let is_new = |all: Vec<String>| (all.len() == 1 && all[0] != first).then(|| all[0].clone());
    let second = until("another address", BOUND, || is_new(addresses(&pod)));
    assert_eq!(server.leases().len(), 1);
    assert_eq!(server.leases()[0].address.to_string(), second);
    assert_eq!(daemon.metric("linkspan_dhcp_naks_total"), 1);
    until("the default route", BOUND, || {
        pod.run("ip", &["route"]).contains("default via 10.120.0.1").then_some(())
    });
    assert_eq!(daemon.check(&pod).differences, [""; 0]);
    assert!(pod.pings(SERVER, 5));
}

/// As after a sleep of the machine: the clock by which leases end goes on, and no other.
fn an_address_whose_time_is_over_goes_and_another_comes() {
    let lan = Lan::new("dhexpire");
    let mut server = serve(&lan, &[]);
    let pod = pod(&lan, "pod");
    let mut daemon = DhcpDaemon::start(&[]);
    let _lease = daemon.attach(&pod, wishes());
    server.stop();
    server.forget();
    daemon.kill();
    daemon.resume(&["unshare", "--time", "--boottime", "115"]);
    assert_eq!(addresses(&pod).len(), 1, "it has five seconds yet");
    until("the address to go", BOUND, || addresses(&pod).is_empty().then_some(()));
    let up = pod.link(INTERFACE)["flags"].as_array().unwrap().contains(&"UP".into());
    assert!(up, "the link stays up");
    assert_eq!(daemon.metric("linkspan_dhcp_expirations_total"), 1);
    assert_eq!(daemon.state(&pod), "SELECTING");
    server.resume();
    until("another address", BOUND, || (addresses(&pod).len() == 1).then_some(()));
    assert!(pod.pings(SERVER, 5));
}

fn an_address_that_somebody_has_taken_away_is_put_back() {
    let lan = Lan::new("dhback");
    let _server = serve(&lan, &SOON);
    let pod = pod(&lan, "pod");
    let daemon = DhcpDaemon::start(&[]);
    let lease = daemon.attach(&pod, wishes());
    pod.run("ip", &["address", "flush", "dev", INTERFACE]);
    assert_eq!(daemon.check(&pod).differences.len(), 1);
    let address = Ipv4Addr::from(lease.address).to_string();
    until("it to be back", BOUND, || (addresses(&pod) == [address.as_str()]).then_some(()));
}

fn an_address_that_a_neighbour_has_is_declined() {
    let lan = Lan::new("dhtaken");
    let (squatter, taken) = (pod(&lan, "squatter"), "10.120.0.10");
    squatter.run("ip", &["address", "add", &format!("{taken}/24"), "dev", INTERFACE]);
    let daemon = DhcpDaemon::start(&[]);
    for (name, probe, declined) in
        [("quick", Probe::Quick, 1), ("thorough", Probe::Thorough, 2), ("never", Probe::Never, 2)]
    {
        let pod = pod(&lan, name);
        let mac = pod.link(INTERFACE)["address"].as_str().unwrap().to_owned();
        let server = serve(&lan, &[&format!("--dhcp-host={mac},{taken}")]);
        let reply = daemon.acquire(&pod, Wishes { probe: probe.into(), ..wishes() }).unwrap();
        let address = Ipv4Addr::from(reply.lease.unwrap().address).to_string();
        assert_eq!(address == taken, probe == Probe::Never, "{name}: {address}");
        assert_eq!(server.count("DHCPDECLINE"), usize::from(probe != Probe::Never), "{name}");
        assert_eq!(daemon.metric("linkspan_dhcp_declines_total"), declined, "{name}");
        daemon.release(&pod).unwrap();
    }
}

fn a_pod_waits_no_longer_than_it_is_to() {
    let lan = Lan::new("dhwait");
    let pod = pod(&lan, "pod");
    let daemon = DhcpDaemon::start(&["-resendtimeout", "1s", "-timeout=10s"]);
    let reply = daemon.acquire(&pod, wishes()).unwrap();
    let expected = format!(
        "no DHCP server has given {INTERFACE} of container {} on network fast an address in 1s",
        pod.name()
    );
    assert_eq!(reply.error, expected);
    assert!(!reply.advice.is_empty());
    assert_eq!((daemon.leases().len(), daemon.leases_on_disk().len()), (0, 0));
    assert_eq!(daemon.metric("linkspan_dhcp_failures_total"), 1);
    pod.run("ip", &["link", "set", INTERFACE, "down"]);
    let reply = daemon.acquire(&pod, wishes()).unwrap();
    assert!(reply.error.ends_with("is down"), "{}", reply.error);
    pod.delete();
    let reply = daemon.acquire(&pod, wishes()).unwrap();
    assert!(reply.error.ends_with("does not exist"), "{}", reply.error);
}
