//! Pods of the scenarios: made, waited for, asked what they have, and removed.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::images::BUSYBOX;
use crate::wait;

/// A pod on a network, with so many of a resource.
pub(crate) fn pod(name: &str, network: &str, resource: Option<(&str, usize)>) -> Value {
    let resources: Value = resource.map_or(
        json!({}),
        |(resource, count)| json!({ "limits": { resource: count.to_string() } }),
    );
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            "runtimeClassName": network,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 2,
            "dnsPolicy": "Default",
            "containers": [{
                "name": "app",
                "image": BUSYBOX,
                "imagePullPolicy": "Never",
                "args": ["sh", "-c", "trap exit TERM; while :; do sleep 1000 & wait; done"],
                "resources": resources,
            }],
        },
    })
}

impl Cluster {
    /// Makes pods and waits until they run.
    pub(crate) fn start_pods(&self, pods: &[Value]) -> Result<()> {
        self.kubectl.apply(pods)?;
        let names: Vec<String> = pods
            .iter()
            .map(|pod| format!("pod/{}", pod["metadata"]["name"].as_str().unwrap_or_default()))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.kubectl.wait("condition=Ready", &names)
    }

    /// Removes all pods of the scenario and waits until they are gone.
    pub(crate) fn remove_pods(&self) -> Result<()> {
        self.kubectl.run(&["delete", "pods", "--all", "--wait=true", "--timeout=360s"]).map(drop)
    }

    /// What a command in a pod writes; `busybox` is its only program.
    pub(crate) fn in_pod(&self, pod: &str, command: &[&str]) -> Result<String> {
        self.kubectl.run(&[&["exec", pod, "--", "/busybox"], command].concat())
    }

    /// The pod's address, as the kubelet tells it.
    pub(crate) fn address(&self, pod: &str) -> Result<String> {
        let pod = self.kubectl.get(&["pod", pod])?;
        pod["status"]["podIP"].as_str().map(str::to_owned).context("the pod has no address")
    }

    /// Waits until one pod's pings to an address are answered: VFs need seconds for their carrier.
    pub(crate) fn ping(&self, pod: &str, address: &str) -> Result<()> {
        wait::until(&format!("a ping from {pod} to {address} is answered"), || {
            self.in_pod(pod, &["ping", "-c", "1", "-W", "2", address])
        })
        .map(drop)
    }

    /// The reasons that Kubernetes gives for what became of a pod, one a line; not those of earlier pods of its name.
    fn events(&self, pod: &str) -> Result<String> {
        let uid = self.kubectl.run(&["get", "pod", pod, "-o", "jsonpath={.metadata.uid}"])?;
        let of = format!("--field-selector=involvedObject.uid={uid}");
        let path = r"-o=jsonpath={range .items[*]}{.reason}: {.message}{'\n'}{end}";
        self.kubectl.run(&["get", "events", &of, path])
    }

    /// Waits until an event of the pod has all these words.
    pub(crate) fn await_event(&self, pod: &str, words: &[&str]) -> Result<()> {
        wait::until(&format!("an event of {pod} says {}", words.join(", ")), || {
            let events = self.events(pod)?;
            let told = events.lines().any(|event| words.iter().all(|word| event.contains(word)));
            anyhow::ensure!(told, "its events are:\n{events}");
            Ok(())
        })
    }
}
