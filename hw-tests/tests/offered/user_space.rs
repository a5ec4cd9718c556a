//! VFs that a program drives itself, through vfio.

use std::fs;
use std::os::unix::fs::FileTypeExt;

use linkspan_linux::pci::Sysfs;
use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::run;
use serde_json::{Value, json};

use crate::{Node, all_of, pfs, resource};
use linkspan_hw_tests::as_before::AsBefore;

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(2)];
        a_vf_on_vfio_stays_in_its_pool_and_gets_its_nodes,
        a_vf_moves_to_the_pool_of_its_new_driver,
        vhost_net_comes_with_real_nodes_and_multus_is_told,
    ]
}

fn a_vf_on_vfio_stays_in_its_pool_and_gets_its_nodes() {
    let [pf, _] = pfs();
    let vf = *pf.vfs.last().unwrap();
    let node = Node::start(&[("fast", all_of(&pf))]);
    node.wait_for("fast", &pf.vfs);
    let vfs = AsBefore::of(&pf);
    vfs.bind(vf, "vfio-pci");

    let answer = node.kubelet.allocate(&resource("fast"), &[&vf.to_string()]).unwrap();
    let group = Sysfs::host().pci(vf).iommu_group().unwrap().unwrap();
    assert!(!group.no_iommu, "{vf} is behind an IOMMU");
    let expected = ["/dev/vfio/vfio".to_owned(), format!("/dev/vfio/{}", group.number)];
    let nodes: Vec<&str> = answer.devices.iter().map(|node| node.host_path.as_str()).collect();
    assert_eq!(nodes, expected);
    for node in &answer.devices {
        assert_eq!((&node.container_path, node.permissions.as_str()), (&node.host_path, "rw"));
        assert!(fs::metadata(&node.host_path).unwrap().file_type().is_char_device());
    }
    let info: Value =
        serde_json::from_str(&answer.envs["PCIDEVICE_LINKSPAN_DEV_FAST_INFO"]).unwrap();
    let vfio = json!({ "mount": "/dev/vfio/vfio", "dev-mount": expected[1] });
    assert_eq!(info[vf.to_string()]["vfio"], vfio);

    // A plugin that starts now sees a VF without a netdev.
    drop(node);
    let node = Node::start(&[("fast", all_of(&pf))]);
    node.wait_for("fast", &pf.vfs);
}

fn a_vf_moves_to_the_pool_of_its_new_driver() {
    let [pf, _] = pfs();
    let vfs = AsBefore::of(&pf);
    let (vf, others) = pf.vfs.split_last().unwrap();
    let driver = Sysfs::host().pci(*vf).driver().unwrap().unwrap();
    let with_driver = |driver: &str| {
        let mut selectors = all_of(&pf);
        selectors["drivers"] = json!([driver]);
        selectors
    };
    let node = Node::start(&[("kernel", with_driver(&driver)), ("user", with_driver("vfio-pci"))]);
    node.wait_for("kernel", &pf.vfs);
    node.wait_for("user", &[]);
    vfs.bind(*vf, "vfio-pci");
    node.wait_for("kernel", others);
    node.wait_for("user", &[*vf]);
    vfs.bind(*vf, &driver);
    node.wait_for("kernel", &pf.vfs);
    node.wait_for("user", &[]);
}

fn vhost_net_comes_with_real_nodes_and_multus_is_told() {
    let [pf, _] = pfs();
    run("modprobe", &["-a", "vhost_net", "tun"]);
    let mut selectors = all_of(&pf);
    selectors["needVhostNet"] = json!(true);
    let node = Node::start(&[("fast", selectors)]);
    node.wait_for("fast", &pf.vfs);
    let vf = pf.vfs[0].to_string();
    let answer = node.kubelet.allocate(&resource("fast"), &[&vf]).unwrap();
    let nodes: Vec<&str> = answer.devices.iter().map(|node| node.host_path.as_str()).collect();
    assert_eq!(nodes, ["/dev/vhost-net", "/dev/net/tun"]);
    for node in nodes {
        assert!(fs::metadata(node).unwrap().file_type().is_char_device(), "{node}");
    }
    let file = format!("devinfo/linkspan.dev-fast-{vf}-device.json");
    let told = fs::read(node.kubelet.directory().join(file)).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    let expected = json!({
        "pci-address": vf, "pf-pci-address": pf.address.to_string(), "vhost-net": "/dev/vhost-net",
    });
    assert_eq!(told, json!({ "type": "pci", "version": "1.1.0", "pci": expected }));
}
