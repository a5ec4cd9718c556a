//! Pods that ask for more than one VF, for more than there are, or for what the node does not offer.

use anyhow::{Result, ensure};

use super::{Scenario, scenarios};
use crate::cluster::Cluster;
use crate::pods::pod;
use crate::product::POOLS;

pub(super) const SCENARIOS: &[Scenario] = scenarios![
    limits_of_two_and_seven_vfs,
    who_asks_for_the_eighth_vf_is_pending_and_hears_why,
    a_pod_without_its_vf_never_starts,
];

fn limits_of_two_and_seven_vfs(cluster: &mut Cluster) -> Result<()> {
    for (network, count) in [("two", 2), ("seven", 7)] {
        cluster.start_pods(&[pod(network, network, Some((POOLS[0], count)))])?;
        let links = cluster.in_pod(network, &["ls", "/sys/class/net"])?;
        let vfs = links.lines().filter(|link| link.starts_with("eth")).count();
        ensure!(vfs == count, "the pod asked for {count} VFs, and has the links {links}");
        cluster.remove_pods()?;
    }
    Ok(())
}

fn who_asks_for_the_eighth_vf_is_pending_and_hears_why(cluster: &mut Cluster) -> Result<()> {
    let one = |name| pod(name, "left", Some((POOLS[0], 1)));
    cluster.start_pods(&[
        pod("five", "five", Some((POOLS[0], 5))),
        one("sixth"),
        one("seventh"),
    ])?;
    cluster.kubectl.apply(&[one("eighth")])?;
    cluster.await_event("eighth", &["FailedScheduling", "Insufficient linkspan.dev/left"])?;
    // It starts as soon as another gives its VF back.
    cluster.kubectl.run(&["delete", "pod", "sixth"])?;
    cluster.kubectl.wait("condition=Ready", &["pod/eighth"])
}

/// Named for the node by hand, past the scheduler, such a pod is admitted by the kubelet without any device.
fn a_pod_without_its_vf_never_starts(cluster: &mut Cluster) -> Result<()> {
    cluster.kubectl.apply(&[pod("without", "not-offered", None)])?;
    let words = ["linkspan.dev/fast", "linkspan.dev/left", "linkspan.dev/right"];
    cluster.await_event("without", &words)?;
    let phase =
        cluster.kubectl.run(&["get", "pod", "without", "-o", "jsonpath={.status.phase}"])?;
    ensure!(phase == "Pending", "a pod without its VF is {phase}");
    Ok(())
}
