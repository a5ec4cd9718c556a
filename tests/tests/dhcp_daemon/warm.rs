//! Leases that are ready before their pods come.

use std::fs;
use std::net::Ipv4Addr;

use linkspan_proto::dhcp::question::About;
use linkspan_proto::dhcp::{
    AcquireReply, AcquireRequest, Lease, Prefetch, Probe, WarmReply, WarmRequest, Wishes,
};
use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::{DhcpDaemon, INTERFACE, addresses as addresses_of, attachment};
use linkspan_tests::dhcp_server::DhcpServer;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{FAR, Lan, PARENT};
use linkspan_tests::pods::Pod;
use linkspan_tests::wait::until;

use crate::{BOUND, SERVER, SOON, pod, serve, wishes};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq")];
        a_pod_gets_a_lease_that_was_ready,
        what_is_ready_is_kept_and_renewed_after_a_kill,
        what_is_ready_is_given_back_at_the_end,
        a_lease_whose_pod_never_comes_is_given_back,
        a_lease_whose_pod_has_come_stays_when_the_daemon_ends,
        a_lease_is_one_pod_s_wherever_the_daemon_is_killed,
        fewer_are_wanted,
        rivals_for_the_last_addresses_have_one_each,
    ]
}

/// So many leases for pods on the parent.
fn prefetch(leases: u32, vlan: u32) -> Prefetch {
    Prefetch { leases, parent: PARENT.to_owned(), vlan }
}

fn wanting(prefetch: &Prefetch) -> Wishes {
    Wishes { prefetch: Some(prefetch.clone()), ..wishes() }
}

/// Takes a lease that is ready for this pod, as the plugin does before it makes the link; tells its MAC and address.
fn take(daemon: &DhcpDaemon, pod: &Pod, prefetch: &Prefetch) -> Option<(String, Ipv4Addr)> {
    let request = WarmRequest {
        attachment: Some(attachment(pod)),
        prefetch: Some(prefetch.clone()),
        wishes: Some(wanting(prefetch)),
        netns: pod.netns().display().to_string(),
        pod: String::new(),
    };
    let WarmReply { lease, .. } = daemon.ask(About::Warm(request)).unwrap();
    let lease = lease?;
    let digits: Vec<String> = lease.mac.iter().map(|byte| format!("{byte:02x}")).collect();
    Some((digits.join(":"), lease.address.into()))
}

fn acquire(daemon: &DhcpDaemon, pod: &Pod, prefetch: &Prefetch) -> Lease {
    let request = AcquireRequest {
        attachment: Some(attachment(pod)),
        netns: pod.netns().display().to_string(),
        wishes: Some(wanting(prefetch)),
        ..AcquireRequest::default()
    };
    let reply: AcquireReply = daemon.ask(About::Acquire(request)).unwrap();
    reply.lease.unwrap_or_else(|| panic!("{}: {}", reply.error, reply.advice))
}

/// Makes a pod's link with the MAC and the address of a lease.
fn link(lan: &Lan, pod: &Pod, mac: &str, address: Ipv4Addr) {
    let netns = pod.name().to_owned();
    let add = ["link", "add", "link", PARENT, "name", INTERFACE, "address", mac, "netns", &netns];
    lan.host.run("ip", &[&add[..], &["type", "macvlan", "mode", "bridge"]].concat());
    pod.run("ip", &["address", "add", &format!("{address}/24"), "dev", INTERFACE]);
    pod.run("ip", &["link", "set", INTERFACE, "up"]);
}

/// Waits until the server has given more time to an address.
fn until_renewed(server: &DhcpServer, address: Ipv4Addr, mac: &str) {
    let granted = format!("DHCPACK(far0) {address} {mac}");
    let before = server.count(&granted);
    // One that gets lost is repeated after a minute.
    until("a renewal", 2 * BOUND, || (server.count(&granted) > before).then_some(()));
}

/// Its file is empty for a moment whenever it is written anew.
fn until_given(server: &DhcpServer, count: usize) {
    until(&format!("{count} leases of the server"), BOUND, || {
        (server.leases().len() == count).then_some(())
    });
}

fn a_pod_gets_a_lease_that_was_ready() {
    let lan = Lan::new("dhwarm");
    let server = serve(&lan, &SOON);
    let mut daemon = DhcpDaemon::start_on(&lan.host, &[]);
    let two = prefetch(2, 0);
    let first = pod(&lan, "first");
    assert_eq!(take(&daemon, &first, &two), None, "nobody has wanted any yet");
    let _lease = acquire(&daemon, &first, &two);
    let addresses = daemon.wait_for_ready(2);
    daemon.wait_for_no_links();

    assert_eq!(take(&daemon, &first, &two), None, "the pod has a lease already");
    let second = lan.pod("second");
    let (mac, address) = take(&daemon, &second, &two).unwrap();
    let again = take(&daemon, &second, &two);
    assert_eq!(again, Some((mac.clone(), address)), "asked again, told the same");
    link(&lan, &second, &mac, address);
    assert!(addresses.contains(&address));
    let given: Vec<_> = server.leases().into_iter().filter(|given| given.mac == mac).collect();
    assert_eq!((given.len(), given[0].address), (1, address));
    assert_eq!(given[0].client_id, Some(format!("01:{mac}")));
    assert_eq!(server.count(&format!("DHCPDISCOVER(far0) {mac}")), 1, "asked for once, before");

    // It is a lease like any other from then on, and another one is ready instead.
    assert!(!daemon.wait_for_ready(2).contains(&address));
    until_given(&server, 4);
    assert_eq!(daemon.check(&second).differences, [""; 0]);
    until_renewed(&server, address, &mac);
    daemon.release(&second).unwrap();
    server.wait_for(&["DHCPRELEASE", &address.to_string()]);
    until_given(&server, 3);
    assert_eq!(daemon.collect(&[&first]).collected, [], "what is ready is no garbage");
}

fn what_is_ready_is_kept_and_renewed_after_a_kill() {
    let lan = Lan::new("dhwkill");
    let server = serve(&lan, &SOON);
    let mut daemon = DhcpDaemon::start_on(&lan.host, &[]);
    let two = prefetch(2, 0);
    let first = pod(&lan, "first");
    let _lease = acquire(&daemon, &first, &two);
    let addresses = daemon.wait_for_ready(2);
    daemon.kill();
    let began = server.count("DHCPDISCOVER");
    daemon.resume_on(&lan.host);
    assert_eq!(daemon.wait_for_ready(2), addresses);
    for address in &addresses {
        let granted = format!("DHCPACK(far0) {address}");
        let before = server.count(&granted);
        until("two renewals", 2 * BOUND, || (server.count(&granted) >= before + 2).then_some(()));
    }
    assert_eq!(daemon.wait_for_ready(2), addresses);
    assert_eq!(server.count("DHCPDISCOVER"), began, "none began anew");
    daemon.wait_for_no_links();
    let second = lan.pod("second");
    let (mac, address) = take(&daemon, &second, &two).unwrap();
    // Killed while the pod is being made.
    daemon.kill();
    daemon.resume_on(&lan.host);
    link(&lan, &second, &mac, address);
    assert!(addresses.contains(&address));
    until_renewed(&server, address, &mac);
    assert_eq!(addresses_of(&second), [address.to_string()]);
}

fn what_is_ready_is_given_back_at_the_end() {
    let lan = Lan::new("dhwend");
    let server = serve(&lan, &[]);
    let mut daemon = DhcpDaemon::start_on(&lan.host, &[]);
    let first = pod(&lan, "first");
    let lease = acquire(&daemon, &first, &prefetch(3, 0));
    let _ready = daemon.wait_for_ready(3);
    until_given(&server, 4);
    daemon.end();
    until_given(&server, 1);
    assert_eq!(server.leases()[0].address, Ipv4Addr::from(lease.address));
    assert_eq!(daemon.leases_on_disk().len(), 1);
}

fn a_lease_whose_pod_never_comes_is_given_back() {
    let lan = Lan::new("dhwnone");
    let server = serve(&lan, &[]);
    let daemon = DhcpDaemon::start_on(&lan.host, &["--resendtimeout=3s"]);
    let one = prefetch(1, 0);
    let first = pod(&lan, "first");
    let _lease = acquire(&daemon, &first, &one);
    let _ready = daemon.wait_for_ready(1);
    let (second, third) = (lan.pod("second"), lan.pod("third"));
    let (_, address) = take(&daemon, &second, &one).unwrap();
    // Others are made ready behind it, and are other ones.
    let (_, of_third) = until("another one", BOUND, || take(&daemon, &third, &one));
    assert_ne!(of_third, address, "it is another pod's");
    for address in [address, of_third] {
        server.wait_for(&["DHCPRELEASE", &address.to_string()]);
    }
    let _ready = daemon.wait_for_ready(1);
    until_given(&server, 2);
    assert_eq!((daemon.leases().len(), daemon.leases_on_disk().len()), (2, 2));
}

fn a_lease_whose_pod_has_come_stays_when_the_daemon_ends() {
    let lan = Lan::new("dhwcome");
    let server = serve(&lan, &SOON);
    let mut daemon = DhcpDaemon::start_on(&lan.host, &[]);
    let (first, second) = (pod(&lan, "first"), lan.pod("second"));
    let one = prefetch(1, 0);
    let _lease = acquire(&daemon, &first, &one);
    let _ready = daemon.wait_for_ready(1);
    let (mac, address) = take(&daemon, &second, &one).unwrap();
    link(&lan, &second, &mac, address);
    daemon.end();
    let released = format!("DHCPRELEASE(far0) {address}");
    assert_eq!(server.count(&released), 0, "{}", server.log());
    daemon.resume_on(&lan.host);
    until_renewed(&server, address, &mac);
    // Given back over the pod's own link.
    daemon.release(&second).unwrap();
    server.wait_for(&[&released]);
}

/// Of the steps by which a pod gets a lease, the first is done in the files, and not the second.
fn a_lease_is_one_pod_s_wherever_the_daemon_is_killed() {
    let lan = Lan::new("dhwtwice");
    let _server = serve(&lan, &[]);
    let mut daemon = DhcpDaemon::start_on(&lan.host, &[]);
    let (first, second, third) = (pod(&lan, "first"), lan.pod("second"), lan.pod("third"));
    let one = prefetch(1, 0);
    let _lease = acquire(&daemon, &first, &one);
    let ready = daemon.wait_for_ready(1);
    let folder = daemon.socket().with_file_name("leases");
    let unused = daemon.leases_on_disk().into_iter().find(|name| name.contains("=warm-")).unwrap();
    let text = fs::read(folder.join(&unused)).unwrap();
    let (mac, address) = take(&daemon, &second, &one).unwrap();
    assert_eq!(ready, [address]);
    daemon.kill();
    fs::write(folder.join(&unused), text).unwrap();
    daemon.resume_on(&lan.host);
    // It is asked as soon as it listens, and answers when it has read its files.
    let _leases = daemon.leases();
    assert!(!daemon.leases_on_disk().contains(&unused));
    assert_ne!(take(&daemon, &third, &one).map(|(_, address)| address), Some(address));
    link(&lan, &second, &mac, address);
    assert_eq!(daemon.check(&second).differences, [""; 0]);
}

fn fewer_are_wanted() {
    let lan = Lan::new("dhwless");
    let server = serve(&lan, &[]);
    let daemon = DhcpDaemon::start_on(&lan.host, &[]);
    let (first, second) = (pod(&lan, "first"), pod(&lan, "second"));
    let _lease = acquire(&daemon, &first, &prefetch(3, 0));
    let _ready = daemon.wait_for_ready(3);
    let _lease = acquire(&daemon, &second, &prefetch(1, 0));
    let _ready = daemon.wait_for_ready(1);
    until_given(&server, 3);
}

/// dnsmasq offers an address to all who ask before one has it, so that they look for it among their neighbours at the same
/// time, and gives it to the first.
fn rivals_for_the_last_addresses_have_one_each() {
    let lan = Lan::new("dhwrival");
    let range = "10.120.0.251,10.120.0.254,1h";
    let server = DhcpServer::start(&lan.neighbour, FAR, &format!("{SERVER}/24"), range, &[]);
    let daemon = DhcpDaemon::start_on(&lan.host, &[]);
    let first = pod(&lan, "first");
    let wishes = Wishes { probe: Probe::Quick.into(), ..wanting(&prefetch(3, 0)) };
    let request = AcquireRequest {
        attachment: Some(attachment(&first)),
        netns: first.netns().display().to_string(),
        wishes: Some(wishes),
        ..AcquireRequest::default()
    };
    let reply: AcquireReply = daemon.ask(About::Acquire(request)).unwrap();
    assert!(reply.lease.is_some(), "{}: {}", reply.error, reply.advice);
    let _ready = daemon.wait_for_ready(3);
    assert_eq!(server.count("DHCPDECLINE"), 0, "no neighbour had any of them");
}
