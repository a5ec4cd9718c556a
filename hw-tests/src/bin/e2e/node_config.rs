//! What the operator of the node has written for containerd and the kubelet.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::images::PAUSE;
use crate::networks::Network;

/// Writes both files, and each network's folder.
pub(crate) fn write(folder: &Path, kubelet_port: u16, networks: &[Network]) -> Result<()> {
    fs::write(folder.join("containerd.toml"), containerd(networks)?)?;
    fs::write(folder.join("kubelet.json"), kubelet(kubelet_port))?;
    for network in networks {
        let own = folder.join("networks").join(network.name);
        fs::create_dir_all(&own)?;
        for (number, list) in network.lists().iter().enumerate() {
            fs::write(own.join(format!("{number}.conflist")), list.to_string())?;
        }
    }
    Ok(())
}

/// A runtime for each network: a pod chooses its network by the class of its runtime, without Multus.
fn containerd(networks: &[Network]) -> Result<String> {
    let mut text = format!(
        r#"version = 2
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/{}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"#,
        networks[0].name
    );
    for network in networks {
        let (name, interfaces) = (network.name, network.lists().len());
        write!(
            text,
            r#"  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}]
    runtime_type = "io.containerd.runc.v2"
    cni_conf_dir = "/etc/cni/{name}"
    cni_max_conf_num = {interfaces}
"#
        )?;
    }
    Ok(text)
}

fn kubelet(port: u16) -> String {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "port": port,
        // The API server speaks to it over the forwarded port of one machine.
        "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
        "cgroupDriver": "cgroupfs",
        "failSwapOn": false,
        "enforceNodeAllocatable": [],
        // CPU 0 is the node's own. A pod that asks for a whole CPU and a VF has both from one NUMA node, or does not start.
        "cpuManagerPolicy": "static",
        "kubeReserved": { "cpu": "100m" },
        "topologyManagerPolicy": "single-numa-node",
        "evictionHard": { "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%" },
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": false,
        "resolvConf": "",
        // Changes of what the node offers are told at once.
        "nodeStatusUpdateFrequency": "2s",
        "runtimeRequestTimeout": "5m",
    })
    .to_string()
}
