//! The plugin with nothing but what it needs: no capability, and no file system to write to but its own folders.

use std::fs;

use linkspan_tests::daemon::{Daemon, Signal};
use linkspan_tests::wait::until;

use crate::{BOUND, Node, fast, held, measured, pfs};

/// Makes everything but one folder read-only, and takes all capabilities away.
const BARE: &str = r#"
mount --bind "$1" "$1" && mount -o remount,bind,ro / && shift &&
exec setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all --no-new-privs "$@"
"#;

#[test]
fn no_capability_is_needed_and_no_other_folder_written() {
    let mut node = Node::start(fast());
    node.wait_for_devices("linkspan.dev/fast", 4);
    node.plugin.signal(Signal::TERM);
    node.plugin.wait(BOUND);
    node.plugin = start_bare(&node);
    node.wait_for_return("linkspan.dev/fast", 2);
    let status = fs::read_to_string(format!("/proc/{}/status", node.plugin.id())).unwrap();
    for expected in ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(status.contains(expected), "{expected} is not in\n{status}");
    }

    // All that it does: devices that come, a pod, questions of others, a kubelet and a configuration anew.
    node.tree.set_num_vfs(&pfs()[0], 5);
    node.plugin.signal(Signal::HUP);
    node.wait_for_devices("linkspan.dev/fast", 5);
    let vf = pfs()[0].vf(0).to_string();
    node.kubelet.run_pod("ns", "p", "linkspan.dev/fast", &[&vf]).unwrap();
    assert_eq!(held::held(&node, "p", "linkspan.dev/fast").devices, [vf]);
    assert!(measured::metrics(&node).contains("linkspan_device_held"));
    node.kubelet.restart();
    node.wait_for_devices("linkspan.dev/fast", 5);
    let mut other = fast();
    other[0]["resourceName"] = "other".into();
    node.configure(other);
    // The one that the pod holds stays with the pool that gave it.
    node.wait_for_devices("linkspan.dev/other", 4);
    let log = node.plugin.log();
    for refusal in ["Permission denied", "Operation not permitted", "Read-only"] {
        assert!(!log.contains(refusal), "{log}");
    }
    node.plugin.signal(Signal::TERM);
    assert!(node.plugin.wait(BOUND).success());
    let sockets =
        ["devices.sock", "metrics.sock", "kubelet/device-plugins/linkspan.dev_other.sock"];
    for socket in sockets.map(|socket| node.directory.path().join(socket)) {
        until("its sockets are gone", BOUND, || (!socket.exists()).then_some(()));
    }
}

fn start_bare(node: &Node) -> Daemon {
    let directory = node.directory.path();
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let (kubelet, config, info) = (path("kubelet"), path("config.json"), path("device-info"));
    let own = ["--kubelet-dir", &kubelet, "--config-file", &config, "--device-info-dir", &info];
    let flags: Vec<&str> = own.into_iter().chain(node.flags.iter().map(String::as_str)).collect();
    let wrapper =
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", BARE, "sh", &path("")];
    Daemon::start_by(&wrapper, "linkspan-device-plugin", &flags)
}
