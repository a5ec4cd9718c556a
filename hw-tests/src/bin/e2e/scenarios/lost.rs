//! Pods that do not end in order.

use anyhow::{Result, ensure};

use super::{Scenario, left, scenarios};
use crate::cluster::Cluster;
use crate::pods::pod;
use crate::product::POOLS;
use crate::wait;

pub(super) const SCENARIOS: &[Scenario] =
    scenarios![a_pod_whose_namespace_is_lost, linkspan_gc_leaves_nothing_of_pods_that_are_gone,];

const LEFT: Option<(&str, usize)> = Some((POOLS[0], 1));

/// The VF comes home by itself, under the pod's name; DEL finds no namespace, and the VF nevertheless.
fn a_pod_whose_namespace_is_lost(cluster: &mut Cluster) -> Result<()> {
    cluster.start_pods(&[pod("left", "left", LEFT)])?;
    cluster.agent().shell(LOSE_NAMESPACES)?;
    cluster.remove_pods()
}

/// Nobody calls DEL for them, since the kubelet is down.
fn linkspan_gc_leaves_nothing_of_pods_that_are_gone(cluster: &mut Cluster) -> Result<()> {
    let before = left(cluster)?;
    cluster.start_pods(&[pod("left", "left", LEFT), pod("macvlan", "macvlan", None)])?;
    cluster.agent().kill(&["kubelet"])?;
    cluster.agent().shell(LOSE_NAMESPACES)?;
    wait::until("the VF is back on the host", || {
        cluster.agent().shell("test $(ls -d /sys/class/net/ens1/device/virtfn*/net/* | wc -l) = 7")
    })?;
    let gc = "/opt/cni/bin/linkspan gc";
    let would = cluster.agent().shell(&format!("{gc} --dry-run"))?;
    let done = cluster.agent().shell(gc)?;
    ensure!(would.lines().count() == 2, "linkspan gc would remove, of two pods:\n{would}");
    let again = cluster.agent().shell(gc)?;
    ensure!(again.starts_with("Nothing is left"), "after\n{done}linkspan gc says again:\n{again}");
    before.ensure_same(&left(cluster)?)?;
    cluster.disturb(|cluster| cluster.agent().start(&["kubelet"]))
}

/// Ends the processes of all pods that have a namespace of their own, and the namespaces.
const LOSE_NAMESPACES: &str = "
    for namespace in /run/netns/cni-*; do
        ip netns pids \"$(basename \"$namespace\")\" | xargs -r kill -9
        umount \"$namespace\" && rm \"$namespace\"
    done";
