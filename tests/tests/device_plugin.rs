//! The device plugin, the real program, against a stand-in for the kubelet and a made sysfs tree.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use linkspan_proto::deviceplugin::{DevicePluginOptions, DeviceSpec};
use linkspan_tests::daemon::{Daemon, Signal};
use linkspan_tests::kubelet::{Kubelet, State};
use linkspan_tests::sysfs_tree::{Pf, SysfsTree};
use linkspan_tests::wait::until;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;

/// Far more than anything here takes.
const BOUND: Duration = Duration::from_secs(20);

/// A node with two PFs of four VFs each, a kubelet, and the plugin.
struct Node {
    plugin: Daemon,
    kubelet: Kubelet,
    tree: SysfsTree,
    directory: TempDir,
}

fn pfs() -> [Pf; 2] {
    let second = Pf { numa_node: 1, ..Pf::igb("0000:81:00.0", "ens2") };
    [Pf { numa_node: 0, ..Pf::igb("0000:01:00.0", "ens1") }, second]
}

impl Node {
    /// Starts a node with these resources.
    fn start(resources: Value) -> Self {
        Self::start_with(resources, &[])
    }

    fn start_with(resources: Value, flags: &[&str]) -> Self {
        let (directory, tree) = (tempfile::tempdir().unwrap(), SysfsTree::new());
        for pf in pfs() {
            tree.add_pf(&pf);
            tree.set_num_vfs(&pf, 4);
        }
        let kubelet = Kubelet::start(&directory.path().join("kubelet"));
        let config = directory.path().join("config.json");
        let mut list = json!({});
        list["resourceList"] = resources;
        fs::write(&config, list.to_string()).unwrap();
        let dev = directory.path().join("dev");
        fs::create_dir_all(dev.join("vfio")).unwrap();
        let mut all = vec![
            "--sysfs-root",
            tree.root().to_str().unwrap(),
            "--dev-root",
            dev.to_str().unwrap(),
        ];
        all.extend(flags);
        let plugin = Daemon::device_plugin(kubelet.directory(), &config, &all);
        Self { plugin, kubelet, tree, directory }
    }

    fn wait(&self, what: &str, condition: impl FnMut(&State) -> bool) -> State {
        self.kubelet.wait_for(what, BOUND, condition)
    }

    fn wait_for_devices(&self, resource: &str, count: usize) -> State {
        let what = format!("{count} devices of {resource}");
        self.wait(&what, |state| state.allocatable(resource).len() == count)
    }

    /// Waits until the plugin is heard again after it has registered `registrations` times.
    fn wait_for_return(&self, resource: &str, registrations: u32) {
        self.wait(&format!("{resource} registered {registrations} times"), |state| {
            let known = &state.resources[resource];
            known.registrations >= registrations && known.streaming
        });
    }

    fn make_node(&self, path: &str) {
        fs::write(self.directory.path().join("dev").join(path), "").unwrap();
    }

    fn socket(&self, directory: &str, name: &str) -> PathBuf {
        self.kubelet.directory().join(directory).join(name)
    }
}

fn fast() -> Value {
    json!([{"resourceName": "fast", "selectors": {"pfNames": ["ens1"]}}])
}

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
    assert_eq!((known.registrations, known.options), (1, Some(DevicePluginOptions::default())));
    let socket = node.socket("device-plugins", "linkspan.dev_fast.sock");
    assert_eq!(known.socket, socket);
    assert_eq!(fs::metadata(socket).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(node.kubelet.preferred("linkspan.dev/fast", &[&ids[0]], 1).unwrap().is_empty());
}

#[test]
fn a_container_is_told_its_devices() {
    let node = Node::start(json!([{
        "resourceName": "net-1", "resourcePrefix": "intel.com", "selectors": {"pfNames": ["ens1"]},
        "additionalInfo": {"*": {"a": "all", "b": "all"}, "0000:01:10.2": {"b": "one"}},
        "excludeTopology": true
    }]));
    let state = node.wait_for_devices("intel.com/net-1", 4);
    assert_eq!(state.resources["intel.com/net-1"].devices[0].topology, None);
    let given =
        node.kubelet.allocate("intel.com/net-1", &["0000:01:10.2", "0000:01:10.0"]).unwrap();
    assert_eq!(given.envs["PCIDEVICE_INTEL_COM_NET-1"], "0000:01:10.2,0000:01:10.0");
    let info: Value = serde_json::from_str(&given.envs["PCIDEVICE_INTEL_COM_NET-1_INFO"]).unwrap();
    let expected = json!({
        "0000:01:10.0": {"generic": {"deviceID": "0000:01:10.0"}, "extra": {"a": "all", "b": "all"}},
        "0000:01:10.2": {"generic": {"deviceID": "0000:01:10.2"}, "extra": {"a": "all", "b": "one"}}
    });
    assert_eq!(info, expected);
    assert_eq!((given.envs.len(), given.devices.len(), given.mounts.len()), (2, 0, 0));
}

#[test]
fn a_device_of_another_pool_or_none_is_refused() {
    let node = Node::start(fast());
    node.wait_for_devices("linkspan.dev/fast", 4);
    for id in ["0000:81:10.0", "0000:01:00.0", "nonsense"] {
        let refused = node.kubelet.allocate("linkspan.dev/fast", &[id]).unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
        let message = format!(
            "{id:?} is not one of the 4 devices of linkspan.dev/fast: it may have been removed; \
             delete the pod, so that it gets another"
        );
        assert_eq!(refused.message(), message);
    }
}

#[test]
fn drivers_in_user_space_get_their_device_nodes() {
    let node = Node::start(fast());
    node.wait_for_devices("linkspan.dev/fast", 4);
    let [vfio, bare, uio] = [0, 1, 2].map(|index| pfs()[0].vf(index));
    node.tree.bind(vfio, Some("vfio-pci"));
    node.tree.set_iommu_group(vfio, 17, false);
    node.tree.bind(bare, Some("vfio-pci"));
    node.tree.set_iommu_group(bare, 3, true);
    node.tree.bind(uio, Some("igb_uio"));
    node.tree.add_uio(uio, "uio5");
    let ids = [vfio, bare, uio].map(|address| address.to_string());
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();

    node.make_node("vfio/vfio");
    let dev = node.directory.path().join("dev");
    let refused = node.kubelet.allocate("linkspan.dev/fast", &ids).unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let message = format!(
        "{vfio} needs the device node {}/vfio/17, which is missing: load the module of its driver \
         vfio-pci, and see that the plugin's container mounts the host's /dev: \
         No such file or directory (os error 2)",
        dev.display()
    );
    assert_eq!(refused.message(), message);

    for path in ["vfio/17", "vfio/noiommu-3", "uio5"] {
        node.make_node(path);
    }
    let given = node.kubelet.allocate("linkspan.dev/fast", &ids).unwrap();
    let spec = |host: &str, container: &str| DeviceSpec {
        host_path: format!("/dev/{host}"),
        container_path: format!("/dev/{container}"),
        permissions: "rw".to_owned(),
    };
    let expected = [
        spec("vfio/vfio", "vfio/vfio"),
        spec("vfio/17", "vfio/17"),
        spec("vfio/noiommu-3", "vfio/3"),
        spec("uio5", "uio5"),
    ];
    assert_eq!(given.devices, expected);
    let info: Value =
        serde_json::from_str(&given.envs["PCIDEVICE_LINKSPAN_DEV_FAST_INFO"]).unwrap();
    assert_eq!(
        info[ids[0]]["vfio"],
        json!({"mount": "/dev/vfio/vfio", "dev-mount": "/dev/vfio/17"})
    );
    assert_eq!(
        info[ids[1]]["vfio"],
        json!({"mount": "/dev/vfio/vfio", "dev-mount": "/dev/vfio/3"})
    );
    assert_eq!(info[ids[2]]["uio"], json!({"mount": "/dev/uio5"}));
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
    let config = node.directory.path().join("config.json");
    let sysfs = node.tree.root().to_str().unwrap().to_owned();
    node.plugin =
        Daemon::device_plugin(node.kubelet.directory(), &config, &["--sysfs-root", &sysfs]);
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
fn pools_share_a_pf_by_ranges_and_the_first_one_wins() {
    let node = Node::start(json!([
        {"resourceName": "low", "selectors": {"pfNames": ["ens1#0-1"], "rootDevices": ["0000:01:00.0"]}},
        {"resourceName": "odd", "selectors": [{"rootDevices": ["0000:01:00.0#1,3"]}, {"pfNames": ["ens2#0"]}]},
        {"resourceName": "rest", "selectors": {"vendors": ["8086"], "devices": ["10ca"], "drivers": ["igbvf"]}},
        {"resourceName": "none", "selectors": {"drivers": ["mlx5_core"]}}
    ]));
    let state = node.wait_for_devices("linkspan.dev/rest", 4);
    let rest = ["0000:01:10.4", "0000:81:10.2", "0000:81:10.4", "0000:81:10.6"];
    assert_eq!(state.allocatable("linkspan.dev/rest"), rest);
    let state = node.wait_for_devices("linkspan.dev/low", 2);
    assert_eq!(state.allocatable("linkspan.dev/low"), ["0000:01:10.0", "0000:01:10.2"]);
    let state = node.wait_for_devices("linkspan.dev/odd", 2);
    assert_eq!(state.allocatable("linkspan.dev/odd"), ["0000:01:10.6", "0000:81:10.0"]);
    node.wait("registered without a device", |state| {
        state.resources.get("linkspan.dev/none").is_some_and(|none| none.streaming)
    });
}

#[test]
fn vfs_that_come_and_go_are_listed_at_once() {
    let node = Node::start(fast());
    node.wait_for_devices("linkspan.dev/fast", 4);
    for count in [64, 2, 0, 7] {
        node.tree.set_num_vfs(&pfs()[0], count);
        node.plugin.signal(Signal::HUP);
        node.wait_for_devices("linkspan.dev/fast", count.try_into().unwrap());
    }
    let known = &node.kubelet.state().resources["linkspan.dev/fast"];
    assert_eq!(known.registrations, 1, "a change of devices is no reason to register");
}

#[test]
fn hundreds_of_vfs_need_one_thread_and_few_megabytes() {
    let node = Node::start(fast());
    node.wait_for_devices("linkspan.dev/fast", 4);
    node.tree.set_num_vfs(&pfs()[0], 512);
    node.plugin.signal(Signal::HUP);
    node.wait_for_devices("linkspan.dev/fast", 512);
    let status = fs::read_to_string(format!("/proc/{}/status", node.plugin.id())).unwrap();
    let number = |key: &str| -> u32 {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    };
    assert_eq!(number("Threads"), 1);
    let memory = number("VmHWM");
    // A debug build; the release build takes a third of it.
    assert!(memory < 16 * 1024, "{memory} kB at most");
}

#[test]
fn a_vf_in_a_pod_or_on_vfio_stays_in_its_pool() {
    let node = Node::start(fast());
    node.wait_for_devices("linkspan.dev/fast", 4);
    node.tree.take_interfaces(pfs()[0].vf(0));
    node.tree.take_interfaces(pfs()[0].vf(1));
    node.tree.bind(pfs()[0].vf(1), Some("vfio-pci"));
    // One VF more shows that the plugin has looked again.
    node.tree.set_num_vfs(&pfs()[0], 5);
    node.plugin.signal(Signal::HUP);
    node.wait_for_devices("linkspan.dev/fast", 5);
}

#[test]
fn only_virtual_functions_are_offered() {
    let node = Node::start(json!([{
        "resourceName": "all",
        "selectors": [{"pciAddresses": ["0000:01:00.0", "0000:03:00.0"]}, {}]
    }]));
    node.wait_for_devices("linkspan.dev/all", 8);
    node.tree.add_device("0000:03:00.0".parse().unwrap(), 0x8086, 0x10c9, 0);
    // One VF more shows that the plugin has looked again.
    node.tree.set_num_vfs(&pfs()[0], 5);
    node.plugin.signal(Signal::HUP);
    let state = node.wait_for_devices("linkspan.dev/all", 9);
    let cards = state.allocatable("linkspan.dev/all").iter().any(|id| id.ends_with(":00.0"));
    assert!(!cards, "{state:#?}");
}

#[test]
fn one_strange_device_does_not_take_the_others_away() {
    let node = Node::start(fast());
    node.wait_for_devices("linkspan.dev/fast", 4);
    node.tree.write(pfs()[0].vf(2), "vendor", "x");
    node.plugin.signal(Signal::HUP);
    node.wait_for_devices("linkspan.dev/fast", 3);
    let expected = r#"0000:01:10.4/vendor is "x", expected a vendor such as 0x8086"#;
    assert!(node.plugin.log().contains(expected), "{}", node.plugin.log());
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
fn a_killed_plugin_comes_back_in_the_place_of_its_old_socket() {
    let mut node = Node::start(fast());
    node.wait_for_devices("linkspan.dev/fast", 4);
    node.plugin.signal(Signal::KILL);
    node.plugin.wait(BOUND);
    assert!(node.socket("device-plugins", "linkspan.dev_fast.sock").exists());
    let config = node.directory.path().join("config.json");
    let sysfs = node.tree.root().to_str().unwrap().to_owned();
    node.plugin =
        Daemon::device_plugin(node.kubelet.directory(), &config, &["--sysfs-root", &sysfs]);
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

/// What the plugin says and does about a configuration that it can't use.
fn refused(config: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.json");
    fs::write(&file, config).unwrap();
    let mut plugin = Daemon::device_plugin(directory.path(), &file, &[]);
    assert_eq!(plugin.wait(BOUND).code(), Some(1));
    plugin.log().replace(file.to_str().unwrap(), "config.json")
}

#[test]
fn a_bad_configuration_is_refused_in_plain_words() {
    let table = [
        (
            "{\"resourceList\": [\n  {]}",
            "config.json is not JSON: key must be a string at line 2 column 4\n",
        ),
        (
            r#"{"resourceList": []}"#,
            "config.json can't be used: `resourceList` is [], expected at least one resource\n",
        ),
        (
            r#"{"resourceList": [{"resourceName": "a", "selectors": {"rootDevices": ["0000:01:00.0#3-1"]}}]}"#,
            "config.json can't be used: `resourceList[0].selectors.rootDevices[0]` is \"0000:01:00.0#3-1\", \
             expected a PF's address, alone or with rising ranges of VFs: \"0000:3b:00.0#0,2-7\"\n",
        ),
        (
            r#"{"resourceList": [{"resourceName": "a", "selectors": {"IsRdma": true}}]}"#,
            "config.json can't be used: `resourceList[0].selectors.IsRdma` is true, expected no such key yet\n\
             Leave this resource to the peer: without this key it would select too much.\n",
        ),
        (
            r#"{"resourceList": [{"resourceName": "a", "selectors": {}},
                {"resourceName": "a", "resourcePrefix": "linkspan.dev", "selectors": {}}]}"#,
            "config.json can't be used: `resourceList[1]` is called linkspan.dev/a like `resourceList[0]`, \
             expected a name of its own\n",
        ),
    ];
    for (config, message) in table {
        assert_eq!(refused(config), format!("linkspan-device-plugin: {message}"));
    }
}

#[test]
fn what_is_missing_at_the_start_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.json");
    let mut plugin = Daemon::device_plugin(directory.path(), &config, &[]);
    assert_eq!(plugin.wait(BOUND).code(), Some(1));
    let message = format!(
        "linkspan-device-plugin: cannot read {}: No such file or directory (os error 2)\n\
         Give the right path with --config-file.\n",
        config.display()
    );
    assert_eq!(plugin.log(), message);

    fs::write(&config, json!({"resourceList": fast()}).to_string()).unwrap();
    let mut plugin = Daemon::device_plugin(directory.path(), &config, &[]);
    assert_eq!(plugin.wait(BOUND).code(), Some(1));
    let message = format!(
        "linkspan-device-plugin: cannot watch {}/device-plugins, the kubelet's directory for plugins: \
         No such file or directory (os error 2)\n",
        directory.path().display()
    );
    assert_eq!(plugin.log(), message);
}
