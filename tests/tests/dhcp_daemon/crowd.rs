//! Many leases: forty, or `LINKSPAN_CROWD=1000`. A thousand take more neighbours than the kernel knows by default, in
//! all namespaces together (`sysctl net.ipv4.neigh.default.gc_thresh3=8192`), and then fail still: on one macvlan parent
//! so many ask by ARP that some is lost, and a renewal that is lost is tried again after half of the time that is left
//! until T2 (RFC 2131, section 4.4.5), longer than this test waits.

use std::collections::{BTreeMap, BTreeSet};

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
    let more =
        ["--dhcp-lease-max=5000", "--dhcp-option-force=58,60", "--dhcp-option-force=59,3000"];
    let range = "10.120.1.0,10.120.15.250,1h";
    let server = DhcpServer::start(&lan.neighbour, FAR, "10.120.0.1/20", range, &more);
    let pods: Vec<Pod> = (0..count).map(|n| pod(&lan, &n.to_string())).collect();
    let mut daemon = DhcpDaemon::start(&[]);
    let attached: Vec<_> = pods.iter().map(|pod| daemon.attach(pod, wishes()).address).collect();
    let given: BTreeSet<_> = attached.iter().collect();
    assert_eq!(given.len(), count, "no address is given twice");
    let process = daemon.process().id();
    assert_eq!(scrape::status(process, "Threads"), 2);

    let renewals = |daemon: &DhcpDaemon| -> BTreeMap<String, u64> {
        let all = daemon.leases().into_iter();
        let each =
            all.filter_map(|held| Some((held.attachment?.container_id, held.lease?.renews_at)));
        each.collect()
    };
    let before = renewals(&daemon);
    daemon.kill();
    daemon.resume(&["unshare", "--time", "--boottime", "60"]);
    until("all to be renewed", 3 * BOUND, || {
        let after = renewals(&daemon);
        before.iter().all(|(pod, at)| after.get(pod).is_some_and(|now| now > at)).then_some(())
    });
    assert_eq!(server.count("DHCPDISCOVER"), count, "none began anew");
    let leases = daemon.leases();
    let held = leases.iter().filter_map(|held| held.lease.as_ref().map(|lease| lease.address));
    assert_eq!(held.collect::<BTreeSet<_>>(), attached.iter().copied().collect());
    assert_eq!((server.leases().len(), daemon.leases_on_disk().len()), (count, count));
    for pod in pods.iter().take(5) {
        assert_eq!(addresses(pod).len(), 1);
    }
}
