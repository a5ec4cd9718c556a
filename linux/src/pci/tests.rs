#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use linkspan_types::{IfName, VdpaType};

use super::*;

/// A tree with the PF `0000:01:00.0` (VFs at `offset`, `stride`) and `vfs` VFs, as the kernel links them.
fn tree(vfs: &[&str], offset: u32, stride: u32) -> (tempfile::TempDir, Sysfs) {
    let root = tempfile::tempdir().unwrap();
    let devices = root.path().join("bus/pci/devices");
    let pf = devices.join("0000:01:00.0");
    fs::create_dir_all(&pf).unwrap();
    for (name, value) in [("sriov_offset", offset), ("sriov_stride", stride)] {
        fs::write(pf.join(name), format!("{value}\n")).unwrap();
    }
    for (index, vf) in vfs.iter().enumerate() {
        fs::create_dir(devices.join(vf)).unwrap();
        symlink("../0000:01:00.0", devices.join(vf).join("physfn")).unwrap();
        symlink(format!("../{vf}"), pf.join(format!("virtfn{index}"))).unwrap();
    }
    let sysfs = Sysfs::at(root.path());
    (root, sysfs)
}

fn address(text: &str) -> PciAddress {
    text.parse().unwrap()
}

fn write(sysfs: &Sysfs, file: &str, bytes: impl AsRef<[u8]>) {
    let path = sysfs.root.join("bus/pci/devices/0000:01:00.0").join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_vf_and_its_pf_find_each_other() {
    let vfs = ["0000:01:10.0", "0000:01:10.2", "0000:01:10.4"];
    let (_root, sysfs) = tree(&vfs, 128, 2);
    let pf = sysfs.pci(address("0000:01:00.0"));
    let expected: Vec<_> = (0..).zip(vfs.map(address)).collect();
    assert_eq!(pf.virtual_functions().unwrap(), expected);
    assert_eq!(pf.physfn().unwrap(), None);
    for (index, vf) in expected {
        let vf = sysfs.pci(vf);
        assert_eq!(vf.physfn().unwrap(), Some(pf.address()));
        assert_eq!(vf.vf_index(pf.address()).unwrap(), index);
    }
}

#[test]
fn an_index_is_found_where_the_addresses_do_not_tell_it() {
    // Two VFs whose links are not in the order of their addresses, and a PF without any numbers.
    let (_root, sysfs) = tree(&["0000:01:10.2", "0000:01:10.0"], 128, 2);
    let vf = sysfs.pci(address("0000:01:10.0"));
    assert_eq!(vf.vf_index(address("0000:01:00.0")).unwrap(), 1);
    fs::remove_file(sysfs.root.join("bus/pci/devices/0000:01:00.0/sriov_offset")).unwrap();
    assert_eq!(vf.vf_index(address("0000:01:00.0")).unwrap(), 1);
}

#[test]
fn a_single_vf_has_a_stride_of_zero() {
    let (_root, sysfs) = tree(&["0000:01:10.0"], 128, 0);
    let vf = sysfs.pci(address("0000:01:10.0"));
    assert_eq!(vf.vf_index(address("0000:01:00.0")).unwrap(), 0);
    let stranger = sysfs.pci(address("0000:02:00.0")).vf_index(address("0000:01:00.0"));
    let message = stranger.unwrap_err().to_string();
    assert!(
        message.ends_with(r#"0000:01:00.0 is "1 VFs", expected this VF among them"#),
        "{message}"
    );
}

#[test]
fn generic_attributes_are_read() {
    let (root, sysfs) = tree(&[], 0, 0);
    let pf = sysfs.pci(address("0000:01:00.0"));
    let files = [
        ("modalias", "pci:v00008086d000010C9sv00008086sd0000A03Cbc02sc00i00\n"),
        ("numa_node", "1\n"),
    ];
    for (file, text) in files {
        write(&sysfs, file, text);
    }
    let identity = Identity { vendor: 0x8086, device: 0x10c9, class: 0x2_0000 };
    assert_eq!((pf.identity().unwrap(), pf.numa_node().unwrap()), (identity, Some(1)));
    write(&sysfs, "numa_node", "-1\n");
    assert_eq!(pf.numa_node().unwrap(), None);

    assert_eq!(pf.driver().unwrap(), None);
    let driver = root.path().join("bus/pci/drivers/igb");
    fs::create_dir_all(&driver).unwrap();
    symlink(&driver, pf.path.join("driver")).unwrap();
    assert_eq!(pf.driver().unwrap().as_deref(), Some("igb"));

    write(&sysfs, "driver_override", "(null)\n");
    assert_eq!(pf.driver_override().unwrap(), None);
    write(&sysfs, "driver_override", "vfio-pci\n");
    assert_eq!(pf.driver_override().unwrap().as_deref(), Some("vfio-pci"));
}

#[test]
fn groups_and_nodes_of_drivers_in_user_space() {
    let (root, sysfs) = tree(&[], 0, 0);
    let pf = sysfs.pci(address("0000:01:00.0"));
    assert_eq!(pf.iommu_group().unwrap(), None);
    assert!(pf.uio_nodes().unwrap().is_empty());
    let group = root.path().join("kernel/iommu_groups/17");
    fs::create_dir_all(&group).unwrap();
    symlink(&group, pf.path.join("iommu_group")).unwrap();
    assert_eq!(pf.iommu_group().unwrap(), Some(IommuGroup { number: 17, no_iommu: false }));
    fs::write(group.join("name"), "vfio-noiommu\n").unwrap();
    assert_eq!(pf.iommu_group().unwrap(), Some(IommuGroup { number: 17, no_iommu: true }));
    fs::create_dir_all(pf.path.join("uio/uio3")).unwrap();
    assert_eq!(pf.uio_nodes().unwrap(), ["uio3"]);
}

#[test]
fn rdma_and_vdpa_devices_are_found_with_their_nodes() {
    let (root, sysfs) = tree(&[], 128, 2);
    let pf = sysfs.pci(address("0000:01:00.0"));
    let sub_function = root.path().join("bus/auxiliary/devices/mlx5_core.sf.4");
    assert_eq!(pf.rdma().unwrap(), Rdma::default());
    assert_eq!(pf.vdpa().unwrap(), None);
    let nodes = ["infiniband/mlx5_4", "infiniband_verbs/uverbs4", "infiniband_cm/ucm4"];
    let ports = ["umad8", "umad10", "issm8", "issm10"].map(|name| format!("infiniband_mad/{name}"));
    for node in nodes.into_iter().chain(ports.iter().map(String::as_str)) {
        for device in [&pf.path, &sub_function] {
            fs::create_dir_all(device.join(node)).unwrap();
        }
    }
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let expected = Rdma {
        devices: names(&["mlx5_4"]),
        uverbs: names(&["uverbs4"]),
        umad: names(&["umad10", "umad8"]),
        issm: names(&["issm10", "issm8"]),
        ucm: names(&["ucm4"]),
    };
    assert_eq!(pf.rdma().unwrap(), expected);
    let name = "mlx5_core.sf.4".parse().unwrap();
    assert_eq!(sysfs.rdma_of_sub_function(&name).unwrap(), expected);

    let vdpa = pf.path.join("vdpa12");
    for other in ["vdpa", "vdpa12/power", "vdpa12/vhost-vdpa-", "vdpa12/virtio5"] {
        fs::create_dir_all(pf.path.join(other)).unwrap();
    }
    let end = |vdpa_type, name: &str| Some(VdpaEnd { vdpa_type, name: name.to_owned() });
    let found = |end| Some(Vdpa { name: "vdpa12".to_owned(), end });
    // What it is depends on its driver alone, which is there before its node is.
    assert_eq!(pf.vdpa().unwrap(), found(None));
    let driver = vdpa.join("driver");
    symlink("../drivers/virtio_vdpa", &driver).unwrap();
    assert_eq!(pf.vdpa().unwrap(), found(end(VdpaType::Virtio, "virtio5")));
    fs::remove_file(&driver).unwrap();
    symlink("../drivers/vhost_vdpa", &driver).unwrap();
    assert_eq!(pf.vdpa().unwrap(), found(None));
    fs::create_dir(vdpa.join("vhost-vdpa-0")).unwrap();
    assert_eq!(pf.vdpa().unwrap(), found(end(VdpaType::Vhost, "vhost-vdpa-0")));
}

#[test]
fn a_pfs_name_is_not_one_of_its_representors() {
    let (_root, sysfs) = tree(&[], 0, 0);
    let pf = sysfs.pci(address("0000:01:00.0"));
    assert_eq!(pf.pf_name().unwrap(), None);
    write(&sysfs, "net/ens1_0/phys_port_name", "pf0vf0\n");
    write(&sysfs, "net/ens1np0/phys_port_name", "p0\n");
    assert_eq!(pf.net_names().unwrap().len(), 2);
    assert_eq!(pf.pf_name().unwrap().unwrap().as_str(), "ens1np0");
}

#[test]
fn a_vf_of_a_switch_has_a_representor() {
    let (_root, sysfs) = tree(&[], 0, 0);
    let pf = sysfs.pci(address("0000:01:00.0"));
    assert_eq!(pf.representor(1).unwrap(), None);
    let ports = [
        ("p0", "p0"),
        ("other", "c1pf0vf1"),
        ("sf", "pf0sf1"),
        ("r1", "pf0vf1"),
        ("r10", "pf0vf10"),
    ];
    for (name, port) in ports {
        write(&sysfs, &format!("net/{name}/phys_port_name"), format!("{port}\n"));
    }
    for (vf, expected) in [(0, None), (1, Some("r1")), (10, Some("r10"))] {
        let found = pf.representor(vf).unwrap();
        assert_eq!(found.as_ref().map(IfName::as_str), expected);
    }
}

#[test]
fn an_interface_is_read() {
    let (root, sysfs) = tree(&[], 0, 0);
    let directory = root.path().join("class/net/ens1");
    fs::create_dir_all(&directory).unwrap();
    let files = [
        ("address", "52:54:00:aa:00:01\n"),
        ("mtu", "1500\n"),
        ("carrier", "1\n"),
        ("operstate", "up\n"),
    ];
    for (file, text) in files {
        fs::write(directory.join(file), text).unwrap();
    }
    let interface = sysfs.net(&"ens1".parse().unwrap());
    assert_eq!(interface.mac().unwrap(), "52:54:00:aa:00:01".parse().unwrap());
    assert_eq!(u32::from(interface.mtu().unwrap()), 1500);
    assert_eq!(interface.carrier().unwrap(), Some(true));
    assert_eq!(interface.operstate().unwrap(), "up");
}

#[test]
fn strange_files_are_errors_and_never_panics() {
    let (_root, sysfs) = tree(&[], 0, 0);
    let pf = sysfs.pci(address("0000:01:00.0"));
    let long = [b'0'; 5000];
    let strange: [&[u8]; 10] = [
        b"",
        b"0x8086",
        b"usb:v1D6Bp0002",
        b"pci:v00008086d000010C9",
        b"pci:v00018086d000010C9sv00008086sd0000A03Cbc02sc00i00",
        b"pci:v+0008086d000010C9sv00008086sd0000A03Cbc02sc00i00",
        b"pci:v0000808\xc3\xa4d000010C9sv00008086sd0000A03Cbc02sc00i00",
        b"pci:v00008086d000010C9sv00008086sd0000A03Cbc02sc00i00i",
        b"\xff\xfe",
        &long,
    ];
    for bytes in strange {
        write(&sysfs, "modalias", bytes);
        let error = pf.identity().unwrap_err();
        assert!(matches!(error, SysfsError::Unexpected { .. }), "{error}");
    }
    write(&sysfs, "modalias", "0\n");
    let message = pf.identity().unwrap_err().to_string();
    assert!(
        message
            .contains(r#"0000:01:00.0/modalias is "0", expected a device such as pci:v00008086"#),
        "{message}"
    );
}

#[test]
fn a_machine_without_a_pci_bus_has_no_devices() {
    let root = tempfile::tempdir().unwrap();
    assert!(Sysfs::at(root.path()).pci_addresses().unwrap().is_empty());
    let missing = Sysfs::at(root.path()).pci(address("0000:01:00.0"));
    assert!(!missing.exists());
    assert!(missing.identity().unwrap_err().is_missing());
}

#[test]
fn this_machine_is_read() {
    let sysfs = Sysfs::host();
    if !Path::new("/sys/bus/pci/devices").exists() {
        return;
    }
    for address in sysfs.pci_addresses().unwrap() {
        let device = sysfs.pci(address);
        let number = |file| attribute::text(&device.join(file)).unwrap();
        let Identity { vendor, device: number_of_vendor, class } = device.identity().unwrap();
        let told =
            [format!("{vendor:#06x}"), format!("{number_of_vendor:#06x}"), format!("{class:#08x}")];
        assert_eq!(told, ["vendor", "device", "class"].map(number));
        device.driver().unwrap();
        device.numa_node().unwrap();
        device.net_names().unwrap();
    }
}

/// What is at an address, and whose an interface is, as a first look shows it, and as one with memory does.
fn looks(sysfs: &Sysfs, seen: &mut Seen) -> [(Vec<PciAddress>, u16, Vec<Owned>); 2] {
    let device = sysfs.pci(address("0000:01:00.0"));
    let look = |seen: &mut Seen| {
        let addresses = seen.pci_addresses(sysfs).unwrap();
        (addresses, seen.identity(&device).unwrap().device, sysfs.interfaces(seen).unwrap())
    };
    [look(&mut Seen::default()), look(seen)]
}

#[test]
fn what_was_seen_is_known_for_as_long_as_it_is_there_and_no_longer() {
    let root = tempfile::tempdir_in("/dev/shm").unwrap();
    let at = |path: &str| root.path().join(path);
    let number = |device: &str, number: u16| {
        let text = format!("pci:v00008086d{number:08X}sv00008086sd00000000bc02sc00i00\n");
        fs::write(at(device).join("modalias"), text).unwrap();
    };
    let made = |device: &str| {
        fs::create_dir_all(at(device)).unwrap();
        number(device, device[1..].parse().unwrap());
    };
    for directory in ["bus/pci/devices", "class/net"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    made("d1");
    made("d2");
    let link = at("bus/pci/devices/0000:01:00.0");
    let interface = |of: &str, name: &str| symlink(format!("../../{of}/net/x"), at(name)).unwrap();
    symlink("../../../d1", &link).unwrap();
    interface("0000:01:00.0", "class/net/a");
    interface("0000:01:00.1", "class/net/b");
    let (sysfs, mut seen) = (Sysfs::at(root.path()), Seen::default());
    let [first, same] = looks(&sysfs, &mut seen);
    assert_eq!((first.1, &first), (1, &same));

    // The device can't change: its file is not read again.
    number("d1", 9);
    assert_eq!(looks(&sysfs, &mut seen)[1], first);

    // Another device takes its place, and the interfaces change their names: the link of `b` stays, another is `a`.
    fs::remove_file(&link).unwrap();
    symlink("../../../d2", &link).unwrap();
    fs::remove_file(at("class/net/a")).unwrap();
    fs::rename(at("class/net/b"), at("class/net/c")).unwrap();
    interface("0000:01:00.1", "class/net/a");
    let [now, again] = looks(&sysfs, &mut seen);
    assert_eq!((now.1, &now), (2, &again));
    let mut names: Vec<_> = now.2.iter().map(|owned| owned.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "c"]);
}
