//! The device plugin: how long it looks at a node, what it takes to have looked, what an Allocate costs, and how
//! soon the kubelet hears of a change.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use linkspan_tests::daemon::{Daemon, Signal};
use linkspan_tests::kubelet::Kubelet;
use linkspan_tests::scrape;
use linkspan_tests::sysfs_tree::{Pf, SysfsTree};
use linkspan_tests::wait::until;
use serde_json::json;

use crate::changes::{self, Changes};
use crate::place::PARENT;
use crate::samples::{Samples, milliseconds};
use crate::table::table;

/// What `--only` looks for.
pub(crate) const NAME: &str = "device plugin";
const RESOURCE: &str = "linkspan.dev/all";
const BOUND: Duration = Duration::from_mins(1);
/// Each PF has as many as one of the largest NICs.
const VFS_OF_A_PF: u32 = 512;
/// The first one's carrier goes and comes.
const PFS: [(&str, &str); 4] = [
    ("0000:10:00.0", PARENT),
    ("0000:20:00.0", "ens2"),
    ("0000:30:00.0", "ens3"),
    ("0000:40:00.0", "ens4"),
];

/// What one daemon came to on a made node.
pub(crate) struct Measured {
    pub(crate) vfs: u32,
    /// One look at all VFs, by its own clock.
    pub(crate) look: Duration,
    pub(crate) allocate: Samples,
    pub(crate) changes: Changes,
    /// In KiB, after all else.
    pub(crate) resident: u64,
    /// How often it was woken, and in what time.
    pub(crate) woken: Option<(u64, Duration)>,
}

/// Measures nodes of different sizes; the largest also when nothing happens.
pub(crate) fn measure(share: usize, folder: &Path) -> Result<Vec<Measured>> {
    [256, 512, 2048].into_iter().map(|vfs| measure_one(vfs, share, folder)).collect()
}

fn measure_one(vfs: u32, share: usize, folder: &Path) -> Result<Measured> {
    let tree = SysfsTree::new();
    let mut rest = vfs;
    for (address, name) in PFS {
        let pf = Pf::igb(address, name);
        tree.add_pf(&pf);
        tree.set_num_vfs(&pf, rest.min(VFS_OF_A_PF));
        rest -= rest.min(VFS_OF_A_PF);
    }
    let folder = folder.join(format!("node-{vfs}"));
    fs::create_dir_all(&folder)?;
    let kubelet = Kubelet::start(&folder.join("kubelet"));
    let config = folder.join("config.json");
    fs::write(&config, configuration())?;
    let metrics = folder.join("metrics.sock");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (address, sysfs) = (format!("unix:{}", text(&metrics)), text(tree.root()));
    let (devices, info) = (text(&folder.join("devices.sock")), text(&folder.join("device-info")));
    let flags = [
        ["--metrics-address", &address],
        ["--sysfs-root", &sysfs],
        ["--devices-socket", &devices],
        ["--device-info-dir", &info],
    ];
    let daemon = Daemon::device_plugin(kubelet.directory(), &config, flags.as_flattened());
    let state = kubelet.wait_for("told of all VFs", BOUND, |state| {
        state.allocatable(RESOURCE).len() == vfs as usize
    });
    let ids = state.allocatable(RESOURCE);
    let look = one_look(&daemon, &metrics, (20 / divisor(share)).max(3))?;
    let allocate = |id: &&str| {
        let start = Instant::now();
        let given = kubelet.allocate(RESOURCE, &[id]);
        given.map(|_| start.elapsed()).map_err(|status| anyhow!("Allocate: {status}"))
    };
    let allocate = ids.iter().take(200 / share).map(allocate).collect::<Result<Samples>>()?;
    let woken = (vfs == 2048).then(|| woken(&daemon, Duration::from_mins(1) / divisor(share)));
    let (address, name) = PFS[0];
    let changes = changes::measure(&kubelet, RESOURCE, &tree, &Pf::igb(address, name), 100 / share);
    let resident = scrape::status(daemon.id(), "VmRSS");
    Ok(Measured { vfs, look, allocate, changes, resident, woken })
}

/// A pool of all VFs, and one of shares of a PF: veths come and go with pods, and so the plugin passes them over
/// unless they are in its configuration.
fn configuration() -> String {
    let all = json!({
        "resourceName": "all", "selectors": { "drivers": ["igbvf"] }, "health": { "dampingSeconds": 0 },
    });
    let shares = json!({
        "resourceName": "shares", "kind": "macvlan", "lowerDevice": PARENT, "capacity": 1,
    });
    json!({ "resourceList": [all, shares] }).to_string()
}

fn divisor(share: usize) -> u32 {
    share.try_into().unwrap_or(1)
}

/// The average of some looks that it is told to take.
fn one_look(daemon: &Daemon, metrics: &Path, rounds: u32) -> Result<Duration> {
    let (seconds, looks) = looks(metrics)?;
    for round in 1..=rounds {
        daemon.signal(Signal::HUP);
        until("it has looked", BOUND, || {
            self::looks(metrics).is_ok_and(|(_, now)| now >= looks + f64::from(round)).then_some(())
        });
    }
    let (seconds_after, looks_after) = self::looks(metrics)?;
    Ok(Duration::from_secs_f64((seconds_after - seconds) / (looks_after - looks)))
}

/// All seconds that it has looked for, and how often.
fn looks(metrics: &Path) -> Result<(f64, f64)> {
    let (_, _, text) = scrape::get(metrics, "/metrics");
    let number = |name: &str| -> Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.with_context(|| format!("{name} is not told"))?.parse()?)
    };
    Ok((
        number("linkspan_rescan_duration_seconds_sum")?,
        number("linkspan_rescan_duration_seconds_count")?,
    ))
}

fn woken(daemon: &Daemon, time: Duration) -> (u64, Duration) {
    // Connections that were just used are closed, and threads that were just needed end.
    std::thread::sleep(Duration::from_secs(3));
    let before = scrape::switches(daemon.id());
    std::thread::sleep(time);
    (scrape::switches(daemon.id()) - before, time)
}

/// The numbers as a table.
pub(crate) fn describe(all: &[Measured]) -> String {
    let row = |measured: &Measured| {
        let Measured { vfs, look, allocate, changes: _, resident, woken } = measured;
        let woken = woken.map(|(times, time)| format!("{times} in {} s", time.as_secs()));
        [
            vfs.to_string(),
            format!("{:.1}", look.as_secs_f64() * 1e3),
            milliseconds(allocate, Samples::median),
            milliseconds(allocate, Samples::p99),
            format!("{:.2}", crate::report::mebibytes(*resident)),
            woken.unwrap_or_default(),
        ]
    };
    let headings = ["VFs", "one look, ms", "Allocate, ms", "p99", "resident, MiB", "woken"];
    let costs = table(headings, &all.iter().map(row).collect::<Vec<_>>());
    let changes = changes::describe(all.iter().map(|measured| (measured.vfs, &measured.changes)));
    format!("{costs}\n{changes}")
}
