//! Pods that ask for a VF have it as their network.

use anyhow::{Result, ensure};

use super::{Scenario, scenarios};
use crate::cluster::Cluster;
use crate::pods::pod;

pub(super) const SCENARIOS: &[Scenario] = scenarios![two_pods_on_two_pfs_have_a_vf_each_and_ping];

/// By `resourceName`, without Multus; the VLAN shows in what the PF has set for the VF.
fn two_pods_on_two_pfs_have_a_vf_each_and_ping(cluster: &mut Cluster) -> Result<()> {
    cluster.start_pods(&[
        pod("left", "left", Some(("linkspan.dev/left", 1))),
        pod("right", "right", Some(("linkspan.dev/right", 1))),
    ])?;
    for (name, pf) in [("left", "ens1"), ("right", "ens2")] {
        let driver = cluster.in_pod(name, &["readlink", "/sys/class/net/eth0/device/driver"])?;
        ensure!(
            driver.trim().ends_with("/igbvf"),
            "{name}'s eth0 is no VF: its driver is {driver}"
        );
        let vlans = cluster.agent().shell(&format!("ip link show {pf} | grep -c 'vlan 100'"))?;
        ensure!(vlans.trim() == "1", "{vlans} VFs of {pf} are on VLAN 100");
    }
    let right = cluster.address("right")?;
    ensure!(right.starts_with("10.20.0."), "the pod's address is {right}");
    cluster.ping("left", &right)
}
