//! Addresses from a DHCP server: what an ADD takes, and what 1,000 leases cost the daemon that keeps them.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use linkspan_tests::dhcp_daemon::DhcpDaemon;
use linkspan_tests::dhcp_server::DhcpServer;
use linkspan_tests::pods::{Pod, run};
use linkspan_tests::scrape;
use linkspan_tests::wait::until;
use serde_json::{Value, json};

use crate::install::Installed;
use crate::plugin::{INTERFACE, Plugin, Verb, with_result};
use crate::race::Programs;
use crate::samples::{Samples, milliseconds, ratio};
use crate::table::table;

/// What `--only` looks for.
pub(crate) const NAME: &str = "dhcp";
/// How many leases a daemon has to keep.
pub(crate) const MANY: usize = 1_000;
const ROUNDS: usize = 100;
/// Rounds that are not counted.
const WARM_UP: usize = 3;
/// A parent of its own, whose other end is the server's.
const PARENT: &str = "leased";
const BOUND: Duration = Duration::from_secs(20);

/// All that was measured.
#[derive(Default)]
pub(crate) struct Measured {
    /// ADD and DEL with a lease that has to be acquired.
    pub(crate) cold: Turns,
    /// With one that the daemon has kept ready.
    pub(crate) warm: Turns,
    pub(crate) reference: Turns,
    /// Both as IPAM plugins of a link that is there and up.
    pub(crate) ipam: Turns,
    pub(crate) ipam_of_reference: Turns,
    /// Linkspan's ADD and DEL with host-local.
    pub(crate) host_local: Turns,
    pub(crate) held: Option<Held>,
    pub(crate) held_by_reference: Option<Held>,
}

/// How long the ADDs and the DELs of one contestant took.
#[derive(Default)]
pub(crate) struct Turns {
    pub(crate) add: Samples,
    del: Samples,
}

/// What it takes to keep [`MANY`] leases.
pub(crate) struct Held {
    /// In KiB.
    pub(crate) resident: u64,
    pub(crate) threads: u64,
    /// How often the process's first thread was woken while nothing was due, and in what time.
    pub(crate) woken: (u64, Duration),
}

/// The server at the other end of the parent.
fn server(pod: &Pod) -> DhcpServer {
    let far = "far";
    let ends = ["link", "add", PARENT, "type", "veth", "peer", "name", far, "netns", pod.name()];
    run("ip", &ends);
    run("ip", &["link", "set", PARENT, "up"]);
    pod.run("ip", &["link", "set", far, "up"]);
    pod.wait_for_carrier(far);
    let range = "10.70.0.2,10.70.250.250,12h";
    DhcpServer::start(pod, far, "10.70.255.1/16", range, &["--dhcp-lease-max=10000"])
}

/// The reference's daemon, which ends with the value.
struct ReferenceDaemon {
    child: Child,
    socket: PathBuf,
}

impl ReferenceDaemon {
    fn start(installed: &Installed, folder: &Path) -> Result<Self> {
        let socket = folder.join("reference.sock");
        // One that was killed leaves its socket, on which the next one could not listen.
        let _ = std::fs::remove_file(&socket);
        let mut command = Command::new(installed.reference.join("dhcp"));
        command.arg("daemon").arg("-socketpath").arg(&socket).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("{command:?} can't be run"))?;
        until("the reference's daemon to listen", BOUND, || {
            std::os::unix::net::UnixStream::connect(&socket).ok()
        });
        Ok(Self { child, socket })
    }
}

impl Drop for ReferenceDaemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(network: &str, ipam: &Value) -> Value {
    json!({
        "cniVersion": "1.0.0", "name": network, "type": "macvlan", "master": PARENT, "mode": "bridge", "ipam": ipam,
    })
}

fn of_socket(socket: &Path) -> Value {
    json!({ "type": "dhcp", "daemonSocketPath": socket })
}

/// Measures ADDs and DELs in turn, and then daemons that keep many leases.
pub(crate) fn measure(
    programs: &Programs,
    installed: &Installed,
    share: usize,
    folder: &Path,
) -> Result<Measured> {
    let pod = Pod::new("bench", "server");
    let _server = server(&pod);
    let mut measured = Measured::default();
    race(&mut measured, programs, installed, share, folder)?;
    let many = (MANY / share).max(10);
    let mut daemon = DhcpDaemon::start(&[]);
    let ours = config("many", &of_socket(&daemon.socket()));
    measured.held = Some(held(&programs.linkspan, &ours, many, daemon.process().id())?);
    drop(daemon);
    let daemon = ReferenceDaemon::start(installed, folder)?;
    let theirs = config("many", &of_socket(&daemon.socket));
    measured.held_by_reference = Some(held(&programs.reference, &theirs, many, daemon.child.id())?);
    Ok(measured)
}

fn race(
    measured: &mut Measured,
    programs: &Programs,
    installed: &Installed,
    share: usize,
    folder: &Path,
) -> Result<()> {
    let (own, reference) = (DhcpDaemon::start(&[]), ReferenceDaemon::start(installed, folder)?);
    let mut ready = of_socket(&own.socket());
    ready["prefetch"] = json!(4);
    let data = folder.join("leases");
    let host_local = json!({ "type": "host-local", "dataDir": data, "subnet": "10.71.0.0/16" });
    let (ours, theirs) = (of_socket(&own.socket()), of_socket(&reference.socket));
    let [pod, linked] = ["leased", "linked"].map(|name| Pod::new("bench", name));
    link(&linked);
    let ipam = Plugin::new(&installed.linkspan, "dhcp")?;
    let ipam_of_reference = Plugin::new(&installed.reference, "dhcp")?;
    let mut contestants: [(&Plugin, &Pod, Value, &mut Turns); 6] = [
        (&programs.linkspan, &pod, config("cold", &ours), &mut measured.cold),
        (&programs.reference, &pod, config("peer", &theirs), &mut measured.reference),
        (&programs.linkspan, &pod, config("warm", &ready), &mut measured.warm),
        (&programs.linkspan, &pod, config("local", &host_local), &mut measured.host_local),
        (&ipam, &linked, config("ipam", &ours), &mut measured.ipam),
        (&ipam_of_reference, &linked, config("ipam", &theirs), &mut measured.ipam_of_reference),
    ];
    for round in 0..WARM_UP + (ROUNDS / share).max(2) {
        for turn in 0..contestants.len() {
            let index = (round + turn) % contestants.len();
            let (plugin, pod, config, turns) = &mut contestants[index];
            let (add, result) = plugin.call(Verb::Add, pod, config)?;
            let result = result.context("no result")?;
            ensure!(result["ips"][0]["address"].is_string(), "no address: {result}");
            let (del, _) = plugin.call(Verb::Del, pod, &with_result(config, Some(result)))?;
            if round >= WARM_UP {
                turns.add.push(add);
                turns.del.push(del);
            }
        }
    }
    Ok(())
}

/// A link on the parent that is up, for who gives addresses only.
fn link(pod: &Pod) {
    let add = ["link", "add", "link", PARENT, "name", INTERFACE, "netns", pod.name()];
    run("ip", &[&add[..], &["type", "macvlan", "mode", "bridge"]].concat());
    pod.run("ip", &["link", "set", INTERFACE, "up"]);
    pod.wait_for_carrier(INTERFACE);
}

/// Attaches many pods, some at once, and looks at the daemon then.
fn held(plugin: &Plugin, config: &Value, many: usize, daemon: u32) -> Result<Held> {
    const AT_ONCE: usize = 8;
    const QUIET: Duration = Duration::from_secs(20);
    let pods: Vec<Pod> = (0..many).map(|n| Pod::new("bench", &format!("lease{n}"))).collect();
    let next = AtomicUsize::new(0);
    let attach = || -> Result<Vec<Ipv4Addr>> {
        let mut given = Vec::new();
        while let Some(pod) = pods.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (_, result) = plugin.call(Verb::Add, pod, config)?;
            let result = result.context("no result")?;
            let text = result["ips"][0]["address"].as_str().context("no address")?;
            given.push(text.split('/').next().unwrap_or_default().parse()?);
        }
        Ok(given)
    };
    let all = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(attach)).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?);
        joined.collect::<Result<Vec<_>>>()
    })?;
    let mut all = all.concat();
    all.sort_unstable();
    all.dedup();
    ensure!(all.len() == many, "{} addresses for {many} pods", all.len());
    // What it does right after the last ADD belongs to that.
    std::thread::sleep(Duration::from_secs(3));
    let before = scrape::switches(daemon);
    std::thread::sleep(QUIET);
    let woken = (scrape::switches(daemon) - before, QUIET);
    let of = |key| scrape::status(daemon, key);
    Ok(Held { resident: of("VmRSS"), threads: of("Threads"), woken })
}

/// The numbers as tables.
pub(crate) fn describe(measured: &Measured) -> String {
    let row = |name: &str, turns: &Turns, reference: &Turns| {
        let times = ratio(&reference.add, &turns.add);
        [
            name.to_owned(),
            milliseconds(&turns.add, Samples::median),
            milliseconds(&turns.add, Samples::p99),
            milliseconds(&turns.add, Samples::min),
            milliseconds(&turns.del, Samples::median),
            times.map_or_else(|| "-".to_owned(), |times| format!("{times:.2}")),
            turns.add.count().to_string(),
        ]
    };
    let rows = [
        row("DHCP, Linkspan", &measured.cold, &measured.reference),
        row("DHCP, Linkspan, lease kept ready", &measured.warm, &measured.reference),
        row("DHCP, reference", &measured.reference, &measured.reference),
        row("host-local, Linkspan", &measured.host_local, &measured.reference),
        row("DHCP over a link that is up, Linkspan", &measured.ipam, &measured.ipam_of_reference),
        row(
            "DHCP over a link that is up, reference",
            &measured.ipam_of_reference,
            &measured.ipam_of_reference,
        ),
    ];
    let headings = ["ms", "ADD", "p99", "min", "DEL", "times faster", "runs"];
    let times = table(headings, &rows);
    let row = |name: &str, held: &Option<Held>| {
        let shown = |of: &dyn Fn(&Held) -> String| held.as_ref().map_or_else(|| "-".to_owned(), of);
        [
            name.to_owned(),
            shown(&|held| format!("{:.2}", crate::report::mebibytes(held.resident))),
            shown(&|held| held.threads.to_string()),
            shown(&|held| format!("{} in {} s", held.woken.0, held.woken.1.as_secs())),
        ]
    };
    let rows = [row("Linkspan", &measured.held), row("reference", &measured.held_by_reference)];
    let headings = ["the daemon with 1,000 leases", "resident, MiB", "threads", "woken"];
    format!("{times}\n{}", table(headings, &rows))
}
