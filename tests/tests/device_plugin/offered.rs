//! Which devices a pool offers, and what a container is told of those that it gets.

use std::fs;

use linkspan_proto::deviceplugin::DeviceSpec;
use linkspan_tests::daemon::Signal;
use linkspan_tests::pods::run;
use serde_json::{Value, json};
use tonic::Code;

use crate::{Node, fast, pfs};

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
fn nics_without_a_profile_are_in_no_pool_that_asks_for_one_and_in_others() {
    let node = Node::start(json!([
        {"resourceName": "gtp", "selectors": {"ddpProfiles": ["GTP"]}},
        {"resourceName": "fast", "selectors": {"pfNames": ["ens1"]}}
    ]));
    node.wait_for_devices("linkspan.dev/fast", 4);
    let state = node.wait("gtp is offered", |state| {
        state.resources.get("linkspan.dev/gtp").is_some_and(|resource| resource.streaming)
    });
    assert!(state.resources["linkspan.dev/gtp"].devices.is_empty());
}

#[test]
fn a_pod_gets_the_devices_that_its_pool_prefers() {
    let node = Node::start(json!([
        {"resourceName": "packed", "selectors": {"pfNames": ["ens1#0-1", "ens2#0-1"]}},
        {"resourceName": "balanced", "preferredAllocation": "balanced",
         "selectors": {"pfNames": ["ens1", "ens2"]}}
    ]));
    let table = [
        ("packed", ["0000:01:10.0", "0000:01:10.2"]),
        ("balanced", ["0000:01:10.4", "0000:81:10.4"]),
    ];
    for (pool, expected) in table {
        let resource = format!("linkspan.dev/{pool}");
        let state = node.wait_for_devices(&resource, 4);
        let available = state.allocatable(&resource);
        let preferred = node.kubelet.preferred(&resource, &available, &[], 2).unwrap();
        assert_eq!(preferred, expected);
        let last = [available[3]];
        let preferred = node.kubelet.preferred(&resource, &available, &last, 2).unwrap();
        assert_eq!((preferred.len(), preferred[0].as_str()), (2, last[0]), "{pool}");
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
        "{vfio} needs the device node {}/vfio/17, which is missing: load the module \
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

/// A pair of links of this machine, gone with the test.
struct Link(&'static str);

impl Link {
    fn new(name: &'static str) -> Self {
        let peer = format!("{name}-p");
        run("ip", &["link", "add", name, "type", "veth", "peer", "name", &peer]);
        for end in [name, &peer] {
            run("ip", &["link", "set", end, "up"]);
        }
        Self(name)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        run("ip", &["link", "del", self.0]);
    }
}

#[test]
fn a_device_that_the_host_takes_into_use_is_withdrawn_until_it_is_left_alone() {
    let link = Link::new("lsptest-use");
    let node = Node::start(fast());
    node.tree.add_interface(pfs()[0].vf(1), link.0);
    node.wait_for_devices("linkspan.dev/fast", 4);
    run("ip", &["addr", "add", "192.0.2.77/32", "dev", link.0]);
    let state = node.wait_for_devices("linkspan.dev/fast", 3);
    let vf = pfs()[0].vf(1).to_string();
    assert!(!state.allocatable("linkspan.dev/fast").contains(&vf.as_str()));
    let said = format!(
        "{vf} is not offered: it is {}, and it has the host's address 192.0.2.77; write {} into `allowInUse`",
        link.0, link.0
    );
    assert!(node.plugin.log().contains(&said), "{}", node.plugin.log());
    run("ip", &["addr", "del", "192.0.2.77/32", "dev", link.0]);
    node.wait_for_devices("linkspan.dev/fast", 4);
}

#[test]
fn a_nic_is_offered_only_if_it_is_known_to_be_idle() {
    let node = Node::start(json!([{
        "resourceName": "all",
        "selectors": [{"pciAddresses": ["0000:01:00.0", "0000:03:00.0"]}, {}]
    }]));
    node.wait_for_devices("linkspan.dev/all", 8);
    let [idle, unknown] = ["0000:03:00.0", "0000:04:00.0"].map(|text| text.parse().unwrap());
    for nic in [idle, unknown] {
        node.tree.add_device(nic, 0x8086, 0x10c9, 0);
        node.tree.bind(nic, Some("igb"));
    }
    // No link of this machine has that name.
    node.tree.add_interface(unknown, "nowhere0");
    node.plugin.signal(Signal::HUP);
    let state = node.wait_for_devices("linkspan.dev/all", 9);
    let ids = state.allocatable("linkspan.dev/all");
    let whole: Vec<_> = ids.iter().copied().filter(|id| id.ends_with(":00.0")).collect();
    assert_eq!(whole, ["0000:03:00.0"]);
    for said in [
        "0000:01:00.0 is not offered: it has 4 VFs or sub-functions",
        "0000:04:00.0 is not offered: its interface nowhere0 is not in this network namespace",
    ] {
        assert!(node.plugin.log().contains(said), "{}", node.plugin.log());
    }
}

#[test]
fn one_strange_device_does_not_take_the_others_away() {
    let node = Node::start(fast());
    node.wait_for_devices("linkspan.dev/fast", 4);
    node.tree.write(pfs()[0].vf(2), "modalias", "x");
    node.plugin.signal(Signal::HUP);
    node.wait_for_devices("linkspan.dev/fast", 3);
    let expected = r#"0000:01:10.4/modalias is "x", expected a device such as pci:v00008086"#;
    assert!(node.plugin.log().contains(expected), "{}", node.plugin.log());
}
