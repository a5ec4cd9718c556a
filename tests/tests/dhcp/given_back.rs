//! How a lease is given back, also by DEL and GC of pods that are gone.

use std::time::{Duration, Instant};

use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use serde_json::json;

use crate::{Served, check, given};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq")];
        every_del_is_a_release_that_the_server_takes,
        a_del_of_a_pod_that_is_gone_forgets_its_lease,
        gc_gives_back_what_is_not_valid,
        check_tells_that_there_is_no_lease,
        a_failed_add_gives_its_lease_back,
    ]
}

fn every_del_is_a_release_that_the_server_takes() {
    let served = Served::new("dhcprelease", &[]);
    let network = served.network(&json!({}));
    let pod = served.lan.pod("pod");
    for round in 1..=5 {
        network.add(&pod, "net1");
        network.del(&pod, "net1");
        served.server.wait_for_no_lease();
        assert_eq!(served.server.count("DHCPRELEASE"), round);
        network.del(&pod, "net1");
    }
    // dnsmasq adds to its line what it does not accept: "unknown lease", "wrong address".
    let log = served.server.log();
    let releases: Vec<&str> = log.lines().filter(|line| line.contains("DHCPRELEASE")).collect();
    assert_eq!(releases.len(), 5, "{releases:#?}");
    let refused = |line: &&&str| line.contains("unknown") || line.contains("wrong");
    assert_eq!(releases.iter().find(refused), None);
}

fn a_del_of_a_pod_that_is_gone_forgets_its_lease() {
    let served = Served::new("dhcpgone", &[]);
    let network = served.network(&json!({}));
    let pod = served.lan.pod("pod");
    network.add(&pod, "net1");
    assert_eq!(served.daemon.leases_on_disk().len(), 1);
    pod.delete();
    let start = Instant::now();
    network.del(&pod, "net1");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!((served.daemon.leases_on_disk().len(), served.lan.records()), (0, Vec::new()));
}

fn gc_gives_back_what_is_not_valid() {
    let served = Served::new("dhcpgc", &[]);
    let network = served.network(&json!({}));
    let pods = ["valid", "stale"].map(|name| served.lan.pod(name));
    let [valid, stale] = pods.each_ref().map(|pod| given(&network.add(pod, "net1")).0);
    let attachments = json!([{ "containerID": pods[0].name(), "ifname": "net1" }]);
    let collect = network.with("cni.dev/valid-attachments", attachments);
    let reply = collect.call("GC", &[]);
    assert!(reply.success, "{reply:#?}");
    served.server.wait_for(&["DHCPRELEASE", &stale]);
    assert_eq!(served.server.count(&format!("DHCPRELEASE({}) {valid}", "far0")), 0);
    assert_eq!((served.daemon.leases_on_disk().len(), served.lan.records().len()), (1, 1));
    let reply = network.with("cni.dev/valid-attachments", json!([])).call("GC", &[]);
    assert!(reply.success, "{reply:#?}");
    served.server.wait_for(&["DHCPRELEASE", &valid]);
    assert_eq!(served.daemon.leases_on_disk().len(), 0);
}

fn check_tells_that_there_is_no_lease() {
    let served = Served::new("dhcpcheck", &[]);
    let network = served.network(&json!({}));
    let pod = served.lan.pod("pod");
    let result = network.add(&pod, "net1");
    assert!(check(&network, &pod, &result).success);
    let (address, _) = given(&result);
    pod.run("ip", &["address", "delete", &format!("{address}/24"), "dev", "net1"]);
    let differs = check(&network, &pod, &result);
    assert_eq!(differs.code(), Some(105), "{differs:#?}");
    assert!(differs.msg().contains(&format!("no address {address}/24")), "{differs:#?}");
    network.del(&pod, "net1");
    let gone = check(&network, &pod, &result);
    assert!(!gone.success, "{gone:#?}");
}

fn a_failed_add_gives_its_lease_back() {
    // A next hop that nobody can reach: the kernel refuses the route, and the ADD with it.
    let served = Served::new("dhcpfailed", &["--dhcp-option=121,10.151.0.0/16,10.99.0.1"]);
    let before = served.lan.shown();
    let network = served.network(&json!({}));
    let pod = served.lan.pod("pod");
    let reply = network.try_add(&pod, "net1");
    assert_eq!(reply.code(), Some(100), "{reply:#?}");
    served.server.wait_for(&["DHCPRELEASE"]);
    served.server.wait_for_no_lease();
    assert_eq!(served.daemon.leases_on_disk().len(), 0);
    assert_eq!(served.lan.shown(), before);
}
