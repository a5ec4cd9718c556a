//! Linkspan on the node, by its own manifests.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cluster::Cluster;

const NAMESPACE: &str = "linkspan";

/// The pools of the node, of `hw-tests/deploy/pools.yaml`: a PF each.
pub(crate) const POOLS: [&str; 2] = ["linkspan.dev/left", "linkspan.dev/right"];

/// The VFs of each.
const VFS: usize = 7;

const DAEMONS: [&str; 3] = ["linkspan-cni", "linkspan-device-plugin", "linkspan-dhcp"];

/// Where the static programs are that `make release` builds: beside the tests' own.
pub(crate) fn programs() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent).context("a program is in target/debug")?;
    Ok(target.join(format!("{}-unknown-linux-musl/release", std::env::consts::ARCH)))
}

/// Installs Linkspan, and waits until the node offers all VFs.
pub(crate) fn install(cluster: &Cluster) -> Result<()> {
    let overlay = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    cluster.kubectl.run(&["apply", "-k", &overlay.to_string_lossy()])?;
    await_running(cluster)
}

/// Waits until Linkspan's pods are ready, and the node offers all VFs.
pub(crate) fn await_running(cluster: &Cluster) -> Result<()> {
    for daemon in DAEMONS {
        let name = format!("daemonset/{daemon}");
        cluster.kubectl.wait("jsonpath={.status.numberReady}=1", &["-n", NAMESPACE, &name])?;
    }
    for pool in POOLS {
        await_all_vfs(cluster, pool)?;
    }
    Ok(())
}

/// Waits until the kubelet tells that a pool has all its VFs.
pub(crate) fn await_all_vfs(cluster: &Cluster, pool: &str) -> Result<()> {
    await_vfs(cluster, pool, VFS)
}

/// Waits until the kubelet tells that a pool has so many VFs.
pub(crate) fn await_vfs(cluster: &Cluster, pool: &str, count: usize) -> Result<()> {
    let path = pool.replace('.', "\\.");
    cluster
        .kubectl
        .wait(&format!("jsonpath={{.status.allocatable.{path}}}={count}"), &["node/localhost"])
        .with_context(|| format!("the node does not offer {count} of {pool}"))
}

/// What Linkspan's programs say, for who wants to know why something failed.
pub(crate) fn logs(cluster: &Cluster) -> Vec<(String, Result<String>)> {
    DAEMONS
        .iter()
        .map(|daemon| {
            let label = format!("app.kubernetes.io/name={daemon}");
            let args = ["logs", "-n", NAMESPACE, "-l", &label, "--tail=40"];
            (format!("log of {daemon}"), cluster.kubectl.run(&args))
        })
        .collect()
}
