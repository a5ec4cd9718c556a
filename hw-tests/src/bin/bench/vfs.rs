//! ADD and DEL of a VF with a VLAN and an address, beside the kernel's own work for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use linkspan_linux::{LinkChange, Netns, RouteSocket, VfChange};
use linkspan_tests::bed::{BedPf, pfs};
use linkspan_tests::pods::Pod;
use linkspan_types::{IfName, VlanId, VlanTag};
use serde_json::json;

use crate::place;
use crate::plugin::{INTERFACE, Plugin, Verb, timed, with_result};
use crate::race::{Outcome, Times};

const ROUNDS: usize = 50;
const VLAN: u16 = 100;
const ADDRESS: &str = "10.60.0.2/24";

/// Measures one VF of the first PF. It has to be run where there is one, such as in the test bed.
pub(crate) fn measure(statics: &Path, share: usize) -> Result<Vec<Outcome>> {
    ensure!(!pfs().is_empty(), "there are no VFs here: run it in the bed, by `cargo bed run --`");
    place::enter_beside_vfs()?;
    let folder = tempfile::tempdir()?;
    let pf = BedPf::nth(0);
    let config = json!({
        "cniVersion": "1.0.0", "name": "vfs", "type": "sriov", "deviceID": pf.vfs[0].to_string(), "vlan": VLAN,
        "ipam": { "type": "host-local", "subnet": "10.60.0.0/24", "dataDir": folder.path() },
    });
    let linkspan = Plugin::new(statics, "linkspan")?;
    let pod = Pod::new("bench", "pod");
    let mut kernel = Kernel::new(statics, &pf, &pod)?;
    let (mut add, mut del) = (Times::default(), Times::default());
    for round in 0..(ROUNDS / share).max(2) {
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                let (took, result) = linkspan.call(Verb::Add, &pod, &config)?;
                add.linkspan.push(took);
                let (took, _) = linkspan.call(Verb::Del, &pod, &with_result(&config, result))?;
                del.linkspan.push(took);
            } else {
                add.floor.push(kernel.attach()?);
                del.floor.push(kernel.detach()?);
            }
        }
    }
    Ok(vec![Outcome { name: "sriov, VLAN, host-local".to_owned(), add, del }])
}

/// What another run has printed.
pub(crate) fn read(file: &Path) -> Result<Vec<Outcome>> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    // The bed's own words are among it.
    let line = text.lines().find(|line| line.starts_with('['));
    let line = line.with_context(|| format!("{} has no numbers of VFs", file.display()))?;
    Ok(serde_json::from_str(line)?)
}

/// The kernel's work for a VF, by bare messages.
struct Kernel {
    empty: PathBuf,
    host: RouteSocket,
    host_netns: Netns,
    pf: (u32, IfName),
    vf: (u32, IfName),
    pod: RouteSocket,
    pod_netns: Netns,
    interface: IfName,
}

impl Kernel {
    fn new(statics: &Path, pf: &BedPf, pod: &Pod) -> Result<Self> {
        let mut host = RouteSocket::open()?;
        let pf_index = host.link_by_name(&pf.name)?.index;
        let vf = host.link_of(pf.vfs[0])?.context("the VF has no netdev")?;
        let pod_netns = Netns::open(&pod.netns())?;
        Ok(Self {
            empty: statics.join("floor"),
            host,
            host_netns: Netns::current()?,
            pf: (pf_index, pf.name.clone()),
            vf: (vf.index, vf.name.parse()?),
            pod: RouteSocket::open_in(&pod_netns)?,
            pod_netns,
            interface: INTERFACE.parse()?,
        })
    }

    fn attach(&mut self) -> Result<Duration> {
        let address = ADDRESS.parse()?;
        let tag = VlanTag { id: VlanId::try_from(VLAN)?, ..VlanTag::default() };
        let (started, status) = timed(&mut Command::new(&self.empty))?;
        ensure!(status.success(), "{}: {status}", self.empty.display());
        let start = Instant::now();
        self.set_vlan(tag)?;
        let go = LinkChange {
            netns: Some(&self.pod_netns),
            name: Some(&self.interface),
            ..LinkChange::default()
        };
        self.host.change_link(self.vf.0, &go)?;
        self.pod.add_address(self.vf.0, address)?;
        self.pod.change_link(self.vf.0, &LinkChange { up: Some(true), ..LinkChange::default() })?;
        Ok(started + start.elapsed())
    }

    fn detach(&mut self) -> Result<Duration> {
        let start = Instant::now();
        let back = LinkChange {
            netns: Some(&self.host_netns),
            name: Some(&self.vf.1),
            ..LinkChange::default()
        };
        self.pod.change_link(self.vf.0, &back)?;
        self.set_vlan(VlanTag::default())?;
        Ok(start.elapsed())
    }

    fn set_vlan(&mut self, tag: VlanTag) -> Result<()> {
        let change = VfChange { vlan: Some(tag), ..VfChange::default() };
        Ok(self.host.set_vf(self.pf.0, self.pf.1.as_str(), 0, &change)?)
    }
}
