//! The node's VFs in the kubelet's hands: the real device plugin, and a kubelet to register with.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use linkspan_linux::pci::Sysfs;
use linkspan_tests::bed::BedPf;
use linkspan_tests::daemon::Daemon;
use linkspan_tests::kubelet::{Kubelet, State};
use linkspan_types::PciAddress;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::story::say;
use crate::table::table;

/// A node whose VFs are offered to its kubelet. Dropping it ends both programs.
pub(crate) struct Node {
    _plugin: Daemon,
    kubelet: Kubelet,
    /// The devices that pods have, which no other pod may get.
    given: RefCell<Vec<PciAddress>>,
    folder: TempDir,
}

/// The pools' names, one for each PF.
const POOLS: [&str; 2] = ["fast_a", "fast_b"];

/// Far more than it takes, also where the processor is emulated and others are at work.
const BOUND: Duration = Duration::from_mins(2);

impl Node {
    /// Starts kubelet and plugin, and fails unless each VF is offered, in the pool of its PF and with
    /// its PF's NUMA node.
    pub(crate) fn offer(pfs: &[BedPf; 2]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let pools = POOLS.iter().zip(pfs).map(|(pool, pf)| {
            json!({ "resourceName": pool, "selectors": { "pfNames": [pf.name.as_str()] } })
        });
        let config = folder.path().join("config.json");
        let pools: Vec<Value> = pools.collect();
        std::fs::write(&config, json!({ "resourceList": pools }).to_string())?;
        say("$ linkspan-device-plugin --config-file config.json");
        say("The file's resourceList:");
        for pool in &pools {
            say(&format!("  {pool}"));
        }

        let kubelet = Kubelet::start(&folder.path().join("kubelet"));
        let plugin = Daemon::device_plugin(kubelet.directory(), &config, &[]);
        let offered = kubelet.wait_for("each pool has its devices", BOUND, |state| {
            let counts = POOLS.map(|pool| state.allocatable(&resource(pool)).len());
            counts.iter().zip(pfs).all(|(count, pf)| *count == pf.vfs.len())
        });
        say("The kubelet was offered:");
        say(&show(&offered));
        for (pool, pf) in POOLS.iter().zip(pfs) {
            check(&offered, &resource(pool), pf)?;
        }
        Ok(Self { _plugin: plugin, kubelet, given: RefCell::default(), folder })
    }

    /// Gives a pod a device of a pool, by number, and returns what the container's environment says
    /// that it is.
    pub(crate) fn allocate(&self, pod: &str, pool: usize) -> Result<PciAddress> {
        let resource = resource(POOLS[pool]);
        let state = self.kubelet.state();
        let mut given = self.given.borrow_mut();
        let is_free = |id: &&str| id.parse().is_ok_and(|address| !given.contains(&address));
        let id = state.allocatable(&resource).into_iter().find(is_free);
        let id = id.with_context(|| format!("{resource} has no free device"))?;
        let answer = self.kubelet.allocate(&resource, &[id]);
        let answer = answer.map_err(|status| anyhow!("{resource}: {}", status.message()))?;
        let variable = format!("PCIDEVICE_LINKSPAN_DEV_{}", POOLS[pool].to_uppercase());
        let value = answer.envs.get(&variable).with_context(|| {
            format!("the environment has no {variable}, only {:?}", answer.envs)
        })?;
        ensure!(value == id, "{variable} is {value}, expected {id}");
        say(&format!("{pod:<3}  {variable}={value}"));
        let address = value.parse()?;
        given.push(address);
        Ok(address)
    }

    /// A folder that goes with the node.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn resource(pool: &str) -> String {
    format!("linkspan.dev/{pool}")
}

fn show(state: &State) -> String {
    let rows: Vec<_> = state
        .resources
        .iter()
        .map(|(name, resource)| {
            let ids: Vec<&str> = resource.devices.iter().map(|device| device.id.as_str()).collect();
            let mut nodes: Vec<String> = resource
                .devices
                .iter()
                .flat_map(|device| device.topology.iter().flat_map(|topology| &topology.nodes))
                .map(|node| node.id.to_string())
                .collect();
            nodes.dedup();
            let devices = match ids[..] {
                [first, _, .., last] => format!("{first} to {last}"),
                _ => ids.join(" "),
            };
            [name.clone(), ids.len().to_string(), devices, nodes.join(" ")]
        })
        .collect();
    table(["resource", "devices", "PCI addresses", "NUMA node"], &rows)
}

fn check(state: &State, resource: &str, pf: &BedPf) -> Result<()> {
    let vfs: Vec<String> = pf.vfs.iter().map(ToString::to_string).collect();
    let offered = state.allocatable(resource);
    ensure!(offered == vfs, "{resource} has {offered:?}, expected {}'s VFs {vfs:?}", pf.name);
    let expected: Vec<i64> =
        Sysfs::host().pci(pf.address).numa_node()?.into_iter().map(i64::from).collect();
    for device in &state.resources[resource].devices {
        let nodes = device.topology.iter().flat_map(|topology| &topology.nodes);
        let nodes: Vec<i64> = nodes.map(|node| node.id).collect();
        ensure!(
            nodes == expected,
            "{} is offered on the NUMA nodes {nodes:?}, expected {expected:?}",
            device.id
        );
    }
    Ok(())
}
