//! Pods that ask for a VF have it as their network.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{Scenario, scenarios};
use crate::cluster::Cluster;
use crate::pods::pod;
use crate::product::{await_all_vfs, await_vfs};
use crate::wait;

pub(super) const SCENARIOS: &[Scenario] = scenarios![
    two_pods_on_two_pfs_have_a_vf_each_and_ping,
    a_cpu_and_a_vf_are_of_one_numa_node,
    a_program_in_the_pod_drives_its_vf,
];

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

/// The operator has bound a VF to vfio-pci: it moves to the pool of such VFs while the device plugin runs, and back.
fn a_program_in_the_pod_drives_its_vf(cluster: &mut Cluster) -> Result<()> {
    let [_, right] = crate::product::POOLS;
    let user_space = "linkspan.dev/user-space";
    cluster.agent().shell(&format!("{VF}; bind vfio-pci"))?;
    await_vfs(cluster, user_space, 1)?;
    await_vfs(cluster, right, 6)?;
    cluster.start_pods(&[pod("vfio", "user-space", Some((user_space, 1)))])?;
    let group = cluster.agent().shell(&format!("{VF}; basename $(readlink $vf/iommu_group)"))?;
    let nodes = cluster.in_pod("vfio", &["ls", "/dev/vfio"])?;
    let mut expected = [group.trim(), "vfio"];
    expected.sort_unstable();
    ensure!(
        nodes.split_whitespace().eq(expected),
        "IOMMU group {group}, and /dev/vfio of the pod has {nodes}"
    );
    cluster.in_pod("vfio", &["sh", "-c", "exec 3<>/dev/vfio/vfio"])?;
    let on_pf = cluster.agent().shell("ip link show ens2 | grep 'vf 6 '")?;
    ensure!(
        ["02:00:00:00:02:01", "vlan 200", "trust on"].iter().all(|setting| on_pf.contains(setting)),
        "the PF has for the VF: {on_pf}"
    );
    cluster.remove_pods()?;
    wait::until("the VF is as it was", || {
        let on_pf = cluster.agent().shell("ip link show ens2 | grep 'vf 6 '")?;
        ensure!(!on_pf.contains("vlan 200"), "the PF has for it: {on_pf}");
        Ok(())
    })?;
    cluster.agent().shell(&format!("{VF}; bind ''; link=$(ls $vf/net); ip link set dev $link down; ip link set dev $link name ens2v6"))?;
    await_all_vfs(cluster, right)
}

/// The last VF of the right PF, and how an operator chooses its driver; the kernel's own choice is no name.
const VF: &str = "set -e
vf=$(realpath /sys/class/net/ens2/device/virtfn6)
bind() {
    echo \"$1\" > $vf/driver_override
    basename $vf > $vf/driver/unbind
    basename $vf > /sys/bus/pci/drivers_probe
}";
