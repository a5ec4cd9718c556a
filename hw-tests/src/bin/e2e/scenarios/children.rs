//! Pods on children of a host link, which need no VF and no device plugin.

use anyhow::{Result, ensure};

use super::{Scenario, scenarios};
use crate::cluster::Cluster;
use crate::pods::pod;
use crate::wait;

pub(super) const SCENARIOS: &[Scenario] = scenarios![
    pods_on_macvlan_ping,
    pods_on_ipvlan_ping,
    a_pod_has_a_macvtap_link,
    a_pod_has_its_address_from_a_dhcp_server,
];

fn pods_on_macvlan_ping(cluster: &mut Cluster) -> Result<()> {
    two_pods_ping(cluster, "macvlan")
}

fn pods_on_ipvlan_ping(cluster: &mut Cluster) -> Result<()> {
    two_pods_ping(cluster, "ipvlan")
}

/// Whatever reaches such a link is for a virtual machine, so it answers no ping.
fn a_pod_has_a_macvtap_link(cluster: &mut Cluster) -> Result<()> {
    cluster.start_pods(&[pod("macvtap", "macvtap", None)])?;
    let address = cluster.address("macvtap")?;
    ensure!(address.starts_with("10.12.0."), "its address is {address}");
    cluster.in_pod("macvtap", &["ls", "/sys/class/net/eth0/macvtap"]).map(drop)
}

/// The lease is the daemon's, and goes with the pod.
fn a_pod_has_its_address_from_a_dhcp_server(cluster: &mut Cluster) -> Result<()> {
    cluster.agent().shell(
        "set -e
         ip netns add dhcp-server
         ip link add server link ens1 netns dhcp-server type macvlan mode bridge
         ip -n dhcp-server address add 10.13.0.1/24 dev server
         ip -n dhcp-server link set dev server up
         ip netns exec dhcp-server dnsmasq --conf-file=/dev/null --port=0 --interface=server --user=root \
             --dhcp-range=10.13.0.50,10.13.0.99,1h --dhcp-leasefile=/run/node/leases --pid-file=/run/node/dnsmasq.pid",
    )?;
    cluster.start_pods(&[pod("dhcp", "dhcp", None)])?;
    let address = cluster.address("dhcp")?;
    ensure!(address.starts_with("10.13.0."), "its address is {address}");
    cluster.ping("dhcp", "10.13.0.1")?;
    cluster.remove_pods()?;
    wait::until("the lease is given back", || {
        let leases = cluster.agent().shell("cat /run/node/leases")?;
        ensure!(!leases.contains(&address), "the server still has {leases}");
        Ok(())
    })?;
    let end = "kill $(cat /run/node/dnsmasq.pid) && ip netns del dhcp-server";
    cluster.agent().shell(end).map(drop)
}

fn two_pods_ping(cluster: &Cluster, network: &str) -> Result<()> {
    cluster.start_pods(&[pod("one", network, None), pod("two", network, None)])?;
    cluster.ping("one", &cluster.address("two")?)
}
