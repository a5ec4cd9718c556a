//! RDMA and vDPA devices and sub-functions, of a recorded NIC in switchdev mode: nobody has yet tried them on a real one.

use std::fs;

use linkspan_tests::recorded;
use serde_json::{Value, json};

use crate::Node;

/// Pools of RDMA devices, a VF's and a sub-function's, and of vDPA devices.
fn start() -> Node {
    let tree = recorded::tree("mellanox_cx6");
    let directories = [
        "pci/devices/0000:65:00.2/infiniband_verbs/uverbs2",
        "pci/devices/0000:65:00.2/infiniband_mad/umad2",
        "auxiliary/devices/mlx5_core.sf.2/infiniband_verbs/uverbs4",
        "pci/devices/0000:65:00.3/vdpa0/vhost-vdpa-0",
    ];
    for directory in directories {
        fs::create_dir_all(tree.root().join("bus").join(directory)).unwrap();
    }
    let pool = |name: &str, selectors: Value| json!({"resourceName": name, "selectors": selectors, "health": {"carrier": false}});
    let mut sub_functions =
        pool("sf", json!({"auxTypes": ["sf"], "isRdma": true, "pfNames": ["enp101s0f0np0#88"]}));
    sub_functions["deviceType"] = json!("auxNetDevice");
    let vfs = json!({"isRdma": true, "needVhostNet": true, "pciAddresses": ["0000:65:00.2"]});
    let resources =
        json!([sub_functions, pool("rdma", vfs), pool("vdpa", json!({"vdpaType": "vhost"}))]);
    let node = Node::start_on(tree, resources, &[]);
    for path in
        ["infiniband/uverbs2", "infiniband/umad2", "infiniband/uverbs4", "infiniband/rdma_cm"]
    {
        node.make_node(path);
    }
    for path in ["vhost-net", "net/tun"] {
        node.make_node(path);
    }
    node
}

/// What a container gets for a pool's only device: the nodes, and what it is told of the device.
fn allocate(node: &Node, pool: &str, device: &str) -> (Vec<String>, Value) {
    let resource = format!("linkspan.dev/{pool}");
    let state = node.wait_for_devices(&resource, 1);
    assert_eq!(state.allocatable(&resource), [device]);
    let given = node.kubelet.allocate(&resource, &[device]).unwrap();
    let variable = format!("PCIDEVICE_LINKSPAN_DEV_{}_INFO", pool.to_uppercase());
    let mut told: Value = serde_json::from_str(&given.envs[&variable]).unwrap();
    let nodes = given.devices.into_iter().map(|node| node.host_path);
    (nodes.collect(), told[device].take())
}

#[test]
fn rdma_and_vdpa_devices_come_with_their_nodes() {
    let node = start();
    let (nodes, told) = allocate(&node, "sf", "mlx5_core.sf.2");
    assert_eq!(nodes, ["/dev/infiniband/uverbs4", "/dev/infiniband/rdma_cm"]);
    let rdma = |number: u32| {
        json!({
            "uverbs": format!("/dev/infiniband/uverbs{number}"),
            "rdma_cm": "/dev/infiniband/rdma_cm", "rdma_dev": format!("mlx5_{number}"),
        })
    };
    let expected = json!({"generic": {"deviceID": "mlx5_core.sf.2"}, "rdma": rdma(4)});
    assert_eq!(told, expected);

    let (nodes, told) = allocate(&node, "rdma", "0000:65:00.2");
    let own =
        ["vhost-net", "net/tun", "infiniband/umad2", "infiniband/uverbs2", "infiniband/rdma_cm"];
    assert_eq!(nodes, own.map(|node| format!("/dev/{node}")));
    let mut expected = rdma(2);
    expected["umad"] = json!("/dev/infiniband/umad2");
    assert_eq!(told["rdma"], expected);
    let vhost = json!({"net-mount": "/dev/vhost-net", "tun-mount": "/dev/net/tun"});
    assert_eq!(told["vhost"], vhost);

    let missing = node.kubelet.allocate("linkspan.dev/vdpa", &["0000:65:00.3"]).unwrap_err();
    assert!(missing.message().contains("/dev/vhost-vdpa-0, which is missing"), "{missing}");
    node.make_node("vhost-vdpa-0");
    let (nodes, told) = allocate(&node, "vdpa", "0000:65:00.3");
    assert_eq!(
        (nodes, &told["vdpa"]),
        (vec!["/dev/vhost-vdpa-0".to_owned()], &json!({"mount": "/dev/vhost-vdpa-0"}))
    );

    let told = |pool: &str, device: &str| -> Value {
        let file = format!("devinfo/linkspan.dev-{pool}-{device}-device.json");
        serde_json::from_slice(&fs::read(node.kubelet.directory().join(file)).unwrap()).unwrap()
    };
    let pci = json!({
        "pci-address": "0000:65:00.2", "pf-pci-address": "0000:65:00.0", "rdma-device": "mlx5_2",
        "vhost-net": "/dev/vhost-net", "representor-device": "eth0",
    });
    assert_eq!(
        told("rdma", "0000:65:00.2"),
        json!({"type": "pci", "version": "1.1.0", "pci": pci})
    );
    let vdpa = json!({
        "parent-device": "vdpa0", "driver": "vhost", "path": "/dev/vhost-vdpa-0",
        "pci-address": "0000:65:00.3", "pf-pci-address": "0000:65:00.0", "representor-device": "eth1",
    });
    assert_eq!(
        told("vdpa", "0000:65:00.3"),
        json!({"type": "vdpa", "version": "1.1.0", "vdpa": vdpa})
    );
}
