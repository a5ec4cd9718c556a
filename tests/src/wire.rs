//! What is heard on a wire, by tcpdump, which is not our code.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::pods::Pod;

/// A listener on one link; it ends with the value.
pub struct Listener {
    tcpdump: Child,
    lines: Receiver<String>,
}

const BOUND: Duration = Duration::from_secs(20);

impl Listener {
    /// Listens on a link of a pod for ARP and neighbour advertisements. It does so when this returns.
    ///
    /// # Panics
    ///
    /// If tcpdump does not begin in time.
    #[must_use]
    pub fn on(pod: &Pod, link: &str) -> Self {
        let mut tcpdump = Command::new("ip")
            .args([
                "netns",
                "exec",
                pod.name(),
                "tcpdump",
                "-l",
                "-n",
                "-e",
                "-v",
                "--immediate-mode",
            ])
            .args(["-i", link, "arp or icmp6"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let (stdout, stderr) = (tcpdump.stdout.take().unwrap(), tcpdump.stderr.take().unwrap());
        let streams: [Box<dyn std::io::Read + Send>; 2] = [Box::new(stdout), Box::new(stderr)];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    // Nobody listens to the listener any more.
                    let _ = sender.send(line);
                }
            });
        }
        let listener = Self { tcpdump, lines };
        listener.wait_for("tcpdump to begin", |heard| heard.contains("listening on"));
        listener
    }

    /// Waits until an address is announced to all nodes, with this MAC as its source: a gratuitous ARP, or an
    /// unsolicited neighbour advertisement that overrides what they know.
    ///
    /// # Panics
    ///
    /// If that does not happen in time.
    pub fn wait_for_announcement(&self, address: &str, mac: &str) {
        self.wait_for_announcement_to("ff02::1", address, mac);
    }

    /// As [`Self::wait_for_announcement`], for an IPv6 address that is announced to all routers.
    ///
    /// # Panics
    ///
    /// If that does not happen in time.
    pub fn wait_for_announcement_to_routers(&self, address: &str, mac: &str) {
        self.wait_for_announcement_to("ff02::2", address, mac);
    }

    fn wait_for_announcement_to(&self, group: &str, address: &str, mac: &str) {
        let (asked, teller) = (format!("who-has {address} "), format!("tell {address},"));
        let (group, target) =
            (format!("> {group}:"), format!("tgt is {address}, Flags [override]"));
        // With -v tcpdump prints a packet on some lines, the first of which has the source's MAC.
        let mut from_mac = false;
        self.wait_for(&format!("{address} to be announced by {mac}"), |line| {
            if !line.starts_with([' ', '\t']) {
                from_mac = line.contains(&format!("{mac} > "));
            }
            let is_arp = line.contains(&asked) && line.contains(&teller);
            let is_advertisement = line.contains(&group) && line.contains(&target);
            from_mac && (is_arp || is_advertisement)
        });
    }

    fn wait_for(&self, what: &str, mut heard: impl FnMut(&str) -> bool) {
        let deadline = Instant::now() + BOUND;
        let mut all = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let found = heard(&line);
                    all.push(line);
                    if found {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{what}: not heard; what was: {all:#?}")
                }
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.tcpdump.kill();
        let _ = self.tcpdump.wait();
    }
}
