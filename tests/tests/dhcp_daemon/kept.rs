//! A lease from its beginning to its end.

use std::net::Ipv4Addr;

use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::{DhcpDaemon, addresses};
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::Lan;
use linkspan_tests::wait::until;

use crate::{BOUND, SERVER, SOON, pod, serve, wishes};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq")];
        a_pod_gets_an_address_keeps_it_and_gives_it_back,
    ]
}

fn a_pod_gets_an_address_keeps_it_and_gives_it_back() {
    let lan = Lan::new("dhbind");
    let server = serve(&lan, &SOON);
    let pod = pod(&lan, "pod");
    let daemon = DhcpDaemon::start(&[]);
    let lease = daemon.attach(&pod, wishes());
    let address = Ipv4Addr::from(lease.address).to_string();
    assert_eq!(Ipv4Addr::from(lease.server).to_string(), SERVER);
    assert_eq!(lease.prefix_length, 24);
    assert_eq!(daemon.check(&pod).differences, [""; 0]);
    let granted = format!("DHCPACK({}) {address}", linkspan_tests::lan::FAR);
    assert_eq!(server.count(&granted), 1);
    until("two renewals", BOUND, || (server.count(&granted) >= 3).then_some(()));
    assert_eq!(daemon.state(&pod), "BOUND");
    assert_eq!(daemon.leases_on_disk().len(), 1);
    assert_eq!(addresses(&pod), [address.clone()]);
    daemon.release(&pod).unwrap();
    server.wait_for(&["DHCPRELEASE", &address]);
    assert_eq!((daemon.leases().len(), daemon.leases_on_disk().len()), (0, 0));
    assert!(server.leases().is_empty(), "{:?}", server.leases());
}
