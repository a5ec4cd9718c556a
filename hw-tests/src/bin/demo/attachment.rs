//! Pods attached to VFs by the real plugin, and what they can reach.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use linkspan_hw_tests::{VfShown, show_vf};
use linkspan_tests::bed::BedPf;
use linkspan_tests::cni::Network;
use linkspan_tests::pods::Pod;
use linkspan_types::PciAddress;
use serde_json::{Value, json};

use crate::story::say;

/// A pod with its VF. Dropping it detaches the pod, also in a story that has failed.
pub(crate) struct Attachment {
    name: &'static str,
    network: Network,
    pod: Pod,
    address: String,
    /// The VF as the pod and the PF see it.
    pub(crate) shown: VfShown,
}

/// Which pod, and what it is to get.
pub(crate) struct PodPlan {
    pub(crate) name: &'static str,
    /// Tells its MAC from those of the others.
    pub(crate) number: usize,
    pub(crate) vf: PciAddress,
    pub(crate) vlan: u16,
}

const SUBNET: &str = "10.56.0.0/24";
const MTU: u16 = 1400;
const INTERFACE: &str = "net1";

/// Says what all pods' networks have in common.
pub(crate) fn describe_network() {
    say(&format!(
        "Their network: type sriov, MTU {MTU}, trust on, addresses by host-local from {SUBNET}"
    ));
}

impl Attachment {
    /// Makes the pod and attaches it. Fails unless the pod's interface and the PF are as the plan and
    /// the plugin's result say.
    pub(crate) fn add(plan: &PodPlan, pfs: &[BedPf], folder: &Path) -> Result<Self> {
        let &PodPlan { name, number, vf, vlan } = plan;
        let mac = format!("02:00:00:00:01:{number:02x}");
        let addresses = folder.join("addresses");
        let ipam = json!({ "type": "host-local", "dataDir": addresses, "subnet": SUBNET });
        let network = Network::new(
            "demo",
            json!({
                "deviceID": vf.to_string(), "vlan": vlan, "mac": mac, "mtu": MTU, "trust": "on",
                "ipam": ipam,
            }),
        );
        let pod = Pod::new("demo", name);
        let start = Instant::now();
        let reply = network.try_add(&pod, INTERFACE);
        let took = start.elapsed().as_millis();
        ensure!(reply.success, "the plugin refused {name}: {}", reply.json);
        let interface = &reply.json["interfaces"][0];
        let ip = &reply.json["ips"][0];
        say(&format!(
            "{name:<3}  ADD with deviceID {vf}, VLAN {vlan}, MAC {mac}: done in {took} ms"
        ));
        say(&format!("     interface  {}\n     address    {ip}", without_sandbox(interface)));

        let link = pod.link(INTERFACE);
        let expected =
            json!({ "name": INTERFACE, "mac": mac, "mtu": MTU, "pciID": vf.to_string() });
        ensure!(without_sandbox(interface) == expected, "expected the interface {expected}");
        ensure!(
            link["address"] == mac && link["mtu"] == MTU,
            "the pod has MAC {} and MTU {}",
            link["address"],
            link["mtu"]
        );
        let shown = VfShown {
            netdev: json!({ "name": INTERFACE, "mac": link["address"], "mtu": link["mtu"] }),
            ..seen_by_pf(pfs, vf)?
        };
        let address = ip["address"].as_str().and_then(|text| text.split('/').next());
        let address = address.with_context(|| format!("{name} got no address"))?.to_owned();
        Ok(Self { name, network, pod, address, shown })
    }

    /// Fails unless `other` answers.
    pub(crate) fn reaches(&self, other: &Self) -> Result<()> {
        let (answered, summary) = self.ping(other);
        ensure!(answered, "no answer: {summary}");
        Ok(())
    }

    /// Fails if `other` answers although both have carrier.
    pub(crate) fn does_not_reach(&self, other: &Self) -> Result<()> {
        let (_, summary) = self.ping(other);
        ensure!(summary.contains(" 0 received"), "expected no answer: {summary}");
        Ok(())
    }

    /// Detaches the pod.
    pub(crate) fn delete(&self) {
        let start = Instant::now();
        self.network.del(&self.pod, INTERFACE);
        say(&format!("{:<3}  DEL: done in {} ms", self.name, start.elapsed().as_millis()));
    }

    /// Waits until both have carrier, sends pings until three are answered or four seconds have
    /// passed, and returns whether they are, and how ping sums it up.
    fn ping(&self, other: &Self) -> (bool, String) {
        for end in [self, other] {
            end.pod.wait_for_carrier(INTERFACE);
        }
        say(&format!("{} and {} both have carrier", self.name, other.name));
        let arguments = ["-n", "-q", "-i", "0.3", "-c", "3", "-w", "4", &other.address];
        say(&format!("{:<3}  $ ping {}", self.name, arguments.join(" ")));
        let output = self.pod.output("ping", &arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        let summary = text.lines().filter(|l| l.contains("transmitted") || l.starts_with("rtt"));
        let summary: Vec<&str> = summary.collect();
        for line in &summary {
            say(&format!("     {line}"));
        }
        (output.status.success(), summary.join("; "))
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // A second DEL does nothing, and a failed one has been told.
        let _ = self.network.try_del(&self.pod, INTERFACE);
    }
}

/// All that the result says of an interface but the path of the pod's namespace.
fn without_sandbox(interface: &Value) -> Value {
    let mut interface = interface.clone();
    if let Some(fields) = interface.as_object_mut() {
        fields.remove("sandbox");
    }
    interface
}

/// What the VF's PF has set for it.
fn seen_by_pf(pfs: &[BedPf], vf: PciAddress) -> Result<VfShown> {
    let place = pfs.iter().find_map(|pf| Some((pf, pf.vfs.iter().position(|one| *one == vf)?)));
    let (pf, number) = place.ok_or_else(|| anyhow!("{vf} is not one of the NICs' VFs"))?;
    Ok(show_vf(pf, number))
}
