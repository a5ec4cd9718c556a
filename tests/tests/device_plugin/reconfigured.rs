//! A configuration that changes while the plugin runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use linkspan_tests::daemon::Signal;
use linkspan_tests::wait::until;
use serde_json::{Value, json};

use crate::{BOUND, Node, fast, listed, pfs};

/// The pool `fast` with some of the VFs of the first PF.
fn fast_with(vfs: &str) -> Value {
    json!([{"resourceName": "fast", "selectors": {"pfNames": [format!("ens1#{vfs}")]}}])
}

#[test]
fn pools_are_added_changed_and_removed() {
    let node = Node::start(json!([
        {"resourceName": "kept", "selectors": {"pfNames": ["ens1"]}},
        {"resourceName": "removed", "selectors": {"pfNames": ["ens2"]}}
    ]));
    node.wait_for_devices("linkspan.dev/kept", 4);
    node.wait_for_devices("linkspan.dev/removed", 4);
    node.configure(json!([
        {"resourceName": "added", "selectors": {"pfNames": ["ens2"]}},
        {"resourceName": "kept", "selectors": {"pfNames": ["ens1#0-1"]}, "excludeTopology": true,
         "additionalInfo": {"*": {"lane": "left"}}}
    ]));
    node.wait_for_devices("linkspan.dev/added", 4);
    let state = node.wait_for_devices("linkspan.dev/kept", 2);
    let kept = &state.resources["linkspan.dev/kept"];
    assert_eq!(kept.registrations, 1, "a change is no reason to register");
    assert_eq!(kept.devices[0].topology, None);
    let given = node.kubelet.allocate("linkspan.dev/kept", &["0000:01:10.0"]).unwrap();
    let info = &given.envs["PCIDEVICE_LINKSPAN_DEV_KEPT_INFO"];
    assert!(info.contains(r#""lane":"left""#), "{info}");

    let state = node
        .wait("the removed pool ended", |state| !state.resources["linkspan.dev/removed"].streaming);
    assert!(state.resources["linkspan.dev/removed"].devices.is_empty(), "{state:#?}");
    let socket = node.socket("device-plugins", "linkspan.dev_removed.sock");
    until("its socket has gone", BOUND, || (!socket.exists()).then_some(()));
    assert!(node.kubelet.allocate("linkspan.dev/removed", &["0000:81:10.0"]).is_err());

    node.configure(json!([{"resourceName": "removed", "selectors": {"pfNames": ["ens2"]}}]));
    let state = node.wait_for_devices("linkspan.dev/removed", 4);
    assert_eq!(state.resources["linkspan.dev/removed"].registrations, 2);
    assert!(node.kubelet.allocate("linkspan.dev/removed", &["0000:81:10.0"]).is_ok());
}

#[test]
fn a_file_may_be_changed_in_any_way() {
    type Way = fn(&Path, &str);
    let ways: [(&str, Way); 4] = [
        ("written over", |file, text| fs::write(file, text).unwrap()),
        ("renamed over", |file, text| {
            fs::write(file.with_extension("tmp"), text).unwrap();
            fs::rename(file.with_extension("tmp"), file).unwrap();
        }),
        ("removed and made anew", |file, text| {
            fs::remove_file(file).unwrap();
            fs::write(file, text).unwrap();
        }),
        ("moved to a backup and made anew", |file, text| {
            fs::rename(file, file.with_extension("json~")).unwrap();
            fs::write(file, text).unwrap();
        }),
    ];
    let node = Node::start(fast());
    for (what, change) in ways {
        for (vfs, count) in [("0-1", 2), ("0-2", 3)] {
            change(&node.config(), &listed(fast_with(vfs)));
            let state =
                node.wait(what, |state| state.allocatable("linkspan.dev/fast").len() == count);
            assert_eq!(state.resources["linkspan.dev/fast"].registrations, 1, "{what}");
        }
    }
}

/// As the kubelet mounts and changes it: the file is a link to a link that is renamed.
#[test]
fn a_config_map_is_followed() {
    let mounted = tempfile::tempdir().unwrap();
    let publish = |version: &str, text: &str| {
        let data = mounted.path().join(version);
        fs::create_dir(&data).unwrap();
        fs::write(data.join("config.json"), text).unwrap();
        symlink(version, mounted.path().join("..data_tmp")).unwrap();
        fs::rename(mounted.path().join("..data_tmp"), mounted.path().join("..data")).unwrap();
    };
    publish("..2026_1", &listed(fast()));
    let file = mounted.path().join("config.json");
    symlink("..data/config.json", &file).unwrap();
    // The flag that comes last counts.
    let node = Node::start_with(json!([]), &["--config-file", file.to_str().unwrap()]);
    node.wait_for_devices("linkspan.dev/fast", 4);
    publish("..2026_2", &listed(fast_with("2")));
    fs::remove_dir_all(mounted.path().join("..2026_1")).unwrap();
    node.wait_for_devices("linkspan.dev/fast", 1);
    publish("..2026_3", "{}");
    until("refused", BOUND, || node.plugin.log().contains("stays as it was").then_some(()));
    publish("..2026_4", &listed(fast()));
    node.wait_for_devices("linkspan.dev/fast", 4);
}

#[test]
fn a_bad_configuration_takes_nothing_down_and_is_named_once() {
    let node = Node::start(fast());
    node.wait_for_devices("linkspan.dev/fast", 4);
    let bad = listed(json!([{"resourceName": "fast", "selectors": {"pfNames": ["ens1#3-1"]}}]));
    fs::write(node.config(), &bad).unwrap();
    let message = format!(
        "the configuration stays as it was: {} can't be used: `resourceList[0].selectors.pfNames[0]` \
         is \"ens1#3-1\", expected the name of a PF's interface, alone or with rising ranges of VFs: \
         \"ens1f0#0,2-7\"",
        node.config().display()
    );
    until("named", BOUND, || node.plugin.log().contains(&message).then_some(()));

    // What changes meanwhile is seen still, by the configuration in force.
    fs::write(node.config(), &bad).unwrap();
    node.tree.set_num_vfs(&pfs()[0], 6);
    fs::write(node.config(), &bad).unwrap();
    node.wait_for_devices("linkspan.dev/fast", 6);
    assert_eq!(node.plugin.log().matches("stays as it was").count(), 1);
    // Who asks is answered.
    node.plugin.signal(Signal::HUP);
    until("named again", BOUND, || {
        (node.plugin.log().matches(&message).count() == 2).then_some(())
    });

    fs::remove_file(node.config()).unwrap();
    let missing = format!(
        "the configuration stays as it was: cannot read {}: No such file or directory (os error 2)",
        node.config().display()
    );
    until("missed", BOUND, || node.plugin.log().contains(&missing).then_some(()));
    fs::write(node.config(), listed(fast_with("0"))).unwrap();
    let state = node.wait_for_devices("linkspan.dev/fast", 1);
    assert_eq!(state.resources["linkspan.dev/fast"].registrations, 1);
}

/// A link to another directory, and a directory that goes: nothing tells of these.
#[test]
fn sighup_reads_what_no_event_tells_of() {
    let elsewhere = tempfile::tempdir().unwrap();
    let (directory, file) = (elsewhere.path().join("a"), elsewhere.path().join("a/config.json"));
    let real = elsewhere.path().join("real.json");
    fs::create_dir(&directory).unwrap();
    fs::write(&real, listed(fast())).unwrap();
    symlink(&real, &file).unwrap();
    let node = Node::start_with(json!([]), &["--config-file", file.to_str().unwrap()]);
    node.wait_for_devices("linkspan.dev/fast", 4);
    fs::write(&real, listed(fast_with("0-1"))).unwrap();
    node.plugin.signal(Signal::HUP);
    node.wait_for_devices("linkspan.dev/fast", 2);

    fs::remove_dir_all(&directory).unwrap();
    until("missed", BOUND, || node.plugin.log().contains("no longer watched").then_some(()));
    fs::create_dir(&directory).unwrap();
    fs::write(&file, listed(fast_with("0-2"))).unwrap();
    node.plugin.signal(Signal::HUP);
    node.wait_for_devices("linkspan.dev/fast", 3);
    fs::write(&file, listed(fast())).unwrap();
    node.wait_for_devices("linkspan.dev/fast", 4);
}

/// The best of some tries: others have the processor too.
#[test]
fn a_change_is_told_within_200_ms() {
    let node = Node::start(fast());
    node.wait_for_devices("linkspan.dev/fast", 4);
    let took = [("0", 1), ("0-1", 2), ("0-2", 3), ("0-3", 4), ("1", 1)].map(|(vfs, count)| {
        let start = Instant::now();
        node.configure(fast_with(vfs));
        node.wait_for_devices("linkspan.dev/fast", count);
        start.elapsed()
    });
    assert!(took.iter().min() < Some(&Duration::from_millis(200)), "{took:?}");
}
