//! Daemons that end under running pods.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{Scenario, scenarios};
use crate::cluster::Cluster;
use crate::pods::pod;
use crate::product::POOLS;

pub(super) const SCENARIOS: &[Scenario] = scenarios![
    the_device_plugin_is_killed_under_running_pods,
    the_kubelet_is_killed_under_running_pods,
    containerd_is_killed_under_running_pods,
];

/// What the pods ask for.
const ONE: Option<(&str, usize)> = Some((POOLS[0], 1));
const FIVE: Option<(&str, usize)> = Some((POOLS[0], 5));

/// Ends every program of that name, as a crash would.
const KILL_PLUGIN: &str = "kill -9 $(pidof linkspan-device-plugin)";

fn the_device_plugin_is_killed_under_running_pods(cluster: &mut Cluster) -> Result<()> {
    under_running_pods(cluster, |cluster| cluster.agent().shell(KILL_PLUGIN).map(drop))
}

fn the_kubelet_is_killed_under_running_pods(cluster: &mut Cluster) -> Result<()> {
    under_running_pods(cluster, |cluster| cluster.agent().restart(&["kubelet"]))
}

fn containerd_is_killed_under_running_pods(cluster: &mut Cluster) -> Result<()> {
    under_running_pods(cluster, |cluster| cluster.agent().restart(&["containerd"]))
}

/// Six of seven VFs are with pods. After the restart these run on as they were, the capacity is the same, and of two
/// more pods the first has the seventh VF and the second waits: none is lost, and none given twice.
fn under_running_pods(
    cluster: &mut Cluster,
    restart: impl FnOnce(&mut Cluster) -> Result<()>,
) -> Result<()> {
    cluster.start_pods(&[pod("five", "five", FIVE), pod("sixth", "left", ONE), right_pod()])?;
    let before = running(cluster)?;
    cluster.disturb(restart)?;
    cluster.start_pods(&[pod("seventh", "left", ONE)])?;
    cluster.kubectl.apply(&[pod("eighth", "left", ONE)])?;
    cluster.await_event("eighth", &["Insufficient linkspan.dev/left"])?;
    let after = running(cluster)?;
    for line in before.lines() {
        ensure!(after.contains(line), "before the restart there was {line}, and now:\n{after}");
    }
    for name in ["sixth", "seventh"] {
        cluster.ping("right", &cluster.address(name)?)?;
    }
    let links = cluster.in_pod("five", &["ls", "/sys/class/net"])?;
    ensure!(links.lines().filter(|link| link.starts_with("eth")).count() == 5, "it has {links}");
    Ok(())
}

fn right_pod() -> Value {
    pod("right", "right", Some((POOLS[1], 1)))
}

/// Name, UID, address and restarts of each pod that runs.
fn running(cluster: &Cluster) -> Result<String> {
    cluster.kubectl.run(&[
        "get", "pods", "--field-selector=status.phase=Running", "-o",
        r"jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.status.podIP} {.status.containerStatuses[0].restartCount}{'\n'}{end}",
    ])
}
