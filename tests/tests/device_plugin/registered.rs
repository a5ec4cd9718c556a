//! A pool and the kubelet: how they find each other, and find each other again.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use linkspan_proto::deviceplugin::DevicePluginOptions;
use linkspan_tests::daemon::Signal;
use linkspan_tests::scrape;
use linkspan_tests::sysfs_tree::SysfsTree;
use linkspan_tests::wait::until;
use serde_json::json;

use crate::held::held;
use crate::{BOUND, Node, fast, pfs, start_plugin};

#[test]
fn a_pool_is_registered_and_its_devices_listed() {
    let node = Node::start(fast());
    let state = node.wait_for_devices("linkspan.dev/fast", 4);
    let known = &state.resources["linkspan.dev/fast"];
    let ids: Vec<_> = (0..4).map(|index| pfs()[0].vf(index).to_string()).collect();
    assert_eq!(known.allocatable(), ids);
    let numa_nodes: Vec<i64> =
        known.devices.iter().map(|device| device.topology.as_ref().unwrap().nodes[0].id).collect();
    assert_eq!(numa_nodes, [0; 4]);
    let options = DevicePluginOptions {
        get_preferred_allocation_available: true,
        ..DevicePluginOptions::default()
    };
    assert_eq!((known.registrations, known.options), (1, Some(options)));
    let socket = node.socket("device-plugins", "linkspan.dev_fast.sock");
    assert_eq!(known.socket, socket);
    assert_eq!(fs::metadata(socket).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(node.kubelet.preferred("linkspan.dev/fast", &[&ids[0]], &[], 1).unwrap(), ids[..1]);
}

#[test]
fn a_restarted_kubelet_hears_of_all_pools_again() {
    let mut node = Node::start(json!([
        {"resourceName": "one", "selectors": {"pfNames": ["ens1"]}},
        {"resourceName": "two", "selectors": {"pfNames": ["ens2"]}}
    ]));
    for round in 2..=4 {
        node.wait_for_devices("linkspan.dev/one", 4);
        node.wait_for_devices("linkspan.dev/two", 4);
        node.kubelet.restart();
        for resource in ["linkspan.dev/one", "linkspan.dev/two"] {
            node.wait_for_return(resource, round);
        }
    }
    node.wait_for_devices("linkspan.dev/two", 4);
    assert!(node.kubelet.allocate("linkspan.dev/two", &["0000:81:10.0"]).is_ok());
}

#[test]
fn the_plugin_may_start_before_the_kubelet() {
    let mut node = Node::start(fast());
    node.plugin.signal(Signal::TERM);
    node.plugin.wait(BOUND);
    node.kubelet.kill();
    fs::remove_file(node.socket("device-plugins", "kubelet.sock")).unwrap();
    node.start_plugin();
    // It must not look again by itself: only the socket's appearance can wake it now.
    until("it waits", BOUND, || node.plugin.log().contains("waits for").then_some(()));
    node.kubelet.restart();
    node.wait_for_devices("linkspan.dev/fast", 4);
}

#[test]
fn a_dropped_stream_is_opened_anew() {
    let node = Node::start(fast());
    for round in 2..=3 {
        node.wait_for_devices("linkspan.dev/fast", 4);
        node.kubelet.drop_stream("linkspan.dev/fast");
        node.wait_for_return("linkspan.dev/fast", round);
    }
    let known = &node.kubelet.state().resources["linkspan.dev/fast"];
    assert_eq!(known.registrations, 3, "one registration is enough for one dropped stream");
}

#[test]
fn a_socket_that_someone_removed_is_made_again() {
    let node = Node::start(fast());
    node.wait_for_devices("linkspan.dev/fast", 4);
    let socket = node.socket("device-plugins", "linkspan.dev_fast.sock");
    fs::remove_file(&socket).unwrap();
    until("the socket is there again", BOUND, || socket.exists().then_some(()));
    // The kubelet's stream is not disturbed; once it breaks, the new socket serves.
    assert_eq!(node.kubelet.state().resources["linkspan.dev/fast"].registrations, 1);
    node.kubelet.drop_stream("linkspan.dev/fast");
    node.wait_for_return("linkspan.dev/fast", 2);
}

#[test]
fn a_place_that_is_taken_is_named_and_used_when_it_is_free() {
    let node = Node::start(fast());
    node.wait_for_devices("linkspan.dev/fast", 4);
    let place = node.socket("device-plugins", "linkspan.dev_second.sock");
    let expected = format!("cannot listen on {}: something else is there", place.display());
    let both = json!([fast()[0], {"resourceName": "second", "selectors": {"pfNames": ["ens2"]}}]);
    for (round, is_directory) in [(1, true), (2, false)] {
        if is_directory {
            fs::create_dir(&place).unwrap();
        } else {
            fs::write(&place, "mine").unwrap();
        }
        node.configure(both.clone());
        until("it is named", BOUND, || {
            let said = node.plugin.log().matches(&expected).count();
            (said >= round).then_some(())
        });
        assert!(node.kubelet.allocate("linkspan.dev/fast", &["0000:01:10.0"]).is_ok());
        if is_directory {
            fs::remove_dir(&place).unwrap();
        } else {
            fs::remove_file(&place).unwrap();
        }
        node.wait_for_devices("linkspan.dev/second", 4);
        node.configure(fast());
        until("its socket has gone", BOUND, || (!place.exists()).then_some(()));
    }
}

#[test]
fn an_ended_plugin_leaves_no_socket() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut node = Node::start(fast());
        node.wait_for_devices("linkspan.dev/fast", 4);
        node.plugin.signal(signal);
        assert!(node.plugin.wait(BOUND).success());
        assert!(!node.socket("device-plugins", "linkspan.dev_fast.sock").exists());
        node.wait("ended", |state| !state.resources["linkspan.dev/fast"].streaming);
    }
}

#[test]
fn a_second_plugin_leaves_the_first_one_s_sockets_alone_until_it_ends() {
    let node = Node::start(fast());
    node.wait_for_devices("linkspan.dev/fast", 4);
    let second = start_plugin(&node.kubelet, &node.config(), &node.flags);
    let socket = node.socket("device-plugins", "linkspan.dev_fast.sock");
    let places = [socket, node.directory.path().join("devices.sock")];
    let metrics = node.directory.path().join("metrics.sock");
    for place in places.iter().chain([&metrics]) {
        let named = format!("cannot listen on {}: another program does", place.display());
        until(&named, BOUND, || second.log().contains(&named).then_some(()));
    }
    let identity = |path: &PathBuf| {
        let found = fs::metadata(path).ok()?;
        Some((found.ino(), found.ctime(), found.ctime_nsec()))
    };
    let first = places.each_ref().map(identity);
    // Nothing of the first one's is touched, and it serves on.
    assert_eq!(node.kubelet.state().resources["linkspan.dev/fast"].registrations, 1);
    node.kubelet.run_pod("ns", "pod", "linkspan.dev/fast", &["0000:01:10.0"]).unwrap();
    assert_eq!(held(&node, "pod", "linkspan.dev/fast").devices, ["0000:01:10.0"]);
    assert_eq!(places.each_ref().map(identity), first);
    // Killed, it leaves sockets that nobody serves.
    node.plugin.signal(Signal::KILL);
    node.wait_for_return("linkspan.dev/fast", 2);
    until("all are the second one's", BOUND, || {
        let now = places.each_ref().map(identity);
        now.iter().zip(&first).all(|(now, first)| now.is_some() && now != first).then_some(())
    });
    assert_eq!(held(&node, "pod", "linkspan.dev/fast").devices, ["0000:01:10.0"]);
}

#[test]
fn a_killed_plugin_comes_back_in_the_place_of_its_old_socket() {
    let mut node = Node::start(fast());
    node.wait_for_devices("linkspan.dev/fast", 4);
    node.plugin.signal(Signal::KILL);
    node.plugin.wait(BOUND);
    assert!(node.socket("device-plugins", "linkspan.dev_fast.sock").exists());
    node.start_plugin();
    node.wait_for_return("linkspan.dev/fast", 2);
}

#[test]
fn the_plugin_watcher_finds_a_pool_too() {
    let mut node = Node::start_with(fast(), &["--plugin-watcher", "--resource-prefix=intel.com"]);
    let state = node.wait_for_devices("intel.com/fast", 4);
    let socket = node.socket("plugins_registry", "intel.com_fast.sock");
    assert_eq!(state.resources["intel.com/fast"].socket, socket);
    assert!(node.kubelet.allocate("intel.com/fast", &["0000:01:10.0"]).is_ok());
    node.kubelet.restart();
    node.wait_for_return("intel.com/fast", 2);
    node.kubelet.drop_stream("intel.com/fast");
    node.wait_for_return("intel.com/fast", 3);
    node.plugin.signal(Signal::TERM);
    assert!(node.plugin.wait(BOUND).success());
    assert!(!socket.exists());
}

/// The real watcher sends the socket's path as HTTP/2's `:authority`, in full or percent-encoded by
/// its age, which no Rust client can be brought to do: hence the bytes by hand.
#[test]
fn the_plugin_watcher_may_call_the_plugin_by_its_sockets_path() {
    let node = Node::start_with(fast(), &["--plugin-watcher"]);
    node.wait_for_devices("linkspan.dev/fast", 4);
    let socket = node.socket("plugins_registry", "linkspan.dev_fast.sock");
    let path = socket.to_str().unwrap();
    for authority in ["localhost".to_owned(), path.to_owned(), path.replace('/', "%2F")] {
        let answer = get_info(&socket, &authority);
        let expected = b"DevicePlugin\x12\x11linkspan.dev/fast";
        let found = answer.windows(expected.len()).any(|window| window == expected);
        assert!(found, "{authority}: {}", answer.escape_ascii());
    }
}

/// What a plugin answers to one call of `GetInfo`, as it comes over the wire (RFC 9113, RFC 7541).
fn get_info(socket: &Path, authority: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let fields = [
        b"\x83\x86\x44".to_vec(),
        text("/pluginregistration.Registration/GetInfo"),
        b"\x41".to_vec(),
        text(authority),
        b"\x5f".to_vec(),
        text("application/grpc"),
        b"\x40\x02te\x08trailers".to_vec(),
    ];
    let request = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, b""),
        frame(1, 4, 1, &fields.concat()),
        frame(0, 1, 1, b"\0\0\0\0\0"),
    ];
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.write_all(&request.concat()).unwrap();
    let mut answer = Vec::new();
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).unwrap();
        let [a, b, c] = [header[0], header[1], header[2]].map(usize::from);
        let mut payload = vec![0; a << 16 | b << 8 | c];
        stream.read_exact(&mut payload).unwrap();
        answer.extend_from_slice(&payload);
        let (kind, flags, stream_id) = (header[3], header[4], header[8]);
        // Its last frame, or the refusal of the request or the connection.
        if kind == 3 || kind == 7 || (stream_id == 1 && flags & 1 != 0) {
            return answer;
        }
    }
}

#[test]
fn a_kubelet_that_stops_reading_costs_nothing_and_then_hears_of_the_newest() {
    const VFS: u32 = 128;
    const ROUNDS: u32 = 24;
    let tree = SysfsTree::new();
    let pf = &pfs()[0];
    tree.add_pf(pf);
    tree.set_num_vfs(pf, VFS);
    let some = |count: u32| json!([{"resourceName": "fast", "selectors": {"pfNames": [format!("ens1#0-{}", count - 1)]}}]);
    let node = Node::start_on(tree, some(VFS), &[]);
    node.wait_for_devices("linkspan.dev/fast", VFS as usize);
    let memory = || scrape::status(node.plugin.id(), "VmRSS");
    let before = memory();

    node.kubelet.read_lists(false);
    // So many lists of some 5 KB are more than HTTP/2 lets wait at the reader's end.
    for round in 0..ROUNDS {
        let count = VFS - 1 - round;
        node.configure(some(count));
        let said = format!("linkspan.dev/fast has {count} devices");
        until(&said, BOUND, || node.plugin.log().contains(&said).then_some(()));
    }
    let first = pf.vf(0).to_string();
    assert!(node.kubelet.allocate("linkspan.dev/fast", &[&first]).is_ok(), "it still serves");
    assert!(memory() < before + (4 << 10), "{} KiB, {before} before", memory());
    let heard = node.kubelet.state().allocatable("linkspan.dev/fast").len();
    assert!(heard >= (VFS - 1) as usize, "the kubelet has read on: {heard} devices");

    node.kubelet.read_lists(true);
    let state = node.wait_for_devices("linkspan.dev/fast", (VFS - ROUNDS) as usize);
    assert_eq!(state.resources["linkspan.dev/fast"].registrations, 1);
}
