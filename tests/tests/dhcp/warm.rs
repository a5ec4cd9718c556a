//! Leases that are ready before their pods come.

use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use linkspan_proto::dhcp::question::About;
use linkspan_proto::dhcp::{AcquireReply, Question, ReleaseReply, WarmReply};
use linkspan_proto::framing::{self, Message};
use linkspan_tests::cases;
use linkspan_tests::dhcp_daemon::DhcpDaemon;
use linkspan_tests::dhcp_server::DhcpServer;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::killed::{At, Steps, Sweep};
use linkspan_tests::lan::{FAR, Lan, PARENT};
use linkspan_tests::wait::until;
use linkspan_tests::wire::Listener;
use serde_json::json;

use crate::{Served, check, given};

/// Longer than anything takes that is waited for here.
const BOUND: Duration = Duration::from_mins(1);

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq"), Need::Tool("strace")];
        a_pod_has_the_address_and_the_mac_of_a_lease_that_was_ready,
        a_pod_with_a_mac_of_its_own_has_a_lease_of_its_own,
        a_pod_that_comes_too_late_asks_a_server_and_is_announced,
        an_add_with_a_lease_that_was_ready_killed_before_any_change_is_undone_by_del,
    ]
}

fn a_pod_has_the_address_and_the_mac_of_a_lease_that_was_ready() {
    let lan = Lan::new("dhcpwarm");
    let before = lan.shown();
    let range = "10.150.0.10,10.150.0.99,1h";
    let server = DhcpServer::start(&lan.neighbour, FAR, "10.150.0.1/24", range, &[]);
    let mut daemon = DhcpDaemon::start_on(&lan.host, &[]);
    for kind in ["macvlan", "macvtap"] {
        let ipam = daemon.ipam(&json!({"prefetch": 2, "hostname": "pod"}));
        let network = lan.network(json!({
            "type": "linkspan", "kind": kind, "parent": PARENT, "ipam": ipam,
        }));
        let (one, two) = (lan.pod("one"), lan.pod("two"));
        network.add(&one, "net1");
        let ready = daemon.wait_for_ready(2);
        let result = network.add(&two, "net1");
        let (address, mac) = given(&result);
        assert!(ready.contains(&address.parse::<Ipv4Addr>().unwrap()), "{address} in {ready:?}");
        assert_eq!(server.count(&format!("DHCPDISCOVER({FAR}) {mac}")), 1, "before its pod came");
        assert_eq!(two.link("net1")["address"], mac);
        assert!(lan.neighbour.pings(&address, 20));
        assert!(check(&network, &two, &result).success);
        let _ready = daemon.wait_for_ready(2);
        for pod in [&one, &two] {
            network.del(pod, "net1");
        }
        server.wait_for(&["DHCPRELEASE", &address]);
        assert_eq!(daemon.leases_on_disk().len(), 2);
    }
    // Other links of its parent show in a link of the host.
    daemon.wait_for_no_links();
    assert_eq!(lan.shown(), before);
    daemon.end();
    server.wait_for_no_lease();
}

fn a_pod_with_a_mac_of_its_own_has_a_lease_of_its_own() {
    let mut served = Served::new("dhcpwarmmac", &[]);
    served.daemon = DhcpDaemon::start_on(&served.lan.host, &[]);
    let network = served.network(&json!({ "prefetch": 1 }));
    let pods = ["first", "second"].map(|name| served.lan.pod(name));
    network.add(&pods[0], "net1");
    let ready = served.daemon.wait_for_ready(1);
    let mac = "02:00:00:00:01:51";
    let result = network.with("runtimeConfig", json!({ "mac": mac })).add(&pods[1], "net1");
    let (address, given) = given(&result);
    assert_eq!(given, mac);
    assert_ne!(address, ready[0].to_string());
    assert_eq!(served.daemon.wait_for_ready(1), ready);
    for pod in &pods {
        network.del(pod, "net1");
    }
}

/// Passes questions on to the daemon, and says of a lease that was ready that its time is over.
fn pass_on_late(listener: &UnixListener, daemon: &Path) {
    fn answer<A: Message + Default>(daemon: &Path, question: &Question) -> A {
        framing::ask_within(&mut UnixStream::connect(daemon).unwrap(), question, BOUND).unwrap()
    }
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let question: Question = framing::read(&mut stream).unwrap();
        let answered = match question.about {
            Some(About::Warm(_)) => {
                let told: WarmReply = answer(daemon, &question);
                assert!(told.lease.is_some() && told.until > 0, "{told:?}");
                framing::write(&mut stream, &WarmReply { until: 0, ..told })
            }
            Some(About::Acquire(_)) => {
                framing::write(&mut stream, &answer::<AcquireReply>(daemon, &question))
            }
            _ => framing::write(&mut stream, &answer::<ReleaseReply>(daemon, &question)),
        };
        answered.unwrap();
    }
}

fn a_pod_that_comes_too_late_asks_a_server_and_is_announced() {
    let mut served = Served::new("dhcplate", &[]);
    served.daemon = DhcpDaemon::start_on(&served.lan.host, &[]);
    let Served { lan, server, daemon } = &served;
    let (one, two) = (lan.pod("one"), lan.pod("two"));
    let network = |keys| served.network(&keys);
    network(json!({ "prefetch": 1 })).add(&one, "net1");
    let ready = daemon.wait_for_ready(1)[0].to_string();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("late");
    let listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, Permissions::from_mode(0o600)).unwrap();
    let at = daemon.socket();
    thread::spawn(move || pass_on_late(&listener, &at));

    let late = network(json!({ "prefetch": 1, "daemonSocketPath": socket }));
    let neighbour = Listener::on(&lan.neighbour, FAR);
    let asked = server.count("DHCPDISCOVER");
    let (address, mac) = given(&late.add(&two, "net1"));
    neighbour.wait_for_announcement(&address, &mac);
    assert!(lan.neighbour.pings(&address, 20));
    server.wait_for(&["DHCPRELEASE", &ready]);
    assert!(server.count("DHCPDISCOVER") > asked, "{}", server.log());
    let given: Vec<_> = server.leases().into_iter().filter(|given| given.mac == mac).collect();
    assert_eq!((given.len(), given[0].address.to_string()), (1, address));
    late.del(&two, "net1");
    let none = || server.leases().iter().all(|given| given.mac != mac).then_some(());
    until("the server to have it back", BOUND, none);
    network(json!({ "prefetch": 1 })).del(&one, "net1");
}

fn an_add_with_a_lease_that_was_ready_killed_before_any_change_is_undone_by_del() {
    let mut served = Served::new("dhcpkillwarm", &[]);
    served.daemon = DhcpDaemon::start_on(&served.lan.host, &[]);
    let Served { lan, server, daemon } = &mut served;
    let daemon = RefCell::new(daemon);
    let ipam = daemon.borrow().ipam(&json!({ "probe": "never", "prefetch": 1 }));
    let network = lan.network(json!({
        "type": "linkspan", "kind": "macvlan", "parent": PARENT, "ipam": ipam,
    }));
    let pod = lan.pod("pod");
    network.add(&pod, "net1");
    network.del(&pod, "net1");
    // No link of the daemon's own is there to be shown, and the next ADD has a lease that is ready.
    let show = || {
        let mut daemon = daemon.borrow_mut();
        let ready = daemon.wait_for_ready(1).len();
        daemon.wait_for_no_links();
        (lan.shown(), ready, daemon.leases_on_disk().len(), pod.run("ip", &["-j", "link"]))
    };
    let before = show();
    let verify = |place: &str| {
        assert_eq!(show(), before, "{place}");
        until(place, BOUND, || (server.leases().len() == 1).then_some(()));
    };
    let kills = Sweep { steps: Steps::ADD_THEN_DEL, verify: &verify, at: At::EveryChange }
        .run(&network, &pod);
    assert!(kills >= 10, "{kills}");
}
