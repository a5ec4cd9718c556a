//! The floor: an empty program, and the kernel's own work for an attachment, by bare messages over sockets that
//! are open already.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use linkspan_linux::{LinkChange, Netns, NewKind, NewLink, RouteSocket};
use linkspan_tests::pods::Pod;
use linkspan_types::{IfName, MacvlanMode};

use crate::place::PARENT;
use crate::plugin::{INTERFACE, timed};

/// Where the kernel is asked, and the program that does nothing.
pub(crate) struct Kernel {
    empty: PathBuf,
    host: RouteSocket,
    parent: u32,
    netns: Netns,
    pod: RouteSocket,
    interface: IfName,
}

/// The index that its links have in the pod, so that nobody needs to ask for it.
const INDEX: u32 = 1_000_000;

impl Kernel {
    /// The kernel, asked for links in a pod. `programs` is the folder of the empty program.
    pub(crate) fn new(programs: &Path, pod: &Pod) -> Result<Self> {
        let mut host = RouteSocket::open()?;
        let parent = host.link_by_name(&PARENT.parse()?)?.index;
        let netns = Netns::open(&pod.netns())?;
        let pod = RouteSocket::open_in(&netns)?;
        let interface = INTERFACE.parse()?;
        Ok(Self { empty: programs.join("floor"), host, parent, netns, pod, interface })
    }

    /// Runs the empty program, makes a macvlan link in the pod, gives it addresses and sets it up.
    pub(crate) fn attach(&mut self, addresses: &[&str]) -> Result<Duration> {
        let addresses: Vec<_> =
            addresses.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let new = NewLink {
            name: &self.interface,
            kind: NewKind::Macvlan {
                mode: MacvlanMode::Bridge,
                sources: &[],
                broadcast_queue: None,
            },
            parent: self.parent,
            netns: Some(&self.netns),
            index: Some(INDEX),
            mac: None,
            mtu: None,
            up: addresses.is_empty(),
            queues: None,
        };
        let (started, status) = timed(&mut Command::new(&self.empty))?;
        ensure!(status.success(), "{}: {status}", self.empty.display());
        let start = Instant::now();
        self.host.add_link(&new)?;
        if !addresses.is_empty() {
            for address in addresses {
                self.pod.add_address(INDEX, address)?;
            }
            self.pod.change_link(INDEX, &LinkChange { up: Some(true), ..LinkChange::default() })?;
        }
        Ok(started + start.elapsed())
    }

    /// Deletes the link, and no more: what a DEL is held against is the kernel alone.
    pub(crate) fn detach(&mut self) -> Result<Duration> {
        let start = Instant::now();
        self.pod.delete_link(INDEX)?;
        Ok(start.elapsed())
    }

    /// Whether the pod's interface is there, and up.
    pub(crate) fn is_up(&mut self) -> Result<bool> {
        match self.pod.link_by_name(&self.interface) {
            Err(e) if e.is_missing() => Ok(false),
            link => Ok(link?.up),
        }
    }
}
