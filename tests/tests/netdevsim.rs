//! What the bed's NICs refuse or can't show, on the VFs of the kernel's own simulated PF, netdevsim, beside a
//! made sysfs tree: it has no PCI devices, and its VFs no netdevs, for which dummy links stand in.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use linkspan_linux::{DevlinkSocket, RouteSocket, VfSettings, VfTraffic};
use linkspan_tests::cni::Network;
use linkspan_tests::daemon::Daemon;
use linkspan_tests::harness::{self, Need};
use linkspan_tests::kubelet::Kubelet;
use linkspan_tests::pods::{Pod, run};
use linkspan_tests::sysfs_tree::{Pf, SysfsTree};
use linkspan_tests::{cases, wait};
use linkspan_types::{LinkState, MacAddr, Rates, VlanId, VlanPriority, VlanProtocol, VlanTag};
use serde_json::json;

fn main() -> ExitCode {
    let all = cases![&[Need::Root, Need::Netdevsim];
        every_setting_reaches_the_kernel_and_is_restored,
        rates_that_are_not_configured_stay_and_must_fit,
        the_last_of_512_vfs_is_saved_and_restored,
        the_traffic_of_each_of_512_vfs_is_read,
        ports_and_vfs_may_come_and_go_while_we_look,
        a_vf_without_its_pf_is_moved_and_comes_back,
        devlink_tells_what_runs_in_a_device,
        each_nic_and_bond_has_a_pool_of_shares_while_it_is_there,
    ];
    let counted = cases![&[Need::Root, Need::Netdevsim, Need::Tool("strace")];
        of_512_vfs_an_add_asks_once_and_a_del_never,
    ];
    harness::main(all.into_iter().chain(counted))
}

/// The name of the simulated PF in the made tree.
const PF: &str = "nsimpf";
const BUS: &str = "/sys/bus/netdevsim";

/// A simulated PF with its VFs, and the sysfs tree that tells of them.
struct Simulated {
    id: u32,
    pf: Pf,
    tree: SysfsTree,
}

impl Simulated {
    fn new(id: u32, vfs: u32) -> Self {
        let device = Path::new(BUS).join(format!("devices/netdevsim{id}"));
        fs::write(Path::new(BUS).join("new_device"), format!("{id} 1")).unwrap();
        let debug = format!("/sys/kernel/debug/netdevsim/netdevsim{id}/max_vfs");
        fs::write(debug, vfs.max(4).to_string()).unwrap();
        fs::write(device.join("sriov_numvfs"), vfs.to_string()).unwrap();
        let netdev = fs::read_dir(device.join("net")).unwrap().next().unwrap().unwrap().file_name();
        run("ip", &["link", "set", &netdev.to_string_lossy(), "name", PF]);

        let (tree, pf) = (SysfsTree::new(), Pf::igb("0000:f0:00.0", PF));
        tree.add_pf(&pf);
        tree.set_num_vfs(&pf, vfs);
        Self { id, pf, tree }
    }

    /// A network whose plugin sees the made tree as `/sys`.
    fn network(&self, vf: u32, config: serde_json::Value) -> Network {
        let mount = format!("mount --bind {} /sys && exec \"$@\"", self.tree.root().display());
        let unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &mount, "sh"];
        let network = Network::new("simulated", config).run_by(&unshare);
        network.with("deviceID", self.pf.vf(vf).to_string())
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _ = fs::write(Path::new(BUS).join("del_device"), self.id.to_string());
    }
}

/// What the simulated PF has set for a VF.
fn settings(vf: u32) -> VfSettings {
    let mut socket = RouteSocket::open().unwrap();
    let index = socket.link_by_name(&PF.parse().unwrap()).unwrap().index;
    socket.vf_settings(index).unwrap().swap_remove(vf as usize)
}

/// The stand-in for a VF's netdev.
struct Netdev(String);

impl Netdev {
    fn of(vf: u32) -> Self {
        let name = format!("{PF}v{vf}");
        run("ip", &["link", "add", &name, "address", "02:00:00:00:70:00", "type", "dummy"]);
        Self(name)
    }
}

impl Drop for Netdev {
    fn drop(&mut self) {
        let _ = std::process::Command::new("ip").args(["link", "delete", &self.0]).output();
    }
}

fn tag(id: u16, priority: u8, protocol: VlanProtocol) -> VlanTag {
    VlanTag {
        id: VlanId::try_from(id).unwrap(),
        priority: VlanPriority::try_from(priority).unwrap(),
        protocol,
    }
}

fn every_setting_reaches_the_kernel_and_is_restored() {
    let simulated = Simulated::new(10, 4);
    let _netdev = Netdev::of(2);
    let given = ["mac", "02:00:00:00:70:02", "vlan", "7", "qos", "1", "spoofchk", "on"];
    run("ip", &[&["link", "set", PF, "vf", "2"], &given[..]].concat());
    let before = settings(2);
    assert_eq!(before.vlan, tag(7, 1, VlanProtocol::Dot1Q), "what ip has set is what we read");

    let network = simulated.network(2, json!({
        "mac": "02:00:00:00:70:01", "mtu": 1400, "vlan": 4094, "vlanQoS": 7, "vlanProto": "802.1ad",
        "spoofchk": "off", "trust": "on", "link_state": "disable",
        "min_tx_rate": 100, "max_tx_rate": 200,
    }));
    let pod = Pod::new("settings", "pod");
    network.add(&pod, "net1");
    assert_eq!(
        settings(2),
        VfSettings {
            mac: MacAddr([2, 0, 0, 0, 0x70, 1]),
            vlan: tag(4094, 7, VlanProtocol::Dot1Ad),
            rates: Rates { min: 100, max: 200 },
            spoof_check: Some(false),
            link_state: LinkState::Disable,
            trust: Some(true),
        }
    );
    // Read back by a program that is not ours.
    let shown: serde_json::Value =
        serde_json::from_str(&run("ip", &["-j", "link", "show", PF])).unwrap();
    let shown = &shown[0]["vfinfo_list"][2];
    for (key, value) in [
        ("address", json!("02:00:00:00:70:01")),
        ("link_state", json!("disable")),
        ("trust", json!(true)),
        ("spoofchk", json!(false)),
        ("vlan_list", json!([{ "vlan": 4094, "qos": 7, "protocol": "802.1ad" }])),
        ("rate", json!({ "max_tx": 200, "min_tx": 100 })),
    ] {
        assert_eq!(shown[key], value, "{key} in {shown}");
    }
    network.del(&pod, "net1");
    assert_eq!(settings(2), before);
}

fn rates_that_are_not_configured_stay_and_must_fit() {
    let simulated = Simulated::new(11, 4);
    let _netdev = Netdev::of(0);
    run("ip", &["link", "set", PF, "vf", "0", "min_tx_rate", "50", "max_tx_rate", "100"]);
    let before = settings(0);
    let pod = Pod::new("rates", "pod");
    let network = simulated.network(0, json!({}));

    let higher = network.with("max_tx_rate", 300);
    higher.add(&pod, "net1");
    assert_eq!(settings(0).rates, Rates { min: 50, max: 300 });
    higher.del(&pod, "net1");
    assert_eq!(settings(0), before);

    let reply = network.with("min_tx_rate", 200).try_add(&pod, "net1");
    assert_eq!(reply.code(), Some(7));
    let device = simulated.pf.vf(0);
    assert_eq!(
        reply.msg(),
        format!("VF {device} would have a min_tx_rate of 200 over its max_tx_rate of 100 (Mbit/s)")
    );
    assert_eq!(settings(0), before);
}

fn the_last_of_512_vfs_is_saved_and_restored() {
    let simulated = Simulated::new(12, 512);
    let _netdev = Netdev::of(511);
    let given = ["vf", "511", "mac", "02:00:00:00:71:ff", "vlan", "99", "trust", "on"];
    run("ip", &[&["link", "set", PF], &given[..]].concat());
    let before = settings(511);
    assert_eq!(before.mac, MacAddr([2, 0, 0, 0, 0x71, 0xff]));

    let config = json!({ "mac": "02:00:00:00:71:01", "vlan": 100, "trust": "off" });
    let network = simulated.network(511, config);
    let pod = Pod::new("many", "pod");
    network.add(&pod, "net1");
    let during = settings(511);
    assert_eq!((during.mac, during.trust), (MacAddr([2, 0, 0, 0, 0x71, 1]), Some(false)));
    assert_eq!(during.vlan, tag(100, 0, VlanProtocol::Dot1Q));
    network.del(&pod, "net1");
    assert_eq!(settings(511), before);
}

/// The simulated PF counts nothing: there is an answer for each VF, and all are zeros.
fn the_traffic_of_each_of_512_vfs_is_read() {
    let _simulated = Simulated::new(15, 512);
    let mut socket = RouteSocket::open().unwrap();
    let index = socket.link_by_name(&PF.parse().unwrap()).unwrap().index;
    assert_eq!(socket.vf_traffic(index).unwrap(), vec![VfTraffic::default(); 512]);
}

fn of_512_vfs_an_add_asks_once_and_a_del_never() {
    let simulated = Simulated::new(13, 512);
    let _netdev = Netdev::of(511);
    let data = tempfile::tempdir().unwrap();
    let trace = data.path().join("trace");
    let network = simulated.network(511, json!({ "vlan": 100, "trust": "on" }));
    let strace = ["strace", "-f", "-o", trace.to_str().unwrap(), "-e", "trace=sendto"];
    let traced = network.also_run_by(&strace);
    let questions = || fs::read_to_string(&trace).unwrap().matches("RTEXT_FILTER_VF").count();
    let pod = Pod::new("asked", "pod");
    traced.add(&pod, "net1");
    assert_eq!(questions(), 1, "ADD");
    traced.del(&pod, "net1");
    assert_eq!(questions(), 0, "DEL");
}

fn ports_and_vfs_may_come_and_go_while_we_look() {
    let simulated = Simulated::new(14, 64);
    let _netdev = Netdev::of(0);
    let network = simulated.network(0, json!({ "vlan": 100 }));
    let pod = Pod::new("flux", "pod");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for (file, text) in [("new_device", "15 4"), ("del_device", "15")] {
                    fs::write(Path::new(BUS).join(file), text).unwrap();
                }
            }
        });
        scope.spawn(|| {
            let numvfs = format!("{BUS}/devices/netdevsim14/sriov_numvfs");
            while !over.load(Ordering::Relaxed) {
                for count in ["0", "64"] {
                    fs::write(&numvfs, count).unwrap();
                }
            }
        });
        let looked = std::panic::catch_unwind(|| look(&network, &pod));
        over.store(true, Ordering::Relaxed);
        if let Err(panic) = looked {
            std::panic::resume_unwind(panic);
        }
    });
}

/// As in a virtual machine that was given the VF alone.
fn a_vf_without_its_pf_is_moved_and_comes_back() {
    let simulated = Simulated::new(16, 4);
    let netdev = Netdev::of(1);
    let device = simulated.pf.vf(1);
    let physfn = simulated.tree.root().join(format!("bus/pci/devices/{device}/physfn"));
    fs::remove_file(physfn).unwrap();
    let pod = Pod::new("alone", "pod");
    let shown = || run("ip", &["-j", "link", "show", &netdev.0]);
    let before = shown();

    let network = simulated.network(1, json!({ "mac": "02:00:00:00:72:01", "mtu": 1400 }));
    network.add(&pod, "net1");
    let link = pod.link("net1");
    assert_eq!((&link["address"], &link["mtu"]), (&json!("02:00:00:00:72:01"), &json!(1400)));
    network.del(&pod, "net1");
    let index = |shown: &str| shown.replace(char::is_numeric, "");
    assert_eq!(index(&shown()), index(&before));

    let reply = network.with("vlan", 100).try_add(&pod, "net1");
    let message =
        format!("`vlan` is set, but VF {device} has no PF on this machine that could set it");
    assert_eq!((reply.code(), reply.msg()), (Some(7), message.as_str()));

    run("ip", &["link", "set", &netdev.0, "up"]);
    run("ip", &["route", "add", "default", "dev", &netdev.0, "metric", "1"]);
    let reply = network.try_add(&pod, "net1");
    let message = format!("device {device} ({}) has the host's default route", netdev.0);
    assert_eq!((reply.code(), reply.msg()), (Some(101), message.as_str()));
}

/// Each look is either before or after a change, never an error of its own making.
fn look(network: &Network, pod: &Pod) {
    let mut socket = RouteSocket::open().unwrap();
    let pf = socket.link_by_name(&PF.parse().unwrap()).unwrap().index;
    let mut seen = [false, false];
    wait::until("a look at 0 and at 64 VFs", Duration::from_mins(1), || {
        socket.links().unwrap();
        let count = socket.vf_settings(pf).unwrap().len();
        assert!(count == 0 || count == 64, "{count} VFs");
        seen[usize::from(count == 64)] = true;
        (seen == [true, true]).then_some(())
    });
    let mut attached = 0;
    wait::until("an ADD while the PF has VFs", Duration::from_mins(1), || {
        let reply = network.try_add(pod, "net1");
        attached += u32::from(reply.success);
        // The VFs were just being removed or made: the runtime is told to try again, or the driver's word.
        assert!(reply.success || matches!(reply.code(), Some(11 | 100)), "{reply:#?}");
        // The runtime repeats a DEL until it succeeds, which it does as soon as the VFs are there, or not.
        wait::until("a DEL", Duration::from_secs(10), || {
            network.try_del(pod, "net1").success.then_some(())
        });
        (attached > 2).then_some(())
    });
}

fn devlink_tells_what_runs_in_a_device() {
    let simulated = Simulated::new(17, 1);
    let mut devlink = DevlinkSocket::open().unwrap();
    let device = format!("netdevsim{}", simulated.id);
    let told = devlink.running_versions("netdevsim", &device).unwrap().unwrap();
    let told: serde_json::Map<String, serde_json::Value> =
        told.into_iter().map(|version| (version.name, version.value.into())).collect();
    assert!(!told.is_empty());
    // By a program that is not ours.
    let handle = format!("netdevsim/{device}");
    let shown = run("devlink", &["-j", "dev", "info", &handle]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(serde_json::Value::from(told), shown["info"][&handle]["versions"]["running"]);

    // Neither a NIC whose driver has no devlink, nor one that there is not, is an error.
    for (bus, device) in [("pci", "0000:f0:00.0"), ("netdevsim", "netdevsim99"), ("", "")] {
        assert_eq!(devlink.running_versions(bus, device).unwrap(), None, "{bus}/{device}");
    }
}

/// As macvtap-cni's device plugin has it where it is told of no link.
fn each_nic_and_bond_has_a_pool_of_shares_while_it_is_there() {
    const BOUND: Duration = Duration::from_secs(20);
    let _simulated = Simulated::new(18, 1);
    let host = Pod::new("anylink", "host");
    let folder = tempfile::tempdir().unwrap();
    let kubelet = Kubelet::start(&folder.path().join("kubelet"));
    let variable = ["DP_MACVTAP_CONF=[]"];
    let netns = host.netns();
    let plugin = Daemon::device_plugin_in(&netns, &variable, kubelet.directory(), folder.path());
    let pool = |link: &str| format!("macvtap.network.kubevirt.io/{link}");
    let offered = |link: &str, count: usize| {
        let pool = pool(link);
        kubelet.wait_for(&format!("{count} of {pool}"), BOUND, |state| {
            state.resources.contains_key(&pool) && state.allocatable(&pool).len() == count
        })
    };

    for kind in ["dummy", "bridge", "bond"] {
        host.run("ip", &["link", "add", &format!("{kind}0"), "type", kind]);
    }
    offered("bond0", 100);
    run("ip", &["link", "set", PF, "netns", host.name()]);
    offered(PF, 100);
    // The peer does not mind what else the host does with it, and nor does the link.
    host.run("ip", &["address", "add", "192.0.2.1/24", "dev", PF]);
    host.run("ip", &["link", "set", PF, "up"]);
    host.run("ip", &["route", "add", "default", "dev", PF]);
    let share = format!("{PF}Mvp99");
    let given = kubelet.allocate(&pool(PF), &[&share]).unwrap();
    assert!(fs::exists(&given.devices[0].host_path).unwrap(), "{given:?}");

    host.run("ip", &["link", "delete", "bond0"]);
    offered("bond0", 0);
    host.run("ip", &["link", "add", "bond0", "type", "bond"]);
    let state = offered("bond0", 100);
    let mut offered: Vec<&String> = state.resources.keys().collect();
    offered.sort_unstable();
    assert_eq!(offered, [&pool("bond0"), &pool(PF)], "{}", plugin.log());
}
