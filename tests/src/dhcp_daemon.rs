//! The DHCP daemon as a test runs it: with a socket and leases of its own, asked by the messages that the plugin
//! sends.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use linkspan_proto::dhcp::question::About;
use linkspan_proto::dhcp::{
    AcquireReply, AcquireRequest, Attachment, CheckReply, CheckRequest, CollectReply,
    CollectRequest, HeldLease, Lease, LeasesReply, LeasesRequest, Question, ReleaseReply,
    ReleaseRequest, Wishes,
};
use linkspan_proto::framing::{FrameError, Message, ask_within};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::daemon::{Daemon, Signal};
use crate::pods::{Pod, run};
use crate::scrape;
use crate::wait::until;

/// A daemon that runs, or was killed; it ends with the value.
pub struct DhcpDaemon {
    folder: TempDir,
    flags: Vec<String>,
    daemon: Option<Daemon>,
}

/// Longer than anything that is asked here takes.
const BOUND: Duration = Duration::from_mins(3);
/// The name of the interfaces that are asked for.
pub const INTERFACE: &str = "net1";

impl DhcpDaemon {
    /// Starts one. It is asked when this returns.
    #[must_use]
    pub fn start(flags: &[&str]) -> Self {
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let mut daemon = Self { folder: TempDir::new().unwrap(), flags, daemon: None };
        daemon.resume(&[]);
        daemon
    }

    /// Starts it again where it was killed or has ended, by a program that becomes it.
    pub fn resume(&mut self, wrapper: &[&str]) {
        self.resume_without_waiting(wrapper);
        until("the DHCP daemon to be asked", BOUND, || UnixStream::connect(self.socket()).ok());
    }

    /// The same, where it may not come so far as to be asked.
    pub fn resume_without_waiting(&mut self, wrapper: &[&str]) {
        // That of an earlier run is no daemon's any more.
        let _ = fs::remove_file(self.socket());
        self.daemon = Some(self.another_by(wrapper));
    }

    /// Starts a second one, with the same socket and folder of leases.
    #[must_use]
    pub fn another(&self) -> Daemon {
        self.another_by(&[])
    }

    fn another_by(&self, wrapper: &[&str]) -> Daemon {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let mut arguments = vec!["--socketpath".to_owned(), file("socket")];
        arguments.extend(["--lease-dir".to_owned(), file("leases")]);
        arguments.push(format!("--metrics-address=unix:{}", file("metrics")));
        arguments.extend(self.flags.iter().cloned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Daemon::start_by(wrapper, "linkspan-dhcp", &arguments)
    }

    /// Whether it comes so far as to be asked, and does not end before.
    #[must_use]
    pub fn is_asked(&mut self) -> bool {
        let socket = self.socket();
        let daemon = self.process();
        until("the DHCP daemon to be asked, or to end", BOUND, || {
            let is_asked = UnixStream::connect(&socket).is_ok();
            (is_asked || daemon.ends_within(Duration::ZERO)).then_some(is_asked)
        })
    }

    /// Starts one in the namespace that is a node's, where the pods' parents are.
    #[must_use]
    pub fn start_on(host: &Pod, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let mut daemon = Self { folder: TempDir::new().unwrap(), flags, daemon: None };
        daemon.resume_on(host);
        daemon
    }

    /// Starts it again there.
    pub fn resume_on(&mut self, host: &Pod) {
        self.resume(&["nsenter", &format!("--net={}", host.netns().display())]);
    }

    /// Waits until so many leases are ready for pods to come, and tells which.
    #[must_use]
    pub fn wait_for_ready(&self, count: usize) -> Vec<Ipv4Addr> {
        let ready = || {
            let unused = self.leases().into_iter().filter(|held| held.attachment.is_none());
            let bound = unused.filter(|held| held.state == "BOUND");
            let mut ready: Vec<_> =
                bound.filter_map(|held| Some(held.lease?.address.into())).collect();
            ready.sort_unstable();
            Some(ready).filter(|ready| ready.len() == count)
        };
        until(&format!("{count} leases to be ready"), BOUND, ready)
    }

    /// Waits until it has no link of its own any more, but for loopbacks, in a namespace that it has open.
    pub fn wait_for_no_links(&mut self) {
        let process = self.process().id();
        let home = fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
        let is_private = |path: &PathBuf| {
            let target = fs::read_link(path).unwrap_or_default();
            target.to_string_lossy().starts_with("net:") && target != home
        };
        let entries = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
        let open: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_private).collect();
        assert_eq!(open.len(), 1, "the namespaces that it has open");
        let netns = format!("--net={}", open[0].display());
        until("the daemon's links to go", BOUND, || {
            (run("nsenter", &[&netns, "ip", "-o", "link"]).lines().count() == 1).then_some(())
        });
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        self.daemon = None;
    }

    /// Has it end as systemd does.
    pub fn end(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.signal(Signal::TERM);
        assert!(daemon.wait(BOUND).success(), "{}", daemon.log());
    }

    /// The process.
    #[must_use]
    pub fn process(&mut self) -> &mut Daemon {
        self.daemon.as_mut().unwrap()
    }

    /// Where it is asked.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// A section `ipam` that asks it.
    #[must_use]
    pub fn ipam(&self, keys: &Value) -> Value {
        let mut section = json!({ "type": "dhcp", "daemonSocketPath": self.socket() });
        let keys = keys.as_object().cloned().unwrap_or_default();
        section.as_object_mut().unwrap().extend(keys);
        section
    }

    /// Its leases, by their files' names.
    #[must_use]
    pub fn leases_on_disk(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("leases")).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.contains('=')).collect();
        names.sort();
        names
    }

    /// A number of its metrics; `name` has its labels.
    #[must_use]
    pub fn metric(&self, name: &str) -> u64 {
        let (_, _, text) = scrape::get(&self.folder.path().join("metrics"), "/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
    }

    /// What its health is over HTTP.
    #[must_use]
    pub fn health(&self) -> (u16, String, String) {
        scrape::get(&self.folder.path().join("metrics"), "/healthz")
    }

    /// Asks for a lease for a pod's interface, and has the interface get it as the plugin does.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn attach(&self, pod: &Pod, wishes: Wishes) -> Lease {
        let reply = self.acquire(pod, wishes).unwrap();
        let lease = reply.lease.unwrap_or_else(|| panic!("{}: {}", reply.error, reply.advice));
        let address = format!("{}/{}", Ipv4Addr::from(lease.address), lease.prefix_length);
        pod.run("ip", &["address", "add", &address, "dev", INTERFACE]);
        lease
    }

    /// Asks for a lease for a pod's interface.
    pub fn acquire(&self, pod: &Pod, wishes: Wishes) -> Result<AcquireReply, FrameError> {
        self.ask(About::Acquire(acquisition(pod, wishes)))
    }

    /// Gives a pod's lease back.
    pub fn release(&self, pod: &Pod) -> Result<ReleaseReply, FrameError> {
        self.ask(About::Release(ReleaseRequest { attachment: Some(attachment(pod)) }))
    }

    /// Whether the daemon finds that all is well with a pod's lease.
    #[must_use]
    pub fn check(&self, pod: &Pod) -> CheckReply {
        self.ask(About::Check(CheckRequest { attachment: Some(attachment(pod)) })).unwrap()
    }

    /// Gives all leases back but those of these pods.
    #[must_use]
    pub fn collect(&self, valid: &[&Pod]) -> CollectReply {
        let valid = valid.iter().map(|pod| attachment(pod)).collect();
        self.ask(About::Collect(CollectRequest { network: NETWORK.to_owned(), valid })).unwrap()
    }

    /// All leases, by their containers.
    #[must_use]
    pub fn leases(&self) -> Vec<HeldLease> {
        let LeasesReply { mut leases } = self.ask(About::Leases(LeasesRequest {})).unwrap();
        leases.sort_by_key(|held| held.attachment.as_ref().map(|a| a.container_id.clone()));
        leases
    }

    /// The state of a pod's client, as RFC 2131 has it; empty where it has none.
    #[must_use]
    pub fn state(&self, pod: &Pod) -> String {
        let is_it = |held: &HeldLease| held.attachment.as_ref() == Some(&attachment(pod));
        self.leases().into_iter().find(is_it).map(|held| held.state).unwrap_or_default()
    }

    /// Asks something.
    pub fn ask<R: Message + Default>(&self, about: About) -> Result<R, FrameError> {
        let mut stream = UnixStream::connect(self.socket())?;
        ask_within(&mut stream, &Question { about: Some(about) }, BOUND)
    }
}

/// The network that is asked for.
const NETWORK: &str = "fast";

/// The interface of a pod.
#[must_use]
pub fn attachment(pod: &Pod) -> Attachment {
    Attachment {
        network: NETWORK.to_owned(),
        container_id: pod.name().to_owned(),
        if_name: INTERFACE.to_owned(),
    }
}

/// The question for a lease for a pod's interface.
#[must_use]
pub fn acquisition(pod: &Pod, wishes: Wishes) -> AcquireRequest {
    AcquireRequest {
        attachment: Some(attachment(pod)),
        netns: pod.netns().display().to_string(),
        wishes: Some(wishes),
        ..AcquireRequest::default()
    }
}

/// The IPv4 addresses that a pod's interface has.
#[must_use]
pub fn addresses(pod: &Pod) -> Vec<String> {
    let link = pod.link(INTERFACE);
    let all = link["addr_info"].as_array().cloned().unwrap_or_default();
    let v4 = all.iter().filter(|address| address["family"] == "inet");
    v4.map(|address| address["local"].as_str().unwrap().to_owned()).collect()
}
