//! A real DHCP server on a wire: dnsmasq, which is not our code, with its log and its lease file.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::pods::Pod;
use crate::wait;

/// A server that runs, or was stopped; it ends with the value.
pub struct DhcpServer {
    /// The namespace that it serves in, and what it is told beside its files.
    netns: String,
    arguments: Vec<String>,
    /// Its log, its leases and what it writes of itself.
    folder: TempDir,
    process: Option<Child>,
}

/// A lease as the server's own file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedLease {
    /// The address.
    pub address: Ipv4Addr,
    /// Whose it is, as `02:00:00:00:00:01`.
    pub mac: String,
    /// The name that the client has told, if any.
    pub host_name: Option<String>,
    /// The client identifier in hexadecimal, if one was sent: `00:63:31`.
    pub client_id: Option<String>,
}

const BOUND: Duration = Duration::from_mins(1);

impl DhcpServer {
    /// Starts dnsmasq on a link, which is given `address` (`10.1.2.1/24`). `range` is as `--dhcp-range` has it:
    /// `10.1.2.10,10.1.2.99,1h`. It serves when this returns.
    #[must_use]
    pub fn start(pod: &Pod, link: &str, address: &str, range: &str, more: &[&str]) -> Self {
        pod.run("ip", &["address", "replace", address, "dev", link]);
        let mut arguments = vec![format!("--interface={link}"), format!("--dhcp-range={range}")];
        arguments.extend(more.iter().map(|&word| word.to_owned()));
        let netns = pod.name().to_owned();
        let mut server = Self { netns, arguments, folder: TempDir::new().unwrap(), process: None };
        server.resume();
        server
    }

    /// Starts it again where it was stopped, with the leases that it had.
    pub fn resume(&mut self) {
        assert!(self.process.is_none(), "the server runs already");
        let starts = self.starts();
        let file = |name: &str| self.file(name).display().to_string();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.netns, "dnsmasq", "--keep-in-foreground"]);
        // A server of DHCP alone, which waits for no ping before it offers an address.
        command.args(["--conf-file=/dev/null", "--port=0", "--no-ping", "--bind-interfaces"]);
        command.args([
            "--except-interface=lo",
            "--dhcp-authoritative",
            "--log-dhcp",
            "--user=root",
        ]);
        command.arg(format!("--log-facility={}", file("log")));
        command.arg(format!("--dhcp-leasefile={}", file("leases")));
        command.arg(format!("--pid-file={}", file("pid")));
        let child = command.args(&self.arguments).stdin(Stdio::null()).spawn();
        self.process = Some(child.unwrap_or_else(|e| panic!("{command:?} can't be run: {e}")));
        wait::until("dnsmasq to serve", BOUND, || (self.starts() > starts).then_some(()));
    }

    /// Stops it. Its leases stay in its file.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it and starts it with other arguments: `--dhcp-range`, say.
    pub fn restart_with(&mut self, link: &str, range: &str, more: &[&str]) {
        self.stop();
        self.arguments = vec![format!("--interface={link}"), format!("--dhcp-range={range}")];
        self.arguments.extend(more.iter().map(|&word| word.to_owned()));
        self.resume();
    }

    /// Forgets all leases, as a server does that was installed anew. It has to be stopped.
    pub fn forget(&mut self) {
        assert!(self.process.is_none(), "the server still runs");
        let _ = fs::remove_file(self.file("leases"));
    }

    /// All that it has logged, over restarts.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// How many lines of its log have this text: `DHCPRELEASE`, say.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until its log has a line with all of these texts, and returns it.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    pub fn wait_for(&self, texts: &[&str]) -> String {
        let found = || {
            let log = self.log();
            let line = log.lines().find(|line| texts.iter().all(|text| line.contains(text)));
            line.map(str::to_owned)
        };
        wait::until(&format!("{texts:?} in the server's log"), BOUND, found)
    }

    /// The leases that it has given and not got back.
    #[must_use]
    pub fn leases(&self) -> Vec<ServedLease> {
        let text = fs::read_to_string(self.file("leases")).unwrap_or_default();
        text.lines().filter_map(ServedLease::parse).collect()
    }

    /// Waits until it has got all leases back.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    pub fn wait_for_no_lease(&self) {
        let none = || self.leases().is_empty().then_some(());
        wait::until("the server to get all leases back", BOUND, none);
    }

    fn starts(&self) -> usize {
        self.count("sockets bound exclusively")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl ServedLease {
    /// A line of dnsmasq's file: expiry, MAC, address, name, client identifier, with `*` for what there is none of.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace().skip(1);
        let mac = words.next()?.to_owned();
        let address = words.next()?.parse().ok()?;
        let mut told = || words.next().filter(|word| *word != "*").map(str::to_owned);
        Some(Self { address, mac, host_name: told(), client_id: told() })
    }
}

impl Drop for DhcpServer {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("--- log of the DHCP server in {}:\n{}", self.netns, self.log());
        }
    }
}
