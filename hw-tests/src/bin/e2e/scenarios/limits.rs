//! Pods that ask for what the node does not offer.

use anyhow::{Result, ensure};

use super::{Scenario, scenarios};
use crate::cluster::Cluster;
use crate::pods::pod;

pub(super) const SCENARIOS: &[Scenario] = scenarios![a_pod_without_its_vf_never_starts,];

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
