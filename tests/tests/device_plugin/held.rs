//! Which pod holds what, as the plugin tells it to the CNI plugin and to the command line.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use linkspan_proto::devices::question::About;
use linkspan_proto::devices::{
    Device, ExcludedDevice, HeldDevicesReply, HeldDevicesRequest, HeldShare, Holder,
    InventoryReply, InventoryRequest, Model, Question, Shares,
};
use linkspan_proto::framing;
use linkspan_tests::daemon::Signal;
use linkspan_tests::wait::until;
use serde_json::json;

use crate::{BOUND, Node, fast, pfs};

const FAST: &str = "linkspan.dev/fast";

/// What the plugin tells of pod `ns/POD` and a resource.
pub(crate) fn held(node: &Node, pod: &str, resource: &str) -> HeldDevicesReply {
    let request = HeldDevicesRequest {
        pod_namespace: "ns".to_owned(),
        pod_name: pod.to_owned(),
        pod_uid: "1-2".to_owned(),
        resource: resource.to_owned(),
    };
    let question = Question { about: Some(About::HeldDevices(request)) };
    framing::ask(&mut connect(node), &question).unwrap()
}

/// A connection to the plugin, which may be starting.
fn connect(node: &Node) -> UnixStream {
    let socket = node.directory.path().join("devices.sock");
    until("it listens for questions", BOUND, || UnixStream::connect(&socket).ok())
}

fn holds(devices: &[&str]) -> HeldDevicesReply {
    let devices = devices.iter().map(|&device| device.to_owned()).collect();
    HeldDevicesReply {
        pod_is_known: true,
        devices,
        offered: vec![FAST.to_owned()],
        error: String::new(),
    }
}

#[test]
fn a_pod_s_devices_are_told_until_it_ends() {
    let node = Node::start(fast());
    node.wait_for_devices(FAST, 4);
    assert!(!held(&node, "p", FAST).pod_is_known);
    node.kubelet.run_pod("ns", "p", FAST, &["0000:01:10.4", "0000:01:10.0"]).unwrap();
    node.kubelet.run_pod("ns", "q", FAST, &["0000:01:10.2"]).unwrap();
    assert_eq!(held(&node, "p", FAST), holds(&["0000:01:10.0", "0000:01:10.4"]));
    assert_eq!(held(&node, "q", FAST), holds(&["0000:01:10.2"]));
    assert_eq!(held(&node, "q", "linkspan.dev/typo"), holds(&[]));
    node.kubelet.end_pod("ns", "p");
    assert!(!held(&node, "p", FAST).pod_is_known);
}

#[test]
fn the_log_names_the_pod_of_what_was_allocated_once_when_the_kubelet_does() {
    let node = Node::start(fast());
    node.wait_for_devices(FAST, 4);
    let lines = |what: &str| node.plugin.log().matches(what).count();
    node.kubelet.run_pod("ns", "p", FAST, &["0000:01:10.4", "0000:01:10.0"]).unwrap();
    assert_eq!((lines("msg=allocated"), lines("pod=ns/p")), (1, 0));
    for _ in 0..2 {
        let _ = held(&node, "p", FAST);
        for device in ["0000:01:10.0", "0000:01:10.4"] {
            assert_eq!(lines(&format!("pod=ns/p pool={FAST} device={device}")), 1);
        }
    }
}

#[test]
fn all_devices_are_told_with_their_holders() {
    let node = Node::start(fast());
    node.wait_for_devices(FAST, 4);
    node.tree.bind(pfs()[0].vf(1), None);
    node.kubelet.run_pod("ns", "p", FAST, &["0000:01:10.0"]).unwrap();
    let told = inventory(&node);
    assert_eq!((told.pools.len(), told.holders_unknown.as_str()), (1, ""));
    assert_eq!((told.pools[0].name.as_str(), told.pools[0].devices.len()), (FAST, 4));
    let first = Device {
        id: "0000:01:10.0".to_owned(),
        pf: "0000:01:00.0".to_owned(),
        pf_name: "ens1".to_owned(),
        driver: "igbvf".to_owned(),
        unhealthy: String::new(),
        holder: Some(holder("p")),
        model: Some(model("8086:10ca", "82576 Virtual Function")),
    };
    assert_eq!(told.pools[0].devices[0], first);
    assert_eq!(told.pools[0].devices[1].holder, None);
    assert_eq!((told.pools[0].shares.as_ref(), told.excluded.len()), (None, 1));
}

#[test]
fn what_is_not_offered_is_told_with_its_reason_for_as_long_as_it_is() {
    let node = Node::start(json!([{"resourceName": "fast", "selectors": {"pfNames": ["ens2"]}}]));
    node.wait_for_devices(FAST, 4);
    let excluded = |reason: &str| ExcludedDevice {
        id: "0000:81:00.0".to_owned(),
        model: Some(model("8086:10c9", "82576 Gigabit Network Connection")),
        reason: reason.to_owned(),
    };
    assert_eq!(inventory(&node).excluded, [excluded("it has 4 VFs or sub-functions")]);
    node.tree.set_num_vfs(&pfs()[1], 0);
    node.plugin.signal(Signal::HUP);
    node.wait_for_devices(FAST, 0);
    let undivided = "it has no VFs, for which the selectors may be meant; write its address into \
                     `pciAddresses`, or its number into `devices`, if it is to be offered itself";
    assert_eq!(inventory(&node).excluded, [excluded(undivided)]);
    node.configure(json!([
        {"resourceName": "fast", "selectors": {"pciAddresses": ["0000:81:00.0"]}, "allowInUse": ["ens2"]}
    ]));
    node.wait_for_devices(FAST, 1);
    assert_eq!(inventory(&node).excluded, []);
}

#[test]
fn shares_are_told_with_their_number_and_who_holds_them() {
    let node = Node::start(json!([
        {"resourceName": "fast", "kind": "macvlan", "lowerDevice": "lo", "capacity": 3},
        {"resourceName": "none", "kind": "macvtap", "lowerDevice": "nolink0"}
    ]));
    node.wait_for_devices(FAST, 3);
    node.kubelet.run_pod("ns", "p", FAST, &["fastMvp1"]).unwrap();
    let told: Vec<_> = inventory(&node).pools.into_iter().map(|pool| pool.shares).collect();
    let held = Shares {
        kind: "macvlan".to_owned(),
        lower_device: "lo".to_owned(),
        capacity: 3,
        unhealthy: String::new(),
        held: vec![HeldShare { id: "fastMvp1".to_owned(), holder: Some(holder("p")) }],
    };
    let missing = Shares {
        kind: "macvtap".to_owned(),
        lower_device: "nolink0".to_owned(),
        capacity: 100,
        unhealthy: "there is no link nolink0".to_owned(),
        held: Vec::new(),
    };
    assert_eq!(told, [Some(held), Some(missing)]);
}

/// What the plugin tells of everything.
fn inventory(node: &Node) -> InventoryReply {
    let question = Question { about: Some(About::Inventory(InventoryRequest {})) };
    framing::ask(&mut connect(node), &question).unwrap()
}

fn holder(pod: &str) -> Holder {
    let (namespace, pod, container) = ("ns".to_owned(), pod.to_owned(), "app".to_owned());
    Holder { pod_namespace: namespace, pod_name: pod, container }
}

fn model(id: &str, name: &str) -> Model {
    let vendor = "Intel Corporation".to_owned();
    Model { id: id.to_owned(), vendor, name: name.to_owned() }
}

#[test]
fn the_kubelet_is_asked_only_when_somebody_wants_to_know_and_seldom_for_many() {
    let node = Node::start(fast());
    node.wait_for_devices(FAST, 4);
    node.kubelet.run_pod("ns", "p", FAST, &["0000:01:10.0"]).unwrap();
    // Once at the start: devices may be held already.
    assert_eq!(node.kubelet.asked_for_pods(), 1);
    let told = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..100).map(|_| scope.spawn(|| held(&node, "p", FAST))).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(told.iter().all(|told| *told == holds(&["0000:01:10.0"])));
    let asked = node.kubelet.asked_for_pods() - 1;
    assert!((1..100).contains(&asked), "{asked} questions to the kubelet");
}

#[test]
fn a_kubelet_that_does_not_tell_is_named() {
    let node = Node::start(fast());
    node.wait_for_devices(FAST, 4);
    let socket = node.kubelet.directory().join("pod-resources/kubelet.sock");
    fs::remove_file(&socket).unwrap();
    for _ in 0..3 {
        let reply = held(&node, "p", FAST);
        assert!(reply.error.contains(&format!("{} is missing", socket.display())), "{reply:?}");
        assert_eq!(reply.offered, [FAST]);
    }
    let missing = "the kubelet does not say which pod holds what";
    let said = node.plugin.log().lines().filter(|line| line.contains(missing)).count();
    assert_eq!(said, 1, "{}", node.plugin.log());
}

#[test]
fn a_socket_that_a_killed_plugin_left_is_no_obstacle() {
    let mut node = Node::start(fast());
    node.wait_for_devices(FAST, 4);
    drop(connect(&node));
    node.plugin.signal(Signal::KILL);
    node.plugin.wait(BOUND);
    let socket = node.directory.path().join("devices.sock");
    assert!(socket.exists());
    node.start_plugin();
    node.wait_for_return(FAST, 2);
    assert!(!held(&node, "p", FAST).pod_is_known);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o7777, 0o600);
    node.plugin.signal(Signal::TERM);
    assert!(node.plugin.wait(BOUND).success());
    assert!(!socket.exists(), "an ended plugin leaves no socket");
}

#[test]
fn what_is_in_the_socket_s_place_is_left_alone_and_stops_nothing_else() {
    let mut node = Node::start(fast());
    node.wait_for_devices(FAST, 4);
    node.plugin.signal(Signal::TERM);
    node.plugin.wait(BOUND);
    let socket = node.directory.path().join("devices.sock");
    fs::write(&socket, "mine").unwrap();
    node.start_plugin();
    node.wait_for_return(FAST, 2);
    let expected = format!("cannot listen on {}: something else is there", socket.display());
    assert!(node.plugin.log().contains(&expected), "{}", node.plugin.log());
    assert_eq!(fs::read_to_string(&socket).unwrap(), "mine");
}

#[test]
fn who_asks_nonsense_or_nothing_keeps_nobody_from_an_answer() {
    let node = Node::start(fast());
    node.wait_for_devices(FAST, 4);
    let _silent: Vec<UnixStream> = (0..100).map(|_| connect(&node)).collect();
    for bytes in [&b"\x00"[..], b"\x03\xff\xff\xff", b"\xff\xff\xff\xff"] {
        let mut stream = connect(&node);
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // It may be reset, as not all was read.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty());
    }
    assert!(held(&node, "p", FAST).error.is_empty());
}

#[test]
fn another_user_is_told_nothing() {
    let node = Node::start(json!([{"resourceName": "fast", "selectors": {}}]));
    node.wait_for_devices(FAST, 8);
    drop(connect(&node));
    let socket = node.directory.path().join("devices.sock");
    // As if somebody had opened the way to it.
    for (path, mode) in [(node.directory.path(), 0o755), (socket.as_path(), 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    assert_eq!(answer_to_nobody(&socket), Vec::<u8>::new());
    until("it is logged", BOUND, || {
        node.plugin.log().contains("a process of user 65534 asked").then_some(())
    });
}

/// What user 65534 is answered.
fn answer_to_nobody(socket: &Path) -> Vec<u8> {
    let ask = || {
        let nobody = rustix::process::Uid::from_raw(65534);
        // That of this thread alone, which ends with it.
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        let mut stream = UnixStream::connect(socket).unwrap();
        let question = Question { about: Some(About::Inventory(InventoryRequest {})) };
        let _ = framing::write(&mut stream, &question);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    };
    std::thread::scope(|scope| scope.spawn(ask).join().unwrap())
}
