//! What comes of a daemon or a server that is not there, or another's daemon in its place.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use linkspan_tests::cases;
use linkspan_tests::cni::{Network, Reply};
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::wait;
use serde_json::json;
use tempfile::TempDir;

use crate::{Served, given};

/// The reference plugin and its daemon, where Debian's package containernetworking-plugins has them.
const REFERENCE: &str = "/usr/lib/cni/dhcp";

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool("dnsmasq"), Need::Tool(REFERENCE)];
        without_a_daemon_add_says_so_and_leaves_nothing,
        no_del_fails_because_the_daemon_is_down,
        no_del_fails_or_waits_because_the_server_is_down,
        without_a_server_add_fails_in_time_and_leaves_nothing,
        the_reference_s_daemon_is_named,
    ]
}

fn status(network: &Network) -> Reply {
    network.call("STATUS", &[])
}

fn without_a_daemon_add_says_so_and_leaves_nothing() {
    let mut served = Served::new("dhcpnone", &[]);
    let network = served.network(&json!({}));
    let up = status(&network);
    assert!(up.success, "{up:#?}");
    served.daemon.kill();
    let before = served.lan.shown();
    let pod = served.lan.pod("pod");
    let reply = network.try_add(&pod, "net1");
    assert_eq!(reply.code(), Some(11), "{reply:#?}");
    assert!(reply.msg().starts_with("the DHCP daemon does not listen on "), "{reply:#?}");
    assert!(!reply.stderr.contains("was not given back"), "there was none: {reply:#?}");
    assert_eq!(served.lan.shown(), before);
    let down = status(&network);
    assert_eq!(down.code(), Some(51), "{down:#?}");
    served.daemon.resume(&[]);
    assert!(status(&network).success);
}

fn no_del_fails_because_the_daemon_is_down() {
    let mut served = Served::new("dhcpdown", &[]);
    let network = served.network(&json!({}));
    let pods = ["one", "two"].map(|name| served.lan.pod(name));
    for pod in &pods {
        network.add(pod, "net1");
    }
    served.daemon.kill();
    network.del(&pods[0], "net1");
    network.del(&pods[0], "net1");
    pods[1].delete();
    let reply = network.with("cni.dev/valid-attachments", json!([])).call("GC", &[]);
    assert!(reply.success, "{reply:#?}");
    assert_eq!(served.lan.records(), [""; 0]);
}

fn no_del_fails_or_waits_because_the_server_is_down() {
    let mut served = Served::new("dhcpsilent", &[]);
    let network = served.network(&json!({}));
    let pod = served.lan.pod("pod");
    network.add(&pod, "net1");
    served.server.stop();
    let start = Instant::now();
    network.del(&pod, "net1");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(served.daemon.leases_on_disk().len(), 0);
}

fn without_a_server_add_fails_in_time_and_leaves_nothing() {
    let mut served = Served::with_flags("dhcpserver", &[], &["--resendtimeout", "2s"]);
    served.server.stop();
    let before = served.lan.shown();
    let network = served.network(&json!({}));
    let pod = served.lan.pod("pod");
    let start = Instant::now();
    let reply = network.try_add(&pod, "net1");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(reply.code(), Some(11), "{reply:#?}");
    assert!(reply.msg().starts_with("no DHCP lease: "), "{reply:#?}");
    assert_ne!(reply.json["details"], json!(null), "{reply:#?}");
    assert_eq!((served.lan.shown(), served.daemon.leases_on_disk().len()), (before, 0));
    served.server.resume();
    given(&network.add(&pod, "net1"));
    network.del(&pod, "net1");
}

fn the_reference_s_daemon_is_named() {
    let served = Served::new("dhcpother", &[]);
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("dhcp.sock");
    let mut reference = Command::new(REFERENCE)
        .args(["daemon", "-socketpath", socket.to_str().unwrap()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait::until("the reference's daemon to listen", Duration::from_secs(10), || {
        std::os::unix::net::UnixStream::connect(&socket).ok()
    });
    let network = served.network(&json!({ "daemonSocketPath": socket }));
    let pod = served.lan.pod("pod");
    let start = Instant::now();
    for (reply, code) in [(network.try_add(&pod, "net1"), 5), (status(&network), 51)] {
        assert_eq!(reply.code(), Some(code), "{reply:#?}");
        assert!(reply.msg().ends_with("it was an HTTP server that answered"), "{reply:#?}");
        let advice = reply.json["details"].as_str().unwrap();
        assert!(advice.contains("the reference plugin's daemon"), "{reply:#?}");
    }
    network.del(&pod, "net1");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    reference.kill().unwrap();
    reference.wait().unwrap();
}
