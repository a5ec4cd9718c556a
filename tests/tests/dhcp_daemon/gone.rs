//! Pods that are gone, with and without a word.

use std::net::Ipv4Addr;

use linkspan_proto::dhcp::{WhenGone, Wishes};
use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::{DhcpDaemon, INTERFACE, acquisition, attachment};
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{Lan, PARENT};
use linkspan_tests::wait::until;

use crate::{BOUND, SOON, pod, serve, wishes};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq")];
        a_namespace_goes_with_its_pod_and_the_lease_when_that_is_due,
        the_lease_of_a_pod_that_is_gone_is_given_back_where_that_is_wanted,
        a_pod_that_is_gone_gives_its_lease_back_at_del,
        garbage_is_given_back,
        an_address_that_nobody_waits_for_any_more_is_given_back,
    ]
}

/// The daemon as it is on a node whose parent has an address in the pods' network.
fn daemon_on(lan: &Lan) -> DhcpDaemon {
    lan.host.run("ip", &["address", "add", "10.120.0.9/24", "dev", PARENT]);
    let nsenter = format!("--net={}", lan.host.netns().display());
    let mut daemon = DhcpDaemon::start(&[]);
    daemon.end();
    daemon.resume(&["nsenter", &nsenter]);
    daemon
}

fn a_namespace_goes_with_its_pod_and_the_lease_when_that_is_due() {
    let lan = Lan::new("dhgone");
    let server = serve(&lan, &SOON);
    let pod = pod(&lan, "pod");
    // A second interface, whose other end tells when the namespace is gone.
    let netns = pod.name().to_owned();
    lan.host
        .run("ip", &["link", "add", "told", "type", "veth", "peer", "name", "x", "netns", &netns]);
    let daemon = DhcpDaemon::start(&[]);
    let _lease = daemon.attach(&pod, wishes());
    let granted = server.count("DHCPACK");
    until("a renewal", BOUND, || (server.count("DHCPACK") > granted).then_some(()));
    pod.delete();
    let start = std::time::Instant::now();
    until("the namespace to go", BOUND, || {
        (!lan.host.run("ip", &["link"]).contains("told")).then_some(())
    });
    assert!(start.elapsed().as_secs() < 2, "it was kept for {:?}", start.elapsed());
    until("the lease to be forgotten", BOUND, || daemon.leases().is_empty().then_some(()));
    assert_eq!(daemon.leases_on_disk().len(), 0);
    assert_eq!(daemon.metric("linkspan_dhcp_orphans_total"), 1);
    assert_eq!((server.count("DHCPRELEASE"), server.leases().len()), (0, 1), "it is to expire");
}

fn the_lease_of_a_pod_that_is_gone_is_given_back_where_that_is_wanted() {
    let lan = Lan::new("dhgback");
    let server = serve(&lan, &SOON);
    let daemon = daemon_on(&lan);
    let pod = pod(&lan, "pod");
    let wishes = Wishes { when_gone: WhenGone::Release.into(), ..wishes() };
    let lease = daemon.attach(&pod, wishes);
    // The namespace stays, but the interface does not.
    pod.run("ip", &["link", "delete", INTERFACE]);
    server.wait_for(&["DHCPRELEASE", &Ipv4Addr::from(lease.address).to_string()]);
    until("the server to have it back", BOUND, || server.leases().is_empty().then_some(()));
    until("it to be forgotten", BOUND, || daemon.leases_on_disk().is_empty().then_some(()));
}

fn a_pod_that_is_gone_gives_its_lease_back_at_del() {
    let lan = Lan::new("dhgdel");
    let server = serve(&lan, &[]);
    let daemon = daemon_on(&lan);
    let pod = pod(&lan, "pod");
    let _lease = daemon.attach(&pod, wishes());
    pod.delete();
    assert_eq!(daemon.check(&pod).differences.len(), 1);
    assert_eq!(daemon.release(&pod).unwrap().error, "");
    until("the server to have it back", BOUND, || server.leases().is_empty().then_some(()));
    assert_eq!(daemon.leases_on_disk().len(), 0);
}

fn garbage_is_given_back() {
    let lan = Lan::new("dhgc");
    let server = serve(&lan, &[]);
    let daemon = DhcpDaemon::start(&[]);
    let pods: Vec<_> = ["a", "b", "c"].map(|name| pod(&lan, name)).into_iter().collect();
    for pod in &pods {
        let _lease = daemon.attach(pod, wishes());
    }
    let mut collected = daemon.collect(&[&pods[1]]).collected;
    collected.sort_by_key(|one| one.container_id.clone());
    assert_eq!(collected, [attachment(&pods[0]), attachment(&pods[2])]);
    until("the server to have two back", BOUND, || (server.leases().len() == 1).then_some(()));
    assert_eq!(daemon.check(&pods[1]).differences, [""; 0]);
}

fn an_address_that_nobody_waits_for_any_more_is_given_back() {
    let lan = Lan::new("dhhung");
    let pod = pod(&lan, "pod");
    let daemon = DhcpDaemon::start(&[]);
    let mut stream = std::os::unix::net::UnixStream::connect(daemon.socket()).unwrap();
    let about = linkspan_proto::dhcp::question::About::Acquire(acquisition(&pod, wishes()));
    let question = linkspan_proto::dhcp::Question { about: Some(about) };
    linkspan_proto::framing::write(&mut stream, &question).unwrap();
    until("it to begin", BOUND, || (daemon.state(&pod) == "SELECTING").then_some(()));
    drop(stream);
    until("it to end", BOUND, || daemon.leases().is_empty().then_some(()));
}
