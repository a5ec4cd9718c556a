//! A thousand random things that happen to a node, against a model of it: no device is ever given twice, none is
//! lost, and what the kubelet is told is right whenever all is quiet.
//!
//! `LINKSPAN_SEED` repeats a run; a failure prints its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Instant;

use linkspan_proto::deviceplugin::HEALTHY;
use linkspan_tests::daemon::Signal;
use linkspan_tests::kubelet::State;
use linkspan_tests::wait::until;
use linkspan_types::PciAddress;
use serde_json::{Value, json};
use tonic::Code;

use crate::{BOUND, Node, pfs};

const STEPS: u32 = 1000;
/// How many VFs each of the two PFs can have here.
const VFS: u32 = 6;

/// One of the VFs that there can be: the number of its PF, and its own.
type Vf = (usize, u32);

/// A pool as the model knows it.
struct Pool {
    name: &'static str,
    selects: fn(Vf, &str) -> bool,
    selectors: fn() -> Value,
}

const LOW: Pool = Pool {
    name: "low",
    selects: |(pf, index), _| pf == 0 && index <= 2,
    selectors: || json!({"pfNames": ["ens1#0-2"]}),
};
const REST: Pool =
    Pool { name: "rest", selects: |_, _| true, selectors: || json!({"vendors": ["8086"]}) };
const KERNEL: Pool = Pool {
    name: "kernel",
    selects: |(pf, _), driver| pf == 0 && driver == "igbvf",
    selectors: || json!({"pfNames": ["ens1"], "drivers": ["igbvf"]}),
};
const USER: Pool = Pool {
    name: "user",
    selects: |(pf, _), driver| pf == 0 && driver == "vfio-pci",
    selectors: || json!({"rootDevices": ["0000:01:00.0"], "drivers": ["vfio-pci"]}),
};
const SECOND: Pool = Pool {
    name: "second",
    selects: |(pf, _), _| pf == 1,
    selectors: || json!({"pfNames": ["ens2"]}),
};

/// The configurations that are in force by turns.
const CONFIGURATIONS: [&[Pool]; 4] =
    [&[LOW, REST], &[KERNEL, USER, SECOND], &[SECOND, LOW], &[USER, REST]];

/// What should be true of the node.
struct Model {
    pools: &'static [Pool],
    /// The VFs that there are, and their drivers.
    vfs: BTreeMap<Vf, &'static str>,
    /// Which pod holds a VF, and from which pool.
    held: BTreeMap<Vf, (u32, &'static str)>,
}

impl Model {
    /// What each pool lists, and which of it is healthy.
    fn lists(&self) -> BTreeMap<&'static str, BTreeMap<Vf, bool>> {
        let mut lists: BTreeMap<_, BTreeMap<Vf, bool>> =
            self.pools.iter().map(|pool| (pool.name, BTreeMap::new())).collect();
        for (&vf, &driver) in &self.vfs {
            let selected = self.pools.iter().find(|pool| (pool.selects)(vf, driver));
            let holder = self.held.get(&vf).map(|(_, pool)| *pool);
            if let Some(list) =
                holder.or(selected.map(|pool| pool.name)).and_then(|n| lists.get_mut(n))
            {
                list.insert(vf, true);
            }
        }
        for (&vf, (_, pool)) in &self.held {
            // It is missed.
            if !self.vfs.contains_key(&vf)
                && let Some(list) = lists.get_mut(pool)
            {
                list.insert(vf, false);
            }
        }
        lists
    }
}

/// The node, its model, and chance.
struct Run {
    node: Node,
    model: Model,
    chance: Chance,
    pods: u32,
    /// Whether the kubelet knows all that has happened.
    quiet: bool,
}

#[test]
fn a_thousand_random_steps_leave_every_device_where_it_belongs() {
    let seed = std::env::var("LINKSPAN_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros().try_into().unwrap()
    });
    println!("LINKSPAN_SEED={seed}");
    let start = Instant::now();
    let mut run = Run::start(Chance(seed));
    for step in 0..STEPS {
        let what = run.step();
        if run.chance.one_of(4) == 0 {
            run.wait_until_quiet(&format!("step {step}, {what}"));
        }
    }
    run.wait_until_quiet("the end");
    println!("{STEPS} steps in {:?}", start.elapsed());
}

impl Run {
    fn start(chance: Chance) -> Self {
        let pools = CONFIGURATIONS[0];
        let node = Node::start(configuration(pools));
        node.make_node("vfio/vfio");
        node.make_node("vfio/7");
        for pf in pfs() {
            node.tree.set_num_vfs(&pf, 0);
        }
        let model = Model { pools, vfs: BTreeMap::new(), held: BTreeMap::new() };
        let mut run = Self { node, model, chance, pods: 0, quiet: false };
        for vf in all_vfs() {
            run.plug(vf);
        }
        run.node.wait("it serves", |state| state.resources.len() == pools.len());
        run.look_again();
        run.wait_until_quiet("the start");
        run
    }

    /// Does one thing, and says what.
    fn step(&mut self) -> String {
        match self.chance.one_of(100) {
            0..40 => self.allocate(),
            40..65 => self.release(),
            65..75 => self.hot_plug(),
            75..85 => self.rebind(),
            85..92 => self.configure(),
            92..94 => {
                self.quiet = false;
                self.node.kubelet.restart();
                "the kubelet restarts".to_owned()
            }
            94..96 => self.restart_plugin(),
            96 => {
                self.wait_until_quiet("before both restart");
                self.node.kubelet.kill();
                let what = self.restart_plugin();
                self.node.kubelet.restart();
                self.wait_until_quiet(&what);
                format!("{what} while the kubelet is away")
            }
            _ => {
                self.look_again();
                "SIGHUP".to_owned()
            }
        }
    }

    /// Gives a pod a device that the kubelet takes for free.
    fn allocate(&mut self) -> String {
        let state = self.node.kubelet.state();
        let free: Vec<(&'static str, Vf)> = all_pools()
            .flat_map(|pool| {
                let devices = state.allocatable(&resource(pool)).into_iter();
                devices.map(move |id| (pool, vf_of(id))).collect::<Vec<_>>()
            })
            .filter(|(pool, vf)| self.model.held.get(vf).is_none_or(|(_, holder)| holder != pool))
            .collect();
        if free.is_empty() {
            return "nothing is free".to_owned();
        }
        let (pool, vf) = free[self.chance.one_of(free.len())];
        self.pods += 1;
        let (id, pod) = (address(vf).to_string(), self.pods);
        let what = format!("pod {pod} asks for {id} of {pool}");
        match self.node.kubelet.run_pod("ns", &pod.to_string(), &resource(pool), &[&id]) {
            Ok(_) => {
                let before = self.model.held.insert(vf, (pod, pool));
                assert_eq!(before, None, "{what}, which is held");
            }
            Err(refused) => {
                let is_fair = [Code::NotFound, Code::FailedPrecondition, Code::Unavailable];
                assert!(!self.quiet && is_fair.contains(&refused.code()), "{what}: {refused:?}");
            }
        }
        what
    }

    fn release(&mut self) -> String {
        let held: Vec<_> = self.model.held.iter().map(|(&vf, &(pod, _))| (vf, pod)).collect();
        if held.is_empty() {
            return "nothing is held".to_owned();
        }
        let (vf, pod) = held[self.chance.one_of(held.len())];
        self.node.kubelet.end_pod("ns", &pod.to_string());
        self.node.write_checkpoint();
        self.model.held.remove(&vf);
        self.quiet = false;
        format!("pod {pod} ends, which held {}", address(vf))
    }

    fn hot_plug(&mut self) -> String {
        let vf = self.any_vf();
        let is_there = self.model.vfs.contains_key(&vf);
        if is_there {
            self.model.vfs.remove(&vf);
            self.node.tree.remove_vf(&pfs()[vf.0], vf.1);
        } else {
            self.plug(vf);
        }
        self.look_again();
        format!("{} is {}", address(vf), if is_there { "unplugged" } else { "plugged" })
    }

    fn plug(&mut self, vf: Vf) {
        self.node.tree.add_vf(&pfs()[vf.0], vf.1);
        self.node.tree.set_iommu_group(address(vf), 7, false);
        self.model.vfs.insert(vf, "igbvf");
    }

    fn rebind(&mut self) -> String {
        let vf = self.any_vf();
        let Some(driver) = self.model.vfs.get_mut(&vf) else {
            return "nothing to rebind".to_owned();
        };
        *driver = if *driver == "igbvf" { "vfio-pci" } else { "igbvf" };
        let what = format!("{} is bound to {driver}", address(vf));
        self.node.tree.bind(address(vf), Some(driver));
        self.look_again();
        what
    }

    fn configure(&mut self) -> String {
        let number = self.chance.one_of(CONFIGURATIONS.len());
        self.model.pools = CONFIGURATIONS[number];
        self.node.configure(configuration(self.model.pools));
        self.quiet = false;
        format!("configuration {number}")
    }

    fn restart_plugin(&mut self) -> String {
        let signal = if self.chance.one_of(2) == 0 { Signal::TERM } else { Signal::KILL };
        self.node.restart_plugin(signal);
        // Before it has come so far, SIGHUP would end it.
        until("it says something", BOUND, || (!self.node.plugin.log().is_empty()).then_some(()));
        self.quiet = false;
        format!("the plugin restarts after {signal:?}")
    }

    fn look_again(&mut self) {
        self.node.plugin.signal(Signal::HUP);
        self.quiet = false;
    }

    /// Waits until the kubelet has heard all that is to be told.
    fn wait_until_quiet(&mut self, what: &str) {
        let lists = self.model.lists();
        let expected: BTreeMap<String, Vec<(String, bool)>> = lists
            .iter()
            .map(|(pool, list)| {
                let devices = list.iter().map(|(&vf, &healthy)| (address(vf).to_string(), healthy));
                (resource(pool), devices.collect())
            })
            .collect();
        let is_told = |state: &State| {
            all_pools().all(|pool| {
                let known = state.resources.get(&resource(pool)).filter(|known| known.streaming);
                let told = known.map(|known| {
                    known.devices.iter().map(|d| (d.id.clone(), d.health == HEALTHY)).collect()
                });
                told == expected.get(&resource(pool)).cloned()
            })
        };
        let held = &self.model.held;
        self.node.wait(&format!("told {expected:#?} after {what}; held: {held:?}"), is_told);
        self.quiet = true;
    }

    fn any_vf(&mut self) -> Vf {
        (self.chance.one_of(2), u32::try_from(self.chance.one_of(VFS as usize)).unwrap())
    }
}

impl Node {
    /// Has the kubelet write its state, as it does when it gives a device.
    pub(crate) fn write_checkpoint(&self) {
        fs::write(self.socket("device-plugins", "kubelet_internal_checkpoint"), "{}").unwrap();
    }
}

/// A small generator of numbers (splitmix64), so that a seed is all that a run depends on.
struct Chance(u64);

impl Chance {
    fn one_of(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % count as u64).unwrap()
    }
}

fn configuration(pools: &[Pool]) -> Value {
    let resource = |pool: &Pool| {
        json!({
            "resourceName": pool.name,
            "selectors": (pool.selectors)(),
            "health": {"carrier": false, "dampingSeconds": 0},
        })
    };
    pools.iter().map(resource).collect()
}

fn all_pools() -> impl Iterator<Item = &'static str> {
    let names = CONFIGURATIONS.iter().flat_map(|pools| pools.iter().map(|pool| pool.name));
    names.collect::<BTreeSet<_>>().into_iter()
}

fn all_vfs() -> impl Iterator<Item = Vf> {
    (0..2).flat_map(|pf| (0..VFS).map(move |index| (pf, index)))
}

fn address((pf, index): Vf) -> PciAddress {
    pfs()[pf].vf(index)
}

fn vf_of(id: &str) -> Vf {
    all_vfs().find(|&vf| address(vf).to_string() == id).unwrap()
}

fn resource(pool: &str) -> String {
    format!("linkspan.dev/{pool}")
}
