//! Calls of the plugin that are killed as they enter one of their system calls, each in turn.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::cni::{Network, Reply};
use crate::lan::{Lan, PARENT, host_local, reservations};
use crate::pods::Pod;

/// Which system calls a sweep kills at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// All of them.
    EveryCall,
    /// Those by which something outside of the process may change: between two of them a kill leaves the
    /// same, whenever it comes.
    EveryChange,
}

/// The verb that is killed, what goes before it, and what puts the node right afterwards.
#[derive(Clone, Copy)]
pub struct Steps {
    /// What is killed.
    pub call: fn(&Network, &Pod) -> Reply,
    /// What goes before: nothing, or an ADD.
    pub first: fn(&Network, &Pod),
    /// What puts the node right.
    pub heal: fn(&Network, &Pod),
    /// Whether the call fails where it is not killed.
    pub is_refused: bool,
}

impl Steps {
    /// An ADD is killed, and a DEL comes after it.
    pub const ADD_THEN_DEL: Self =
        Self { call: add, first: nothing, heal: detach, is_refused: false };
    /// An ADD is killed, and nothing but GC comes after it.
    pub const ADD_THEN_GC: Self = Self { heal: collect, ..Self::ADD_THEN_DEL };
    /// A DEL is killed, and the runtime calls it again.
    pub const DEL_THEN_DEL: Self =
        Self { call: del, first: attach, heal: detach, is_refused: false };
    /// A DEL is killed, and nothing but GC comes after it.
    pub const DEL_THEN_GC: Self = Self { heal: collect, ..Self::DEL_THEN_DEL };
    /// An ADD whose name is another link's already is killed.
    pub const REFUSED_THEN_DEL: Self = Self { is_refused: true, ..Self::ADD_THEN_DEL };
    /// The same, and nothing but GC comes after it.
    pub const REFUSED_THEN_GC: Self = Self { is_refused: true, ..Self::ADD_THEN_GC };
    /// An ADD of what is attached already is killed.
    pub const SECOND_ADD_THEN_DEL: Self = Self { first: attach, ..Self::REFUSED_THEN_DEL };
    /// The same, and nothing but GC comes after it.
    pub const SECOND_ADD_THEN_GC: Self = Self { first: attach, ..Self::REFUSED_THEN_GC };
}

fn add(network: &Network, pod: &Pod) -> Reply {
    network.try_add(pod, "net1")
}

fn del(network: &Network, pod: &Pod) -> Reply {
    network.try_del(pod, "net1")
}

fn nothing(_: &Network, _: &Pod) {}

fn attach(network: &Network, pod: &Pod) {
    network.add(pod, "net1");
}

fn detach(network: &Network, pod: &Pod) {
    network.del(pod, "net1");
}

fn collect(network: &Network, _: &Pod) {
    let reply = network.with("cni.dev/valid-attachments", json!([])).call("GC", &[]);
    assert!(reply.success, "{reply:#?}");
}

/// Sweeps a native network of a node of the test's own, with addresses of both families. Returns how often the
/// plugin was killed.
///
/// # Panics
///
/// If links, addresses or records are not as before after one of the kills.
pub fn sweep(test: &str, keys: Value, steps: Steps, at: At) -> usize {
    sweep_prepared(test, keys, steps, at, |_, _| {})
}

/// The same, of a node and a pod to which something is done before.
///
/// # Panics
///
/// As [`sweep`] does.
pub fn sweep_prepared(
    test: &str,
    keys: Value,
    steps: Steps,
    at: At,
    prepare: impl FnOnce(&Lan, &Pod),
) -> usize {
    let lan = Lan::new(test);
    let data = tempfile::tempdir().unwrap();
    let mut network = lan.network(json!({
        "type": "linkspan", "parent": PARENT, "mtu": 1400,
        "ipam": host_local(&data, &["10.112.0.0/24", "fd00:112::/64"]),
    }));
    let Value::Object(keys) = keys else { panic!("{keys} is no object") };
    network.config.as_object_mut().unwrap().extend(keys);
    let pod = lan.pod("pod");
    prepare(&lan, &pod);
    let show = || (lan.shown(), reservations(&data, test), pod.run("ip", &["-j", "link"]));
    let before = show();
    let verify = |place: &str| assert_eq!(show(), before, "{place}");
    Sweep { steps, verify: &verify, at }.run(&network, &pod)
}

/// Steps, and how to see that the node is right after them.
#[derive(Clone, Copy)]
pub struct Sweep<'a> {
    /// The steps.
    pub steps: Steps,
    /// Panics where the node is not right.
    pub verify: &'a dyn Fn(&str),
    /// Where to kill.
    pub at: At,
}

/// The process is not ours yet, or is at its end.
const NEVER: [&str; 3] = ["execve", "exit_group", "exit"];

/// Whether a traced system call may change something outside of its process. Questions to netlink, and files
/// that are only read, do not.
fn is_change(name: &str, line: &str) -> bool {
    match name {
        "openat" | "open" => line.contains("O_CREAT"),
        // strace does not know what a socket of the pod's namespace speaks: RTM_GETLINK, -ADDR, -ROUTE.
        "sendto" | "sendmsg" => !["RTM_GET", "type=0x12", "type=0x16", "type=0x1a"]
            .iter()
            .any(|question| line.contains(question)),
        _ => ["mkdir", "write", "rename", "link", "chown", "truncate", "utime"]
            .iter()
            .any(|call| name.contains(call)),
    }
}

/// Of a program's trace, which of each system call's calls are to be killed at.
#[must_use]
pub fn calls(trace: &str, at: At) -> BTreeMap<String, Vec<usize>> {
    let (mut counts, mut calls) = (BTreeMap::new(), BTreeMap::<_, Vec<usize>>::new());
    for line in trace.lines() {
        let Some((name, _)) = line.split_once('(') else { continue };
        let count = counts.entry(name.to_owned()).or_insert(0);
        *count += 1;
        if !NEVER.contains(&name) && (at == At::EveryCall || is_change(name, line)) {
            calls.entry(name.to_owned()).or_default().push(*count);
        }
    }
    calls
}

/// What runs a program so that it is killed before the `n`th of its system calls of this name. It dies of what the
/// program died of.
#[must_use]
pub fn before(name: &str, n: usize) -> [String; 8] {
    let (trace, inject) = (format!("trace={name}"), format!("inject={name}:signal=KILL:when={n}"));
    ["strace", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject].map(str::to_owned)
}

impl Sweep<'_> {
    /// Kills the call at each system call in turn, and returns how often that was.
    ///
    /// # Panics
    ///
    /// If the node is not right after one of the kills, or the call fails where it is not killed.
    pub fn run(&self, network: &Network, pod: &Pod) -> usize {
        let calls = self.calls_of_a_whole_run(network, pod);
        let mut kills = 0;
        for (name, numbers) in calls {
            for n in numbers {
                (self.steps.first)(network, pod);
                let strace = before(&name, n);
                let strace: Vec<_> = strace.iter().map(String::as_str).collect();
                let reply = (self.steps.call)(&network.inside(&strace), pod);
                let place = format!("killed before {name} number {n}");
                (self.steps.heal)(network, pod);
                (self.verify)(&place);
                // strace dies of what its tracee died of. A call may need less system calls this time.
                if reply.status.contains("SIGKILL") {
                    kills += 1;
                } else {
                    self.assert_ended_as_expected(&reply, &format!("not {place}"));
                }
            }
        }
        kills
    }

    fn assert_ended_as_expected(&self, reply: &Reply, run: &str) {
        assert_eq!(reply.success, !self.steps.is_refused, "{run}: {reply:#?}");
    }

    /// Which of each system call's calls are to be killed at, as they are when nobody kills.
    fn calls_of_a_whole_run(&self, network: &Network, pod: &Pod) -> BTreeMap<String, Vec<usize>> {
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("trace");
        (self.steps.first)(network, pod);
        let strace = ["strace", "-qq", "-o", trace.to_str().unwrap()];
        let reply = (self.steps.call)(&network.inside(&strace), pod);
        self.assert_ended_as_expected(&reply, "a whole run");
        (self.steps.heal)(network, pod);
        (self.verify)("a whole run");
        calls(&fs::read_to_string(&trace).unwrap(), self.at)
    }
}
