//! What `kubectl apply -k` has put on the node, and what the examples beside it are worth.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{Scenario, scenarios};
use crate::cluster::Cluster;

pub(super) const SCENARIOS: &[Scenario] =
    scenarios![dropped_capabilities_stay_dropped, the_api_server_takes_every_example];

/// What each program may do, as `/proc/PID/status` has it: no other capability, and none to be had by executing something.
fn dropped_capabilities_stay_dropped(cluster: &mut Cluster) -> Result<()> {
    // Bits 12, 13 and 21.
    let net_admin_net_raw_sys_admin = 0x20_3000_u64;
    for (program, capabilities) in [
        ("linkspan", 0),
        ("linkspan-device-plugin", 0),
        ("linkspan-dhcp", net_admin_net_raw_sys_admin),
    ] {
        let status = cluster.agent().shell(&format!(
            "grep -E '^(Cap(Prm|Eff|Bnd)|NoNewPrivs|Seccomp):' /proc/$(pidof {program})/status"
        ))?;
        let expected = format!(
            "CapPrm:\t{capabilities:016x}\nCapEff:\t{capabilities:016x}\nCapBnd:\t{capabilities:016x}\n\
             NoNewPrivs:\t1\nSeccomp:\t2\n"
        );
        ensure!(status == expected, "{program} has\n{status}and not\n{expected}");
    }
    Ok(())
}

/// As if it were applied: with every check of the server, and no key that it does not know. Their pods are not started: what
/// each kind does for a pod is shown by the other scenarios.
fn the_api_server_takes_every_example(cluster: &mut Cluster) -> Result<()> {
    let kind = "network-attachment-definitions.k8s.cni.cncf.io";
    cluster.kubectl.apply(&[json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": kind },
        "spec": {
            "group": "k8s.cni.cncf.io",
            "scope": "Namespaced",
            "names": {
                "kind": "NetworkAttachmentDefinition",
                "plural": "network-attachment-definitions",
                "singular": "network-attachment-definition",
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "properties": { "spec": {
                        "type": "object",
                        "properties": { "config": { "type": "string" } },
                    } },
                } },
            }],
        },
    })])?;
    cluster.kubectl.wait("condition=Established", &[&format!("crd/{kind}")])?;
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/examples");
    let files = std::fs::read_dir(examples)?.count();
    let told =
        cluster.kubectl.run(&["apply", "--dry-run=server", "--validate=strict", "-f", examples])?;
    ensure!(told.lines().count() >= files, "of {files} examples the API server says:\n{told}");
    cluster.kubectl.run(&["delete", "crd", kind]).map(drop)
}
