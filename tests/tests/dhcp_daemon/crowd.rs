//! Many leases: `LINKSPAN_CROWD=1000` for as many as a large node has. That takes more neighbours than the kernel
//! knows by default, in all namespaces together: `sysctl net.ipv4.neigh.default.gc_thresh3=8192`.

use std::collections::BTreeSet;

use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::{DhcpDaemon, addresses};
use linkspan_tests::dhcp_server::DhcpServer;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{FAR, Lan};
use linkspan_tests::pods::Pod;
use linkspan_tests::scrape;
use linkspan_tests::wait::until;

use crate::{BOUND, pod, wishes};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq")]; all_leases_are_renewed_after_a_kill]
}

/// How many pods there are where nobody says.
const FEW: usize = 40;

fn all_leases_are_renewed_after_a_kill() {
    let count = std::env::var("LINKSPAN_CROWD").ok().map_or(FEW, |text| text.parse().unwrap());
    let lan = Lan::new("dhcrowd");
    let more = ["--dhcp-lease-max=5000", "--dhcp-option-force=58,60", "--dhcp-option-force=59,3000"];
    let range = "10.120.1.0,10.120.15.250,1h";
    let server = DhcpServer::start(&lan.neighbour, FAR, "10.120.0.1/20", range, &more);
    let pods: Vec<Pod> = (0..count).map(|n| pod(&lan, &n.to_string())).collect();
    let mut daemon = DhcpDaemon::start(&[]);
    let attached: Vec<_> = pods.iter().map(|pod| daemon.attach(pod, wishes()).address).collect();
    let given: BTreeSet<_> = attached.iter().collect();
    assert_eq!(given.len(), count, "no address is given twice");
    let process = daemon.process().id();
    assert_eq!(scrape::status(process, "Threads"), 2);

    daemon.kill();
    let before = server.count("DHCPACK");
    daemon.resume(&["unshare", "--time", "--boottime", "60"]);
    until("all to be renewed", 2 * BOUND, || {
        (server.count("DHCPACK") >= before + count).then_some(())
    });
    assert_eq!(server.count("DHCPDISCOVER"), count, "none began anew");
    until("all answers to be heard", BOUND, || {
        let bound = daemon.metric(r#"linkspan_dhcp_leases{state="BOUND"}"#);
        (bound == u64::try_from(count).unwrap()).then_some(())
    });
    let leases = daemon.leases();
    let held = leases.iter().filter_map(|held| held.lease.as_ref().map(|lease| lease.address));
    assert_eq!(held.collect::<BTreeSet<_>>(), attached.iter().copied().collect());
    assert_eq!((server.leases().len(), daemon.leases_on_disk().len()), (count, count));
    for pod in pods.iter().take(5) {
        assert_eq!(addresses(pod).len(), 1);
    }
}
