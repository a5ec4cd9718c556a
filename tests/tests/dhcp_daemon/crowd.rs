//! Many leases: four hundred, or `LINKSPAN_CROWD=1000`. A thousand pods and their server know more neighbours than the
//! kernel does by default, in all namespaces together: `sysctl net.ipv4.neigh.default.gc_thresh3=8192`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, AsRawFd as _};

use linkspan_linux::{Netns, NewKind, NewLink, RouteSocket};
use linkspan_proto::dhcp::question::About;
use linkspan_proto::dhcp::{AcquireReply, AcquireRequest, Attachment};
use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::{DhcpDaemon, INTERFACE};
use linkspan_tests::dhcp_server::DhcpServer;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{FAR, Lan, PARENT};
use linkspan_tests::scrape;
use linkspan_tests::wait::until;
use linkspan_types::{IfName, MacvlanMode};

use crate::{BOUND, wishes};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq")]; all_leases_are_renewed_after_a_kill]
}

/// How many pods there are where nobody says.
const FEW: usize = 400;
/// More than the pods take to be attached, so that none is renewed before the kill. T2 is so late that who asks in vain
/// is not heard of again within this test (RFC 2131, section 4.4.5).
const TIMES: [&str; 2] = ["--dhcp-option-force=58,600", "--dhcp-option-force=59,3000"];

fn all_leases_are_renewed_after_a_kill() {
    let count = std::env::var("LINKSPAN_CROWD").ok().map_or(FEW, |text| text.parse().unwrap());
    let lan = Lan::new("dhcrowd");
    let more = [&["--dhcp-lease-max=5000"], &TIMES[..]].concat();
    let range = "10.120.1.0,10.120.15.250,1h";
    let server = DhcpServer::start(&lan.neighbour, FAR, "10.120.0.1/20", range, &more);
    let mut daemon = DhcpDaemon::start(&[]);
    let mut pods = Crowd::new(&lan);
    let attached: BTreeSet<_> = (0..count).map(|n| pods.attach(&daemon, n)).collect();
    assert_eq!(attached.len(), count, "no address is given twice");
    let process = daemon.process().id();
    assert_eq!(scrape::status(process, "Threads"), 2);

    let renewals = |daemon: &DhcpDaemon| -> BTreeMap<String, u64> {
        let all = daemon.leases().into_iter();
        let each =
            all.filter_map(|held| Some((held.attachment?.container_id, held.lease?.renews_at)));
        each.collect()
    };
    let before = renewals(&daemon);
    assert_eq!(server.count("DHCPACK"), count, "none was renewed yet");
    daemon.kill();
    daemon.resume(&["unshare", "--time", "--boottime", "600"]);
    until("all to be renewed", 3 * BOUND, || {
        let after = renewals(&daemon);
        before.iter().all(|(pod, at)| after.get(pod).is_some_and(|now| now > at)).then_some(())
    });
    let answered = (server.count("DHCPREQUEST"), server.count("DHCPACK"));
    assert_eq!(answered, (2 * count, 2 * count), "each has asked for more time once");
    assert_eq!(server.count("DHCPDISCOVER"), count, "none began anew");
    let leases = daemon.leases();
    let held = leases.iter().filter_map(|held| held.lease.as_ref().map(|l| l.address.into()));
    assert_eq!(held.collect::<BTreeSet<_>>(), attached);
    until("the server to have written all", BOUND, || {
        (server.leases().len() == count).then_some(())
    });
    assert_eq!(daemon.leases_on_disk().len(), count);
    for pod in 0..count {
        assert_eq!(pods.addresses(pod).len(), 1);
    }
}

/// Pods without a name, each a namespace that goes with the value: a thousand are made in seconds.
struct Crowd {
    home: Netns,
    host: RouteSocket,
    parent: u32,
    pods: Vec<(Netns, RouteSocket)>,
}

impl Crowd {
    fn new(lan: &Lan) -> Self {
        let netns = Netns::open(&lan.host.netns()).unwrap();
        let mut host = netns.within(RouteSocket::open).unwrap().unwrap();
        let parent = host.link_by_name(&PARENT.parse().unwrap()).unwrap().index;
        Self { home: Netns::current().unwrap(), host, parent, pods: Vec::new() }
    }

    /// Makes another pod, and gives it what the daemon has acquired for it, as the plugin does.
    fn attach(&mut self, daemon: &DhcpDaemon, number: usize) -> Ipv4Addr {
        let netns = Netns::private(&self.home).unwrap();
        let mut inside = netns.visit(&self.home, RouteSocket::open).unwrap().unwrap();
        let name: IfName = INTERFACE.parse().unwrap();
        let link = NewLink {
            name: &name,
            kind: NewKind::Macvlan {
                mode: MacvlanMode::Bridge,
                sources: &[],
                broadcast_queue: None,
            },
            parent: self.parent,
            netns: Some(&netns),
            index: None,
            mac: None,
            mtu: None,
            up: true,
            queues: None,
        };
        self.host.add_link(&link).unwrap();
        let index = inside.link_by_name(&name).unwrap().index;
        let attachment = Attachment {
            network: "crowd".to_owned(),
            container_id: number.to_string(),
            if_name: INTERFACE.to_owned(),
        };
        let request = AcquireRequest {
            attachment: Some(attachment),
            netns: format!("/proc/{}/fd/{}", std::process::id(), netns.as_fd().as_raw_fd()),
            wishes: Some(wishes()),
            ..AcquireRequest::default()
        };
        let reply: AcquireReply = daemon.ask(About::Acquire(request)).unwrap();
        let lease = reply.lease.unwrap_or_else(|| panic!("{}: {}", reply.error, reply.advice));
        let address = Ipv4Addr::from(lease.address);
        inside.add_address(index, format!("{address}/20").parse().unwrap()).unwrap();
        self.pods.push((netns, inside));
        address
    }

    fn addresses(&mut self, number: usize) -> Vec<Ipv4Addr> {
        let (_, socket) = &mut self.pods[number];
        let all = socket.all_addresses().unwrap().into_iter();
        all.filter_map(|(_, found)| match found.net.addr() {
            std::net::IpAddr::V4(address) => Some(address),
            std::net::IpAddr::V6(_) => None,
        })
        .collect()
    }
}
