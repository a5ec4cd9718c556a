//! The plugin with the one capability that setting PFs up and making links takes, and without it.

use std::fs;

use linkspan_tests::cases;
use linkspan_tests::daemon::{Daemon, Signal};
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::kubelet::Kubelet;
use linkspan_tests::pods::run;
use linkspan_tests::wait::until;
use linkspan_types::IfName;
use serde_json::{Value, json};

use crate::provisioned::{Before, driver, shown};
use crate::{BOUND, Node, pfs, write};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(2)];
        one_capability_is_enough_to_provision_bind_and_make_links,
        who_lacks_the_capability_is_told_so,
    ]
}

const NET_ADMIN: u64 = 1 << 12;
const SHARE: &str = "sharesMvp0";

/// Starts the plugin with these capabilities (of `setpriv`), on a file system of which only
/// one folder can be written to, and `/sys` and `/run`.
fn start(kubelet: &Kubelet, folder: &str, capabilities: &str) -> Daemon {
    let path = |name: &str| format!("{folder}/{name}");
    let script = format!(
        "mount --bind {folder} {folder} && mount -o remount,bind,ro / && \
         exec setpriv --bounding-set={capabilities} --inh-caps={capabilities} --ambient-caps=-all --no-new-privs \"$@\""
    );
    let wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "sh"];
    let (config, info, socket) = (path("config.json"), path("devinfo"), path("devices.sock"));
    let flags = [
        ["--kubelet-dir", kubelet.directory().to_str().unwrap()],
        ["--config-file", &config],
        ["--device-info-dir", &info],
        ["--devices-socket", &socket],
    ];
    Daemon::start_by(&wrapper, "linkspan-device-plugin", flags.as_flattened())
}

/// What is asked for of the two PFs: VFs that are bound for pods, and shares.
fn resources() -> Value {
    let [lower, pf] = pfs();
    let provision = json!({
        "numVfs": 3, "mtu": 1400, "trust": "on", "driver": "vfio-pci", "bind": "perPod",
    });
    json!([
        { "resourceName": "made", "selectors": { "pfNames": [pf.name.as_str()] }, "provision": provision },
        { "resourceName": "shares", "kind": "macvtap", "lowerDevice": lower.name.as_str(), "capacity": 1 },
    ])
}

/// Deletes a share's link, whatever the test does.
struct Link(IfName);

impl Drop for Link {
    fn drop(&mut self) {
        let _ = std::process::Command::new("ip").args(["link", "delete", self.0.as_str()]).output();
    }
}

/// A node whose plugin has these capabilities.
fn node(capabilities: &str) -> Node {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &resources());
    let kubelet = Kubelet::start(&folder.path().join("kubelet"));
    let plugin = start(&kubelet, folder.path().to_str().unwrap(), capabilities);
    Node { plugin, kubelet, folder }
}

fn assert_capabilities(plugin: &Daemon, expected: u64) {
    until("it has its capabilities", BOUND, || {
        let status = fs::read_to_string(format!("/proc/{}/status", plugin.id())).unwrap();
        let all = ["CapPrm", "CapEff", "CapBnd"];
        all.iter().all(|set| status.contains(&format!("{set}:\t{expected:016x}"))).then_some(())
    });
}

fn one_capability_is_enough_to_provision_bind_and_make_links() {
    let [_, pf] = pfs();
    let _before = Before::without_vfs(&pf);
    let _link = Link(IfName::of_pool_device(SHARE));
    let node = node("-all,+net_admin");
    node.wait_for("made", &pf.vfs[..3]);
    assert_capabilities(&node.plugin, NET_ADMIN);
    until("the PF is set up", BOUND, || {
        let link = shown(&pf);
        let vfs = link["vfinfo_list"].as_array()?;
        let trusted = vfs.len() == 3 && vfs.iter().all(|vf| vf["trust"] == true);
        (trusted && link["mtu"] == 1400).then_some(())
    });
    let vf = pf.vfs[0];
    let given = node.kubelet.run_pod("ns", "pod", "linkspan.dev/made", &[&vf.to_string()]).unwrap();
    assert_eq!(driver(vf).as_deref(), Some("vfio-pci"));
    assert_eq!(given.devices.len(), 2, "{given:?}");
    let given = node.kubelet.allocate("linkspan.dev/shares", &[SHARE]).unwrap();
    assert!(fs::exists(&given.devices[0].host_path).unwrap(), "{given:?}");
    // It goes back to its driver, and the share's link goes with its pool.
    node.kubelet.end_pod("ns", "pod");
    let mut others = resources();
    others.as_array_mut().unwrap().pop();
    node.configure(&others);
    node.plugin.signal(Signal::HUP);
    until("the VF is the kernel's", BOUND, || {
        (driver(vf).is_some_and(|driver| driver != "vfio-pci")).then_some(())
    });
    let log = node.plugin.log();
    for refusal in ["Permission denied", "Operation not permitted", "Read-only", "not set up"] {
        assert!(!log.contains(refusal), "{log}");
    }
}

fn who_lacks_the_capability_is_told_so() {
    let [_, pf] = pfs();
    let _before = Before::without_vfs(&pf);
    let _link = Link(IfName::of_pool_device(SHARE));
    let node = node("-all");
    // The number of VFs is a file of root's.
    node.wait_for("made", &pf.vfs[..3]);
    assert_capabilities(&node.plugin, 0);
    let refused = node.kubelet.allocate("linkspan.dev/shares", &[SHARE]).unwrap_err();
    assert!(refused.message().contains("has no CAP_NET_ADMIN"), "{refused}");
    until("what was not set up is said, and why", BOUND, || {
        let log = node.plugin.log();
        let said = log.lines().filter(|line| line.contains("not set up: "));
        let why = said.filter(|line| line.contains("has no CAP_NET_ADMIN"));
        (why.count() > 0).then_some(())
    });
    assert_eq!(run("cat", &[&format!("/sys/class/net/{}/mtu", pf.name)]).trim(), "1500");
}
