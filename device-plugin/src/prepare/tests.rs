#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use linkspan_config::resource_list::ResourceList;
use linkspan_linux::HostLinks;
use linkspan_linux::pci::Seen;
use linkspan_tests::sysfs_tree::{Pf, SysfsTree};
use tempfile::TempDir;

use super::*;
use crate::inventory::{Asked, Inventory};
use crate::pools::{Health, Needs};

/// A node whose PF has four VFs, and a made `/dev`.
pub(crate) struct Node {
    pub(crate) tree: SysfsTree,
    dev: TempDir,
    pub(crate) members: Vec<Member>,
}

impl Node {
    /// The pool asks for this beside its devices.
    pub(crate) fn with(needs: Needs) -> Self {
        let (tree, pf) = (SysfsTree::new(), Pf::igb("0000:01:00.0", "ens1"));
        tree.add_pf(&pf);
        tree.set_num_vfs(&pf, 4);
        let (inventory, errors) = Inventory::read(
            &Sysfs::at(tree.root()),
            &mut Seen::default(),
            Asked::default(),
            &HostLinks::default(),
        )
        .unwrap();
        assert!(errors.is_empty(), "{errors:?}");
        let vfs = inventory.devices.into_iter().filter(|device| device.index().is_some());
        let members = vfs.map(|device| Member { device, health: Health::Healthy, needs });
        Self { members: members.collect(), tree, dev: tempfile::tempdir().unwrap() }
    }

    fn make_nodes(&self, paths: &[&str]) {
        for path in paths.iter().map(|path| self.dev.path().join(path)) {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    pub(crate) fn pool() -> Pool {
        let list = json!({"resourceList": [{"resourceName": "a", "selectors": {}}]});
        let list = ResourceList::from_json(&list).unwrap();
        Pool::all(list, &"linkspan.dev".parse().unwrap()).unwrap().remove(0)
    }

    pub(crate) fn host(&self) -> Host {
        Host {
            sysfs: Sysfs::at(self.tree.root()),
            dev: self.dev.path().to_owned(),
            device_info: self.dev.path().join("device-info"),
            cdi: None,
            given: std::sync::Arc::default(),
            changing: std::sync::Arc::default(),
            given_shares: std::sync::Arc::default(),
        }
    }

    /// Allocates these VFs, by their indices.
    fn prepare(&self, vfs: &[usize]) -> Result<ContainerAllocateResponse, PrepareError> {
        let members: Vec<&Member> = vfs.iter().map(|&vf| &self.members[vf]).collect();
        prepare(&Self::pool(), &members, &self.host())
    }

    /// Why these VFs are refused, with the places of this test's files left out.
    fn refusal(&self, vfs: &[usize]) -> String {
        let error = anyhow::Error::new(self.prepare(vfs).unwrap_err());
        format!("{error:#}").replace(self.dev.path().to_str().unwrap(), "/dev")
    }
}

/// The nodes, all of which have the same path in the container, and what is told of them.
fn given(answer: &ContainerAllocateResponse) -> (Vec<&str>, Value) {
    let nodes = answer.devices.iter().map(|node| {
        assert_eq!((&node.container_path, node.permissions.as_str()), (&node.host_path, "rw"));
        node.host_path.as_str()
    });
    let info = serde_json::from_str(&answer.envs["PCIDEVICE_LINKSPAN_DEV_A_INFO"]).unwrap();
    (nodes.collect(), info)
}

#[test]
fn vhost_net_comes_with_its_nodes_once() {
    let node = Node::with(Needs { vhost_net: true, ..Needs::default() });
    node.make_nodes(&["vhost-net"]);
    let message = "0000:01:10.0 needs the device node /dev/net/tun, which is missing: load the module tun, \
                   and see that the plugin's container mounts the host's /dev: \
                   No such file or directory (os error 2)";
    assert_eq!(node.refusal(&[0]), message);
    node.make_nodes(&["net/tun"]);
    let answer = node.prepare(&[1, 0]).unwrap();
    let (nodes, info) = given(&answer);
    assert_eq!(nodes, ["/dev/vhost-net", "/dev/net/tun"]);
    for id in ["0000:01:10.0", "0000:01:10.2"] {
        let vhost = json!({"net-mount": "/dev/vhost-net", "tun-mount": "/dev/net/tun"});
        assert_eq!(info[id], json!({"generic": {"deviceID": id}, "vhost": vhost}));
    }
}

#[test]
fn rdma_devices_come_with_all_nodes_that_sysfs_has() {
    let mut node = Node::with(Needs { rdma: true, ..Needs::default() });
    let address = node.members[0].device.id.pci().unwrap();
    let message = "0000:01:10.0 has no RDMA device here, expected one as its pool says isRdma: see that its \
                   driver's RDMA module is loaded, and that no other namespace has the RDMA device";
    assert_eq!(node.refusal(&[0]), message);
    fs::create_dir_all(node.tree.device(address).join("infiniband/mlx5_4")).unwrap();
    let message =
        "0000:01:10.0 has the RDMA device mlx5_4 but no node for verbs: load the module ib_uverbs";
    assert_eq!(node.refusal(&[0]), message);

    node.tree.add_rdma(address, 4);
    let own = ["infiniband/issm4", "infiniband/umad4", "infiniband/uverbs4"];
    for (made, missing, module) in [
        (&own[..0], "issm4", "ib_umad"),
        (&own[..2], "uverbs4", "ib_uverbs"),
        (&own[..], "rdma_cm", "rdma_ucm"),
    ] {
        node.make_nodes(made);
        let message = format!(
            "0000:01:10.0 needs the device node /dev/infiniband/{missing}, which is missing: load the \
             module {module},"
        );
        assert!(node.refusal(&[0]).starts_with(&message), "{}", node.refusal(&[0]));
    }
    node.make_nodes(&["infiniband/rdma_cm"]);
    let expected = json!({
        "uverbs": "/dev/infiniband/uverbs4", "umad": "/dev/infiniband/umad4",
        "issm": "/dev/infiniband/issm4", "rdma_cm": "/dev/infiniband/rdma_cm", "rdma_dev": "mlx5_4",
    });
    let paths =
        ["issm4", "umad4", "uverbs4", "rdma_cm"].map(|name| format!("/dev/infiniband/{name}"));
    let answer = node.prepare(&[0]).unwrap();
    assert_eq!(given(&answer).0, paths);
    assert_eq!(given(&answer).1["0000:01:10.0"]["rdma"], expected);

    // A sub-function has the same directories, on another bus.
    let auxiliary = node.tree.root().join("bus/auxiliary/devices");
    fs::create_dir_all(&auxiliary).unwrap();
    fs::rename(node.tree.device(address), auxiliary.join("mlx5_core.sf.2")).unwrap();
    node.members[0].device.id = "mlx5_core.sf.2".parse().unwrap();
    let answer = node.prepare(&[0]).unwrap();
    let (nodes, info) = given(&answer);
    assert_eq!(nodes, paths);
    let generic = json!({"deviceID": "mlx5_core.sf.2"});
    assert_eq!(info, json!({"mlx5_core.sf.2": {"generic": generic, "rdma": expected}}));
    assert_eq!(answer.envs["PCIDEVICE_LINKSPAN_DEV_A"], "mlx5_core.sf.2");
}

#[test]
fn a_vdpa_device_is_one_of_the_type_that_its_pool_names() {
    let node = Node::with(Needs { vdpa: Some(VdpaType::Vhost), ..Needs::default() });
    let missing = "0000:01:10.2 has no vDPA device bound to vhost_vdpa, expected one as its pool says vdpaType \
                   vhost: add one (vdpa dev add), or bind it to vhost_vdpa";
    assert_eq!(node.refusal(&[1]), missing);
    let [first, second] = [0, 1].map(|vf: usize| node.members[vf].device.id.pci().unwrap());
    node.tree.add_vdpa(first, 7, VdpaType::Vhost);
    node.tree.add_vdpa(second, 8, VdpaType::Virtio);
    assert_eq!(node.refusal(&[1]), missing);
    let message = "0000:01:10.0 needs the device node /dev/vhost-vdpa-7, which is missing: load the \
                   module vhost_vdpa,";
    assert!(node.refusal(&[0]).starts_with(message), "{}", node.refusal(&[0]));
    node.make_nodes(&["vhost-vdpa-7"]);
    let answer = node.prepare(&[0]).unwrap();
    let (nodes, info) = given(&answer);
    assert_eq!(nodes, ["/dev/vhost-vdpa-7"]);
    assert_eq!(info["0000:01:10.0"]["vdpa"], json!({"mount": "/dev/vhost-vdpa-7"}));

    let node = Node::with(Needs { vdpa: Some(VdpaType::Virtio), ..Needs::default() });
    node.tree.add_vdpa(first, 0, VdpaType::Virtio);
    let answer = node.prepare(&[0]).unwrap();
    let (nodes, info) = given(&answer);
    assert_eq!((nodes, &info["0000:01:10.0"]["vdpa"]), (vec![], &json!({})));
}

/// What Multus is told of a VF.
fn told(node: &Node, vf: usize) -> Value {
    let address = node.members[vf].device.id.pci().unwrap();
    let path = device_info::path(&node.host().device_info, &Node::pool().name, address);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn multus_is_told_how_a_device_is_used() {
    let addresses = |vf: &str| json!({"pci-address": vf, "pf-pci-address": "0000:01:00.0"});
    let node = Node::with(Needs { vhost_net: true, rdma: true, vdpa: None });
    let pf = "0000:01:00.0".parse().unwrap();
    for (vf, rdma) in [(0, 4), (1, 5)] {
        node.tree.add_rdma(node.members[vf].device.id.pci().unwrap(), rdma);
        let nodes = ["issm", "umad", "uverbs"].map(|name| format!("infiniband/{name}{rdma}"));
        node.make_nodes(&nodes.each_ref().map(String::as_str));
    }
    node.make_nodes(&["vhost-net", "net/tun", "infiniband/rdma_cm"]);
    // In switchdev mode the PF has an interface for each VF.
    node.tree.add_interface(pf, "ens1_1");
    fs::write(node.tree.device(pf).join("net/ens1_1/phys_port_name"), "pf0vf1\n").unwrap();
    node.prepare(&[0, 1]).unwrap();
    let mut pci = addresses("0000:01:10.0");
    pci["vhost-net"] = json!("/dev/vhost-net");
    pci["rdma-device"] = json!("mlx5_4");
    assert_eq!(told(&node, 0), json!({"type": "pci", "version": "1.1.0", "pci": pci}));
    assert_eq!(told(&node, 1)["pci"]["representor-device"], "ens1_1");

    for (vdpa_type, path) in [
        (VdpaType::Vhost, "/dev/vhost-vdpa-7"),
        (VdpaType::Virtio, "/sys/bus/virtio/devices/virtio7"),
    ] {
        let node = Node::with(Needs { vdpa: Some(vdpa_type), ..Needs::default() });
        node.tree.add_vdpa(node.members[2].device.id.pci().unwrap(), 7, vdpa_type);
        node.make_nodes(&["vhost-vdpa-7"]);
        node.prepare(&[2]).unwrap();
        let mut vdpa = addresses("0000:01:10.4");
        vdpa["parent-device"] = json!("vdpa7");
        vdpa["driver"] = json!(vdpa_type.to_string());
        vdpa["path"] = json!(path);
        assert_eq!(told(&node, 2), json!({"type": "vdpa", "version": "1.1.0", "vdpa": vdpa}));
    }
}

#[test]
fn a_pod_starts_though_multus_can_not_be_told() {
    let node = Node::with(Needs::default());
    node.make_nodes(&["device-info"]);
    assert!(node.prepare(&[0]).is_ok());
}

#[test]
fn the_nodes_of_several_devices_stand_in_the_order_of_the_devices() {
    let node = Node::with(Needs::default());
    for (vf, group) in [(0, 9), (1, 3), (2, 9)] {
        let address = node.members[vf].device.id.pci().unwrap();
        node.tree.bind(address, Some("vfio-pci"));
        node.tree.set_iommu_group(address, group, false);
    }
    node.make_nodes(&["vfio/vfio", "vfio/3", "vfio/9"]);
    for (vfs, expected) in [
        ([0, 1, 2], ["/dev/vfio/vfio", "/dev/vfio/9", "/dev/vfio/3"]),
        ([1, 2, 0], ["/dev/vfio/vfio", "/dev/vfio/3", "/dev/vfio/9"]),
    ] {
        assert_eq!(given(&node.prepare(&vfs).unwrap()).0, expected);
    }
}
