//! Pods that ask for a VF have it as their network.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{Scenario, scenarios};
use crate::cluster::Cluster;
use crate::pods::pod;

pub(super) const SCENARIOS: &[Scenario] =
    scenarios![two_pods_on_two_pfs_have_a_vf_each_and_ping, a_cpu_and_a_vf_are_of_one_numa_node,];

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

/// The only CPU that pods may have for themselves is on the right PF's NUMA node, so one with a VF of the left PF is refused.
fn a_cpu_and_a_vf_are_of_one_numa_node(cluster: &mut Cluster) -> Result<()> {
    let mut with_cpu = ["right", "left"].map(|side| {
        let mut pod = pod(&format!("cpu-{side}"), side, Some((&format!("linkspan.dev/{side}"), 1)));
        let limits = &mut pod["spec"]["containers"][0]["resources"]["limits"];
        limits["cpu"] = json!("1");
        limits["memory"] = json!("32Mi");
        pod
    });
    cluster.start_pods(&with_cpu[..1])?;
    let node = cluster.in_pod("cpu-right", &["cat", "/sys/class/net/eth0/device/numa_node"])?;
    let cpus = cluster.in_pod("cpu-right", &["grep", "Cpus_allowed_list", "/proc/self/status"])?;
    ensure!(
        node.trim() == "1" && cpus.trim().ends_with("\t1"),
        "its VF is on node {node}, its CPUs: {cpus}"
    );
    cluster.remove_pods()?;
    // Named for the node by hand: nothing tries it again and again.
    with_cpu[1]["spec"]["nodeName"] = json!("localhost");
    cluster.kubectl.apply(&with_cpu[1..])?;
    cluster.kubectl.wait("jsonpath={.status.reason}=TopologyAffinityError", &["pod/cpu-left"])
}
