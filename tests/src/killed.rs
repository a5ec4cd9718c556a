//! Calls of the plugin that are killed as they enter one of their system calls, each in turn.

use std::collections::BTreeMap;
use std::fs;

use crate::cni::{Network, Reply};
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

/// A verb that is killed, and the state before it.
#[derive(Clone, Copy)]
pub struct Sweep<'a> {
    /// What is killed.
    pub call: fn(&Network, &Pod) -> Reply,
    /// What goes before: nothing, or an ADD.
    pub first: fn(&Network, &Pod),
    /// What puts the node right afterwards.
    pub heal: fn(&Network, &Pod),
    /// Whether it is right.
    pub verify: &'a dyn Fn(&str),
    /// Where to kill.
    pub at: At,
}

/// Not before these: the process is not ours yet, or is at its end, or has only just begun.
const NEVER: [&str; 3] = ["execve", "exit_group", "exit"];

const CHANGES: [&str; 18] = [
    "openat",
    "open",
    "mkdir",
    "mkdirat",
    "write",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "link",
    "linkat",
    "sendto",
    "sendmsg",
    "chown",
    "fchownat",
    "ftruncate",
    "setns",
];

impl Sweep<'_> {
    /// Kills the call at each system call in turn, and returns how often that was.
    ///
    /// # Panics
    ///
    /// If the node is not right after one of the kills, or the call fails where it is not killed.
    pub fn run(&self, network: &Network, pod: &Pod) -> usize {
        let calls = self.calls_of_a_whole_run(network, pod);
        let mut kills = 0;
        for (name, count) in calls {
            for n in 1..=count {
                (self.first)(network, pod);
                let (trace, inject) =
                    (format!("trace={name}"), format!("inject={name}:signal=KILL:when={n}"));
                let strace = ["strace", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
                let reply = (self.call)(&network.inside(&strace), pod);
                let place = format!("killed before {name} number {n}");
                (self.heal)(network, pod);
                (self.verify)(&place);
                // strace dies of what its tracee died of. A call may need less system calls this time.
                if reply.status.contains("SIGKILL") {
                    kills += 1;
                } else {
                    assert!(reply.success, "not {place}: {reply:#?}");
                }
            }
        }
        kills
    }

    /// How often the call makes each system call when nobody kills it.
    fn calls_of_a_whole_run(&self, network: &Network, pod: &Pod) -> BTreeMap<String, usize> {
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("trace");
        (self.first)(network, pod);
        let strace = ["strace", "-qq", "-o", trace.to_str().unwrap()];
        let reply = (self.call)(&network.inside(&strace), pod);
        assert!(reply.success, "{reply:#?}");
        (self.heal)(network, pod);
        (self.verify)("a whole run");
        let mut calls = BTreeMap::new();
        for line in fs::read_to_string(&trace).unwrap().lines() {
            let Some((name, _)) = line.split_once('(') else { continue };
            let wanted = self.at == At::EveryCall || CHANGES.contains(&name);
            if wanted && !NEVER.contains(&name) {
                *calls.entry(name.to_owned()).or_insert(0) += 1;
            }
        }
        calls
    }
}
