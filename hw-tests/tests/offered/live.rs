//! What the kubelet is told while VFs, their PF, drivers, pods and programs come and go: always the right count,
//! and which of it is well.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use linkspan_linux::pci::Sysfs;
use linkspan_tests::bed::BedPf;
use linkspan_tests::cases;
use linkspan_tests::daemon::{Daemon, Signal};
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::{Pod, run};
use linkspan_tests::wait::until;
use linkspan_types::PciAddress;
use serde_json::json;

use crate::{BOUND, Node, all_of, pfs, resource, start_plugin};
use linkspan_hw_tests::as_before::AsBefore;
use linkspan_hw_tests::netdev;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(1)];
        a_pf_that_goes_down_takes_its_vfs_along_and_brings_them_back,
        a_vf_without_a_driver_is_ill_until_it_has_one,
        restarts_in_every_order_change_nothing,
        a_burst_of_events_is_few_looks,
    ]
}

/// A node whose pool `fast` calls a device healthy after one good second.
fn node(pf: &BedPf) -> Node {
    Node::configured(&json!([{
        "resourceName": "fast", "selectors": all_of(pf), "health": {"dampingSeconds": 1}
    }]))
}

/// Waits until the pool still lists all of these, and only the second ones may be given to pods.
fn wait_for_health(node: &Node, listed: &[PciAddress], well: &[PciAddress]) -> Duration {
    let (listed, well) = (texts(listed), texts(well));
    let start = Instant::now();
    node.kubelet.wait_for(&format!("{} well", well.join(", ")), BOUND, |state| {
        let known = &state.resources[&resource("fast")];
        known.devices.iter().map(|device| &device.id).eq(&listed) && known.allocatable() == well
    });
    start.elapsed()
}

fn texts(vfs: &[PciAddress]) -> Vec<String> {
    vfs.iter().map(ToString::to_string).collect()
}

fn a_pf_that_goes_down_takes_its_vfs_along_and_brings_them_back() {
    let [pf, _] = pfs();
    let _vfs = AsBefore::of(&pf);
    let up = Up(&pf);
    let node = node(&pf);
    node.wait_for("fast", &pf.vfs);
    run("ip", &["link", "set", pf.name.as_str(), "down"]);
    let took = wait_for_health(&node, &pf.vfs, &[]);
    println!("that {} is down was told after {took:?}", pf.name);
    drop(up);
    wait_for_health(&node, &pf.vfs, &pf.vfs);
    let known = &node.kubelet.state().resources[&resource("fast")];
    assert_eq!(known.registrations, 1, "an illness is no reason to register");
}

/// Sets a PF up again, whatever the test does, and waits for its carrier.
struct Up<'a>(&'a BedPf);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        run("ip", &["link", "set", self.0.name.as_str(), "up"]);
        let link = Sysfs::host().net(&self.0.name);
        until("carrier", BOUND, || link.carrier().unwrap().filter(|carrier| *carrier));
    }
}

fn a_vf_without_a_driver_is_ill_until_it_has_one() {
    let [pf, _] = pfs();
    let _vfs = AsBefore::of(&pf);
    let (vf, others) = pf.vfs.split_last().unwrap();
    let driver = Sysfs::host().pci(*vf).driver().unwrap().unwrap();
    let drivers = Path::new("/sys/bus/pci/drivers").join(driver);
    let node = node(&pf);
    node.wait_for("fast", &pf.vfs);
    fs::write(drivers.join("unbind"), vf.to_string()).unwrap();
    let took = wait_for_health(&node, &pf.vfs, others);
    println!("that {vf} has no driver was told after {took:?}");
    fs::write(drivers.join("bind"), vf.to_string()).unwrap();
    let took = wait_for_health(&node, &pf.vfs, &pf.vfs);
    assert!(took > Duration::from_millis(900), "it has to be well for a while: {took:?}");
}

type Restart = fn(&mut Node);

fn restarts_in_every_order_change_nothing() {
    let [pf, _] = pfs();
    let vfs = AsBefore::of(&pf);
    let mut node = node(&pf);
    node.wait_for("fast", &pf.vfs);
    let fast = resource("fast");
    let [in_pod, on_vfio] = [pf.vfs[0], pf.vfs[1]];
    for (pod, vf) in [("netns", in_pod), ("vfio", on_vfio)] {
        node.kubelet.run_pod("ns", pod, &fast, &[&vf.to_string()]).unwrap();
    }
    let pod = Pod::new("offered", "pod");
    let name = netdev(in_pod)["name"].as_str().unwrap().to_owned();
    run("ip", &["link", "set", &name, "netns", pod.name()]);
    let back = Back { pod: &pod, name: &name };
    vfs.bind(on_vfio, "vfio-pci");

    let plugin: Restart = Node::restart_plugin;
    let killed: Restart = |node| {
        node.plugin.signal(Signal::KILL);
        node.plugin.wait(BOUND);
        node.plugin = start_plugin(&node.kubelet, node.folder.path());
    };
    let kubelet: Restart = |node| node.kubelet.restart();
    let while_away: Restart = |node| {
        node.kubelet.kill();
        node.plugin.signal(Signal::KILL);
        node.plugin.wait(BOUND);
        node.plugin = start_plugin(&node.kubelet, node.folder.path());
        node.kubelet.restart();
    };
    let orders: [&[Restart]; 6] =
        [&[plugin], &[killed], &[kubelet], &[kubelet, killed], &[killed, kubelet], &[while_away]];
    for order in orders {
        for restart in order {
            restart(&mut node);
        }
        // All are listed, and all are well: those in use as much as the free ones.
        node.kubelet.wait_for("heard again", BOUND, |state| state.resources[&fast].streaming);
        wait_for_health(&node, &pf.vfs, &pf.vfs);
    }
    drop(back);
}

/// Gives a netdev back to the host, whatever the test does.
struct Back<'a> {
    pod: &'a Pod,
    name: &'a str,
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.pod.run("ip", &["link", "set", self.name, "netns", "1"]);
    }
}

/// The kernel makes an event of its own for each write.
fn a_burst_of_events_is_few_looks() {
    let [pf, _] = pfs();
    let mut node = node(&pf);
    node.wait_for("fast", &pf.vfs);
    let socket = node.folder.path().join("metrics.sock");
    node.plugin.signal(Signal::TERM);
    node.plugin.wait(BOUND);
    let config = node.folder.path().join("config.json");
    let address = format!("unix:{}", socket.display());
    let flags = ["--metrics-address", &address];
    node.plugin = Daemon::device_plugin(node.kubelet.directory(), &config, &flags);
    node.wait_for("fast", &pf.vfs);
    let before = looks(&socket);
    let start = Instant::now();
    let event = format!("/sys/bus/pci/devices/{}/uevent", pf.vfs[0]);
    for _ in 0..512 {
        fs::write(&event, "change").unwrap();
    }
    let took = start.elapsed();
    let after = until("the burst was looked at", BOUND, || {
        let count = looks(&socket);
        (count > before).then_some(count)
    });
    println!("512 events in {took:?} were {} looks", after - before);
    // One each 100 ms while they last, and one when they are over.
    let at_most = 2 + took.as_millis() / 100;
    assert!(u128::from(after - before) <= at_most, "{} looks in {took:?}", after - before);
}

/// How often the plugin says that it has looked at the node.
fn looks(metrics: &Path) -> u64 {
    let mut stream = until("metrics", BOUND, || UnixStream::connect(metrics).ok());
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let count =
        text.lines().find_map(|l| l.strip_prefix("linkspan_rescan_duration_seconds_count "));
    count.unwrap().trim().parse().unwrap()
}
