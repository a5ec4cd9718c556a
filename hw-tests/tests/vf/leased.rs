//! VFs with leases of a DHCP server that is on a VF of another PF.

use linkspan_tests::bed::BedPf;
use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::dhcp_daemon::DhcpDaemon;
use linkspan_tests::dhcp_server::DhcpServer;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::Pod;
use serde_json::json;

use crate::address_of;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(2), Need::Tool("dnsmasq")];
        a_vf_gets_a_lease_of_its_vlan_s_server,
    ]
}

fn a_vf_gets_a_lease_of_its_vlan_s_server() {
    let (first, second) = (BedPf::nth(0), BedPf::nth(1));
    let daemon = DhcpDaemon::start(&[]);
    let [far, pod] = ["server", "pod"].map(|name| Pod::new("leased", name));
    let plain = Network::new("leased", json!({ "vlan": 100 }));
    let far_network = plain.with("deviceID", second.vfs[0].to_string());
    far_network.add(&far, "net1");
    far.wait_for_carrier("net1");
    let options = ["--dhcp-option=option:mtu,1400", "--dhcp-option=option:dns-server,10.68.0.53"];
    let server =
        DhcpServer::start(&far, "net1", "10.68.0.1/24", "10.68.0.10,10.68.0.99,1h", &options);

    let network = plain
        .with("deviceID", first.vfs[0].to_string())
        .with("mac", "02:00:00:00:68:01")
        .with("ipam", daemon.ipam(&json!({})));
    let result = network.add(&pod, "net1");
    let address = address_of(&result, 0);
    let lease = server.leases().remove(0);
    assert_eq!(
        (lease.address.to_string(), lease.mac.as_str()),
        (address.clone(), "02:00:00:00:68:01")
    );
    assert_eq!(result["interfaces"][0]["mtu"], 1400);
    assert_eq!(result["dns"]["nameservers"], json!(["10.68.0.53"]));
    assert_eq!(pod.link("net1")["mtu"], 1400);
    assert!(far.pings(&address, 30));

    network.del(&pod, "net1");
    server.wait_for(&["DHCPRELEASE", &address]);
    server.wait_for_no_lease();
    assert_eq!(daemon.leases_on_disk().len(), 0);
    far_network.del(&far, "net1");
}
