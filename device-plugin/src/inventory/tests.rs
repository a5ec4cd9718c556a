#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use linkspan_tests::recorded;
use linkspan_tests::sysfs_tree::{Pf, SysfsTree, modalias};

use super::*;

mod again;

const ALL: Asked = Asked {
    sub_functions: true,
    acpi_indexes: true,
    link_types: true,
    ddp_profiles: true,
    rdma: true,
    p_keys: true,
    vdpa: true,
};

fn read(tree: &SysfsTree) -> Vec<Device> {
    let (devices, errors) = read_with_errors(tree);
    assert!(errors.is_empty(), "{errors:?}");
    devices
}

fn read_with_errors(tree: &SysfsTree) -> (Vec<Device>, Vec<String>) {
    let sysfs = Sysfs::at(tree.root());
    let (inventory, errors) =
        Inventory::read(&sysfs, &mut Seen::default(), ALL, &HostLinks::default()).unwrap();
    let root = tree.root().display().to_string();
    let error = |error: SysfsError| error.to_string().replace(&root, "");
    (inventory.devices, errors.into_iter().map(error).collect())
}

fn ids(devices: &[Device]) -> Vec<String> {
    devices.iter().map(|device| device.id.to_string()).collect()
}

/// A device in a line: what of it a selector can ask for.
fn line(device: &Device) -> String {
    let place = match &device.place {
        Place::Whole { parts: 0, .. } => "whole".to_owned(),
        Place::Whole { parts, .. } => format!("whole of {parts}"),
        Place::Vf { index, .. } => format!("vf {index}"),
        Place::SubFunction { number, .. } => format!("sf {number}"),
    };
    let pf = device.pf().name.as_ref().map_or("-", IfName::as_str);
    let mut words = vec![
        device.id.to_string(),
        format!("{:04x}:{:04x}", device.vendor, device.number),
        device.driver.clone().unwrap_or_else(|| "-".to_owned()),
        place,
        format!("of {pf}"),
    ];
    words.extend(device.link_type.map(|t| t.to_string()));
    words.extend(device.acpi_index.map(|index| format!("acpi {index}")));
    words.extend(device.net_names.iter().map(|name| format!("net {name}")));
    words.extend(device.has_rdma.then(|| format!("rdma {}", device.rdma.join(","))));
    words.extend(device.p_keys.iter().map(|key| format!("pkey {key}")));
    let vdpa_type = |vdpa: &VdpaDevice| vdpa.vdpa_type.map_or("-".to_owned(), |t| t.to_string());
    words.extend(device.vdpa.iter().map(|vdpa| format!("{} {}", vdpa.name, vdpa_type(vdpa))));
    words.join(" ")
}

#[test]
fn recorded_trees_are_read() {
    let table: [(&str, &[&str]); 6] = [
        (
            "intel_e810",
            &[
                "0000:17:00.0 8086:1592 ice whole of 4 of ens1f0 ether acpi 1 net ens1f0",
                "0000:17:00.1 8086:1592 ice whole of ens1f1 ether acpi 2 net ens1f1",
                "0000:17:01.0 8086:1889 iavf vf 0 of ens1f0 ether net ens1f0v0",
                "0000:17:01.1 8086:1889 iavf vf 1 of ens1f0 ether",
                "0000:17:01.2 8086:1889 vfio-pci vf 2 of ens1f0 ether",
                "0000:17:01.3 8086:1889 - vf 3 of ens1f0 ether",
                "0000:b4:00.0 8086:0d5c igb_uio whole of 2 of -",
                "0000:b4:01.0 8086:0d5d vfio-pci vf 0 of -",
                "0000:b4:01.1 8086:0d5d vfio-pci vf 1 of -",
            ],
        ),
        (
            "intel_x710",
            &[
                "0000:3b:00.0 8086:1572 i40e whole of 3 of ens2f0 ether net ens2f0",
                "0000:3b:00.1 8086:1572 i40e whole of 2 of ens2f1 ether net ens2f1",
                "0000:3b:02.0 8086:154c iavf vf 0 of ens2f0 ether net ens2f0v0",
                "0000:3b:02.1 8086:154c iavf vf 1 of ens2f0 ether net ens2f0v1",
                "0000:3b:02.2 8086:154c iavf vf 2 of ens2f0 ether net ens2f0v2",
                "0000:3b:0a.0 8086:154c iavf vf 0 of ens2f1 ether net ens2f1v0",
                "0000:3b:0a.1 8086:154c iavf vf 1 of ens2f1 ether net ens2f1v1",
            ],
        ),
        (
            "intel_82576",
            &[
                "0000:00:03.0 1af4:1000 virtio-pci whole of eth0 ether net eth0",
                "0000:01:00.0 8086:10c9 igb whole of 2 of ens3f0 ether net ens3f0",
                "0000:01:00.1 8086:10c9 igb whole of 2 of ens3f1 ether net ens3f1",
                "0000:01:10.0 8086:10ca igbvf vf 0 of ens3f0 ether net ens3f0v0",
                "0000:01:10.1 8086:10ca igbvf vf 0 of ens3f1 ether net ens3f1v0",
                "0000:01:10.2 8086:10ca igbvf vf 1 of ens3f0 ether net ens3f0v1",
                "0000:01:10.3 8086:10ca igbvf vf 1 of ens3f1 ether net ens3f1v1",
            ],
        ),
        (
            "mellanox_cx5",
            &[
                "0000:5e:00.0 15b3:1017 mlx5_core whole of 3 of ibs4f0 infiniband net ibs4f0 rdma mlx5_0 pkey 0xffff",
                "0000:5e:00.1 15b3:1017 mlx5_core whole of ens4f1 ether net ens4f1 rdma mlx5_1 pkey 0xffff",
                "0000:5e:00.2 15b3:1018 mlx5_core vf 0 of ibs4f0 infiniband net ibs4f0v0 rdma mlx5_2 pkey 0x8001",
                "0000:5e:00.3 15b3:1018 mlx5_core vf 1 of ibs4f0 infiniband net ibs4f0v1 rdma mlx5_3 pkey 0x8002",
                "0000:5e:00.4 15b3:1018 mlx5_core vf 2 of ibs4f0 infiniband rdma  pkey 0xffff",
            ],
        ),
        (
            "mellanox_cx6",
            &[
                "0000:65:00.0 15b3:101d mlx5_core whole of 5 of enp101s0f0np0 ether net enp101s0f0np0 net eth0 net eth1 net eth2 net eth3 net eth4 rdma mlx5_0 pkey 0xffff",
                "0000:65:00.2 15b3:101e mlx5_core vf 0 of enp101s0f0np0 ether net enp101s0f0v0 rdma mlx5_2 pkey 0xffff",
                "0000:65:00.3 15b3:101e mlx5_core vf 1 of enp101s0f0np0 ether rdma  pkey 0xffff vdpa0 vhost",
                "0000:65:00.4 15b3:101e mlx5_core vf 2 of enp101s0f0np0 ether net eth9 vdpa1 virtio",
                "mlx5_core.sf.2 15b3:101d mlx5_core.sf sf 88 of enp101s0f0np0 ether net enp101s0f0s88 rdma mlx5_4 pkey 0xffff",
                "mlx5_core.sf.3 15b3:101d mlx5_core.sf sf 89 of enp101s0f0np0 ether rdma  pkey 0xffff",
            ],
        ),
        (
            "broadcom_bcm57414",
            &[
                "0000:81:00.0 14e4:16d7 bnxt_en whole of 2 of ens5f0np0 ether net ens5f0np0",
                "0000:81:00.1 14e4:16d7 bnxt_en whole of ens5f1np1 ether net ens5f1np1",
                "0000:81:02.0 14e4:16dc bnxt_en vf 0 of ens5f0np0 ether net ens5f0np0v0",
                "0000:81:02.1 14e4:16dc bnxt_en vf 1 of ens5f0np0 ether net ens5f0np0v1",
            ],
        ),
    ];
    for (name, expected) in table {
        let found: Vec<String> = read(&recorded::tree(name)).iter().map(line).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_vf_is_where_its_pf_is() {
    let devices = read(&recorded::tree("intel_x710"));
    for device in &devices {
        assert_eq!(device.root.unwrap().to_string(), "pci0000:3a");
        assert_eq!(device.numa_node, Some(0));
    }
    assert!(read(&recorded::tree("intel_82576")).iter().all(|device| device.numa_node.is_none()));
}

#[test]
fn what_no_pool_asks_for_is_not_read() {
    let sysfs = recorded::tree("mellanox_cx6");
    let sysfs = Sysfs::at(sysfs.root());
    let read =
        Inventory::read(&sysfs, &mut Seen::default(), Asked::default(), &HostLinks::default());
    let devices = read.unwrap().0.devices;
    assert_eq!(ids(&devices), ["0000:65:00.0", "0000:65:00.2", "0000:65:00.3", "0000:65:00.4"]);
    for device in devices {
        assert_eq!((device.link_type, device.has_rdma, &device.vdpa), (None, false, &None));
    }
}

#[test]
fn hundreds_of_vfs_are_numbered_as_their_pf_does() {
    let tree = SysfsTree::new();
    let pf = Pf::igb("0000:3b:00.0", "ens1");
    tree.add_pf(&pf);
    tree.set_num_vfs(&pf, 512);
    let devices = read(&tree);
    assert_eq!(devices.len(), 513);
    for device in &devices[1..] {
        assert_eq!(device.id.pci(), device.index().map(|index| pf.vf(index)));
    }
}

#[test]
fn what_is_half_made_or_neither_nic_nor_accelerator_is_left_out() {
    let tree = recorded::tree("intel_e810");
    let at = |text: &str| fs::canonicalize(tree.root().join("bus/pci/devices").join(text)).unwrap();
    fs::remove_file(at("0000:17:00.0").join("virtfn1")).unwrap();
    fs::remove_file(at("0000:17:01.2").join("modalias")).unwrap();
    let disk = modalias(0x8086, 0x1889, "bc01sc08i02");
    fs::write(at("0000:17:01.3").join("modalias"), disk).unwrap();
    let found = ids(&read(&tree));
    let left = ["0000:17:00.0", "0000:17:00.1", "0000:17:01.0"];
    assert_eq!(found[..3], left);
    assert!(found[3..].iter().all(|id| id.starts_with("0000:b4")));
}

/// Each attribute that is read, missing, empty, huge, binary, or not what it should be: only its own device may go.
#[test]
fn one_strange_device_does_not_take_the_others_away() {
    let huge = vec![b'0'; 1 << 20];
    let strange: [&[u8]; 5] = [b"", b"\n", b"\xff\x00\xfe", b"nonsense\n", &huge];
    let pf = "pci0000:5d/0000:5d:00.0/0000:5e:00.0";
    let vf = "pci0000:5d/0000:5d:00.0/0000:5e:00.2";
    let all = ["0000:5e:00.0", "0000:5e:00.1", "0000:5e:00.2", "0000:5e:00.3", "0000:5e:00.4"];
    let table = [
        (vf, "modalias", true),
        (pf, "acpi_index", false),
        (pf, "modalias", true),
        (pf, "numa_node", false),
        (pf, "net/ibs4f0/type", false),
        (pf, "infiniband/mlx5_0/ports/1/pkeys/0", false),
        (vf, "infiniband/mlx5_2/ports/1/pkeys/0", false),
    ];
    for (device, attribute, is_fatal) in table {
        let left = |id: &&&str| !(is_fatal && device.ends_with(**id));
        let expected: Vec<&str> = all.iter().filter(left).copied().collect();
        for bytes in strange {
            let tree = recorded::tree("mellanox_cx5");
            fs::write(tree.root().join("devices").join(device).join(attribute), bytes).unwrap();
            let (devices, errors) = read_with_errors(&tree);
            assert_eq!(ids(&devices), expected, "{attribute} {errors:?}");
            assert!(errors.iter().all(|error| error.contains(attribute)), "{errors:?}");
            assert!(!errors.is_empty(), "{attribute}");
        }
        let tree = recorded::tree("mellanox_cx5");
        let _ = fs::remove_file(tree.root().join("devices").join(device).join(attribute));
        let (devices, errors) = read_with_errors(&tree);
        assert_eq!(
            (ids(&devices), errors),
            (expected.iter().map(ToString::to_string).collect(), vec![])
        );
    }
}

#[test]
fn links_that_lead_nowhere_or_are_none_hurt_nobody() {
    use std::os::unix::fs::symlink;
    let tree = recorded::tree("mellanox_cx6");
    let root = tree.root();
    let before = ids(&read(&tree));
    fs::write(root.join("class/net/bonding_masters"), "bond0\n").unwrap();
    symlink("../../devices/virtual/net/lo", root.join("class/net/lo")).unwrap();
    symlink("nowhere", root.join("bus/vdpa/devices/vdpa7")).unwrap();
    symlink("/", root.join("bus/auxiliary/devices/mlx5_core.sf.9")).unwrap();
    symlink(
        "../../../devices/pci0000:64/x/0000:65:00.0/mlx5_core.eth.0",
        root.join("bus/auxiliary/devices/mlx5_core.eth.0"),
    )
    .unwrap();
    fs::create_dir(root.join("bus/pci/devices/nonsense")).unwrap();
    symlink("nowhere", root.join("bus/pci/devices/0000:ff:00.0")).unwrap();
    let pf = root.join("devices/pci0000:64/0000:64:00.0/0000:65:00.0");
    fs::write(pf.join("virtfn9"), "").unwrap();
    fs::write(pf.join("virtfnx"), "").unwrap();
    let (devices, errors) = read_with_errors(&tree);
    assert_eq!(ids(&devices), before, "{errors:?}");
}

#[test]
fn an_interface_without_a_proper_name_takes_its_device_with_it() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    for (name, shown) in [(&b"a%d"[..], "a%d"), (b"a\xff", "a\u{fffd}")] {
        let (tree, name) = (recorded::tree("intel_x710"), OsStr::from_bytes(name));
        let net = Path::new("devices/pci0000:3a/0000:3a:00.0/0000:3b:02.1/net").join(name);
        fs::create_dir(tree.root().join(&net)).unwrap();
        let link = tree.root().join("class/net").join(name);
        std::os::unix::fs::symlink(Path::new("../..").join(net), link).unwrap();
        let (devices, errors) = read_with_errors(&tree);
        assert!(!ids(&devices).contains(&"0000:3b:02.1".to_owned()));
        let expected = "expected the name of a network interface";
        assert_eq!(errors, [format!("/class/net/{shown} is {shown:?}, {expected}")]);
    }
}

#[test]
fn what_was_seen_of_a_nic_is_known_while_a_pod_has_it() {
    let tree = recorded::tree("mellanox_cx5");
    let sysfs = Sysfs::at(tree.root());
    let read =
        || Inventory::read(&sysfs, &mut Seen::default(), ALL, &HostLinks::default()).unwrap().0;
    let before = read();
    for link in ["class/net/ens4f1", "class/infiniband/mlx5_1"] {
        fs::remove_file(tree.root().join(link)).unwrap();
    }
    let mut after = read();
    assert_eq!(line(&after.devices[1]), "0000:5e:00.1 15b3:1017 mlx5_core whole of -");
    after.remember(&before);
    let remembered = "0000:5e:00.1 15b3:1017 mlx5_core whole of ens4f1 ether rdma  pkey 0xffff";
    assert_eq!(line(&after.devices[1]), remembered);
    // Another driver makes another device of it.
    let mut before = before;
    before.devices[1].driver = Some("vfio-pci".to_owned());
    let mut after = read();
    after.remember(&before);
    assert_eq!(line(&after.devices[1]), "0000:5e:00.1 15b3:1017 mlx5_core whole of -");
}

#[test]
fn a_pf_is_asked_once_for_the_profile_of_all_its_vfs_and_while_it_cant_tell_has_the_last() {
    let tree = recorded::tree("intel_e810");
    let sysfs = Sysfs::at(tree.root());
    let read =
        || Inventory::read(&sysfs, &mut Seen::default(), ALL, &HostLinks::default()).unwrap().0;
    let profiles = |inventory: &Inventory| -> Vec<_> {
        inventory.devices.iter().map(|device| device.ddp_profile.clone()).collect()
    };
    let (mut first, mut asked) = (read(), Vec::new());
    let errors = first.add_profiles(&Inventory::default(), |pf| {
        asked.push(pf.to_string());
        match asked.len() {
            1 => Ok(Some("GTP".to_owned())),
            _ => Err("it is being reset"),
        }
    });
    // The two ports of the NIC; an accelerator has no such thing.
    assert_eq!(asked, ["0000:17:00.0", "0000:17:00.1"]);
    assert_eq!(errors, ["it is being reset"]);
    let gtp = || Some("GTP".to_owned());
    let expected = [gtp(), None, gtp(), gtp(), gtp(), gtp(), None, None, None];
    assert_eq!(profiles(&first), expected);

    let mut second = read();
    assert_eq!(second.add_profiles(&first, |_| Err("both are")).len(), 2);
    assert_eq!(profiles(&second), expected);
    let mut third = read();
    assert!(third.add_profiles(&second, |_| Ok::<_, ()>(None)).is_empty());
    assert_eq!(profiles(&third), [const { None }; 9]);
}
