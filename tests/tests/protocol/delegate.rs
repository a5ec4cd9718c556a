//! IPAM plugins of others for our own kinds: Debian's host-local under a name that is not ours, and programs of a
//! few lines for what it does not do.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{Lan, PARENT, host_local, reservations};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{addresses_of, check};

const HOST_LOCAL: &str = "/usr/lib/cni/host-local";

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    let debians = cases![&[Need::Root, Need::Tool(HOST_LOCAL)];
        another_ipam_plugin_gives_checks_and_frees,
        what_it_gave_is_freed_when_the_pod_is_gone,
        its_error_is_told_and_leaves_nothing,
    ];
    let small = cases![&[Need::Root];
        what_it_gave_is_taken_back_after_a_failure,
        an_ipam_plugin_that_is_not_there_is_named,
        status_and_gc_reach_it,
        it_is_told_what_the_runtime_told_us,
    ];
    debians.into_iter().chain(small)
}

/// A macvlan network on this node, whose addresses come from a plugin called `theirs`, which this makes in the
/// folder that alone is in `CNI_PATH`.
fn network(lan: &Lan, folder: &TempDir, mut ipam: Value, make: impl FnOnce(&Path)) -> Network {
    make(&folder.path().join("theirs"));
    ipam["type"] = json!("theirs");
    let config =
        json!({ "type": "macvlan", "master": PARENT, "cniVersion": "1.0.0", "ipam": ipam });
    let mut network = lan.network(config);
    network.path = folder.path().display().to_string();
    network
}

/// Debian's plugin, which speaks versions up to 1.0.0.
fn debians(path: &Path) {
    symlink(HOST_LOCAL, path).unwrap();
}

/// A program that notes each verb in a file beside itself, and then does this.
fn script(path: &Path, then: &str) {
    fs::write(path, format!("#!/bin/sh\ncat >$0.json\necho $CNI_COMMAND >>$0.verbs\n{then}\n"))
        .unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn verbs(folder: &TempDir) -> Vec<String> {
    let text = fs::read_to_string(folder.path().join("theirs.verbs")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

const RESULT: &str =
    r#"{"cniVersion": "1.0.0", "ips": [{"address": "10.96.0.5/24", "gateway": "10.96.0.1"}]}"#;

fn another_ipam_plugin_gives_checks_and_frees() {
    let lan = Lan::new("delegate");
    let before = lan.shown();
    let [folder, data] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let mut ipam = host_local(&data, &["10.96.0.0/24"]);
    ipam["routes"] = json!([{ "dst": "0.0.0.0/0" }]);
    let network = network(&lan, &folder, ipam, debians);
    let pod = lan.pod("pod");
    let result = network.add(&pod, "net1");
    assert_eq!(
        result["ips"][0],
        json!({ "address": "10.96.0.2/24", "gateway": "10.96.0.1", "interface": 0 })
    );
    assert_eq!(addresses_of(&pod, "net1"), ["10.96.0.2/24"]);
    assert!(pod.run("ip", &["route", "show", "default"]).contains("via 10.96.0.1"));
    assert!(check(&network, &pod, "net1", &result).success);

    let reserved = || reservations(&data, "delegate");
    fs::remove_file(data.path().join("delegate").join(&reserved()[0])).unwrap();
    let lost = check(&network, &pod, "net1", &result);
    assert!(lost.msg().starts_with("IPAM plugin theirs: "), "{lost:#?}");
    for _ in 0..2 {
        network.del(&pod, "net1");
        assert_eq!((reserved(), lan.shown()), (vec![], before.clone()));
    }
}

fn what_it_gave_is_freed_when_the_pod_is_gone() {
    let lan = Lan::new("delegategone");
    let [folder, data] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let network = network(&lan, &folder, host_local(&data, &["10.96.0.0/24"]), debians);
    let reserved = || reservations(&data, "delegategone");

    let pod = lan.pod("first");
    network.add(&pod, "net1");
    pod.delete();
    let environment = [("CNI_CONTAINERID", pod.name()), ("CNI_IFNAME", "net1")];
    let reply = network.call("DEL", &environment);
    assert!(reply.success, "{reply:#?}");
    assert_eq!((reserved(), lan.records()), (vec![], vec![]));

    // Not even its plugin is where it was.
    let pod = lan.pod("moved");
    network.add(&pod, "net1");
    let elsewhere = TempDir::new().unwrap();
    fs::rename(folder.path().join("theirs"), elsewhere.path().join("theirs")).unwrap();
    let refused = network.try_del(&pod, "net1");
    assert_eq!(refused.code(), Some(7), "the address would be lost: {refused:#?}");
    let path = elsewhere.path().display().to_string();
    let mut moved = network.clone();
    moved.path = path;
    moved.del(&pod, "net1");
    assert_eq!((reserved(), lan.records()), (vec![], vec![]));
    fs::rename(elsewhere.path().join("theirs"), folder.path().join("theirs")).unwrap();

    // GC is of a version that the plugin does not speak: what it is told comes from the record.
    let pod = lan.pod("second");
    network.add(&pod, "net1");
    assert_eq!(reserved().len(), 1);
    pod.delete();
    let newer = network.with("cniVersion", "1.1.0").with("cni.dev/valid-attachments", json!([]));
    let reply = newer.call("GC", &[]);
    assert!(reply.success, "{reply:#?}");
    assert_eq!((reserved(), lan.records()), (vec![], vec![]));
    let reply = newer.call("STATUS", &[]);
    assert!(reply.success, "a plugin that knows of no STATUS: {reply:#?}");
}

fn its_error_is_told_and_leaves_nothing() {
    let lan = Lan::new("delegateerror");
    let [folder, data] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let network = network(&lan, &folder, host_local(&data, &["10.96.0.0/30"]), debians);
    let [first, second] = ["first", "second"].map(|name| lan.pod(name));
    network.add(&first, "net1");
    let before = (lan.shown(), reservations(&data, "delegateerror"));
    let reply = network.try_add(&second, "net1");
    assert_eq!(reply.code(), Some(999), "the reference's word for any error of Go: {reply:#?}");
    assert!(
        reply.msg().starts_with(
            "IPAM plugin theirs: failed to allocate for range 0: no IP addresses available"
        ),
        "{reply:#?}"
    );
    assert_eq!((lan.shown(), reservations(&data, "delegateerror")), before);
    network.del(&first, "net1");
}

fn what_it_gave_is_taken_back_after_a_failure() {
    let lan = Lan::new("delegateundo");
    let before = lan.shown();
    let folder = TempDir::new().unwrap();
    // The kernel refuses a next hop that no address of the link reaches.
    let result = RESULT.replace(
        "\"ips\"",
        "\"routes\": [{\"dst\": \"10.97.0.0/16\", \"gw\": \"10.98.0.1\"}], \"ips\"",
    );
    let network = network(&lan, &folder, json!({}), |path| {
        script(path, &format!("[ $CNI_COMMAND = ADD ] && echo '{result}' || exit 0"));
    });
    let reply = network.try_add(&lan.pod("pod"), "net1");
    assert_eq!(reply.code(), Some(100), "{reply:#?}");
    assert_eq!(verbs(&folder), ["ADD", "DEL"]);
    assert_eq!(lan.shown(), before);
}

fn an_ipam_plugin_that_is_not_there_is_named() {
    let lan = Lan::new("delegatemissing");
    let before = lan.shown();
    let folder = TempDir::new().unwrap();
    let network = network(&lan, &folder, json!({}), |_| {});
    let pod = lan.pod("pod");
    let reply = network.try_add(&pod, "net1");
    assert_eq!(reply.code(), Some(7), "{reply:#?}");
    let expected = format!(
        "expected an executable file in a directory of CNI_PATH ({})",
        folder.path().display()
    );
    assert!(reply.msg().contains(&format!("`ipam.type` is \"theirs\", {expected}")), "{reply:#?}");
    assert_eq!(lan.shown(), before);
    network.del(&pod, "net1");
}

fn status_and_gc_reach_it() {
    let lan = Lan::new("delegatestatus");
    let folder = TempDir::new().unwrap();
    let network = network(&lan, &folder, json!({}), |path| {
        let full = r#"{"code": 50, "msg": "no address is left", "details": "make room"}"#;
        script(path, &format!("[ $CNI_COMMAND = GC ] && exit 0; echo '{full}'; exit 1"));
    });
    let network = network.with("cniVersion", "1.1.0");
    let reply = network.call("STATUS", &[]);
    assert_eq!((reply.code(), reply.msg()), (Some(50), "IPAM plugin theirs: no address is left"));
    assert_eq!(reply.json["details"], "make room");
    let valid = json!([{ "containerID": "c1", "ifname": "net1" }]);
    let reply = network.with("cni.dev/valid-attachments", valid.clone()).call("GC", &[]);
    assert!(reply.success, "{reply:#?}");
    assert_eq!(verbs(&folder), ["STATUS", "GC"]);
    let told: Value =
        serde_json::from_slice(&fs::read(folder.path().join("theirs.json")).unwrap()).unwrap();
    assert_eq!(told["cni.dev/valid-attachments"], valid);
}

fn it_is_told_what_the_runtime_told_us() {
    let lan = Lan::new("delegatetold");
    let folder = TempDir::new().unwrap();
    let mut network = network(&lan, &folder, json!({ "pool": "x" }), |path| {
        script(
            path,
            &format!(
                "env >$0.env; echo said >&2; [ $CNI_COMMAND = ADD ] && echo '{RESULT}' || exit 0"
            ),
        );
    });
    network.args = String::from("IgnoreUnknown=1;K8S_POD_NAME=p;ANYTHING=else");
    let pod = lan.pod("pod");
    let reply = network.try_add(&pod, "net1");
    assert!(reply.success && reply.stderr.contains("said"), "{reply:#?}");
    let environment = fs::read_to_string(folder.path().join("theirs.env")).unwrap();
    let expected = [
        "CNI_COMMAND=ADD".to_owned(),
        format!("CNI_CONTAINERID={}", pod.name()),
        format!("CNI_NETNS={}", pod.netns().display()),
        "CNI_IFNAME=net1".to_owned(),
        format!("CNI_ARGS={}", network.args),
        format!("CNI_PATH={}", network.path),
    ];
    for line in &expected {
        assert!(environment.lines().any(|l| l == line), "{line} in {environment}");
    }
    let told: Value =
        serde_json::from_slice(&fs::read(folder.path().join("theirs.json")).unwrap()).unwrap();
    assert_eq!(told, network.config);
    network.del(&pod, "net1");
}
