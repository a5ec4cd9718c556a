//! Which VFs a pool offers, and what the kubelet and a container are told of them.

use std::fs;

use linkspan_linux::pci::{PciDevice, Sysfs};
use linkspan_tests::bed::BedPf;
use linkspan_tests::cases;
use linkspan_tests::harness::{Case, Need};
use linkspan_types::PciAddress;
use serde_json::{Value, json};

use crate::{Node, all_of, pfs, resource};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(2)];
        pf_names_with_ranges_offer_each_vf_once,
        root_devices_with_ranges_offer_each_vf_once,
        vendors_devices_and_drivers_select,
        a_vf_is_on_the_numa_node_of_its_pf,
        a_container_gets_its_vf_by_name_and_no_device_node,
    ]
}

fn pf_names_with_ranges_offer_each_vf_once() {
    two_pools_share_both_pfs("pfNames", |pf| pf.name.to_string());
}

fn root_devices_with_ranges_offer_each_vf_once() {
    two_pools_share_both_pfs("rootDevices", |pf| pf.address.to_string());
}

/// The first pool takes VF 0 and all from VF 2 to the last but one, by ranges; the second asks for all, and
/// gets the rest.
fn two_pools_share_both_pfs(key: &str, name: fn(&BedPf) -> String) {
    let pfs = pfs();
    assert!(pfs.iter().all(|pf| pf.vfs.len() > 3), "each NIC needs four VFs for its ranges");
    let last = |pf: &BedPf| pf.vfs.len() - 1;
    let some: Vec<String> =
        pfs.iter().map(|pf| format!("{}#0,2-{}", name(pf), last(pf) - 1)).collect();
    let all: Vec<String> = pfs.iter().map(name).collect();
    let node = Node::start(&[("some", json!({ key: some })), ("rest", json!({ key: all }))]);

    let is_some = |pf: &BedPf, index: usize| index == 0 || (2..last(pf)).contains(&index);
    let share = |wanted: bool| -> Vec<PciAddress> {
        let of_pf = |pf: &BedPf| -> Vec<PciAddress> {
            let numbered = pf.vfs.iter().enumerate();
            numbered.filter(|(n, _)| is_some(pf, *n) == wanted).map(|(_, vf)| *vf).collect()
        };
        pfs.iter().flat_map(of_pf).collect()
    };
    let (first, second) = (share(true), share(false));
    assert_eq!(first.len() + second.len(), pfs.iter().map(|pf| pf.vfs.len()).sum::<usize>());
    node.wait_for("some", &first);
    node.wait_for("rest", &second);
}

fn vendors_devices_and_drivers_select() {
    let pfs = pfs();
    let names: Vec<&str> = pfs.iter().map(|pf| pf.name.as_str()).collect();
    let vfs: Vec<PciAddress> = pfs.iter().flat_map(|pf| pf.vfs.clone()).collect();
    let each = |attribute: fn(&PciDevice) -> String| -> Vec<String> {
        let sysfs = Sysfs::host();
        vfs.iter().map(|vf| attribute(&sysfs.pci(*vf))).collect()
    };
    let vendors = each(|device| format!("{:04x}", device.identity().unwrap().vendor));
    let devices = each(|device| format!("{:04x}", device.identity().unwrap().device));
    let drivers = each(|device| device.driver().unwrap().unwrap());
    let right = json!({
        "vendors": vendors, "devices": devices, "drivers": drivers, "pfNames": names,
    });
    let wrong = |key: &str, value: &str| {
        let mut selector = right.clone();
        selector[key] = json!([value]);
        selector
    };
    let node = Node::start(&[
        (
            "none",
            json!([
                wrong("vendors", "15b3"),
                wrong("devices", "101e"),
                wrong("drivers", "mlx5_core")
            ]),
        ),
        ("all", right.clone()),
    ]);
    node.wait_for("all", &vfs);
    node.wait_for("none", &[]);
}

fn a_vf_is_on_the_numa_node_of_its_pf() {
    let pfs = pfs();
    let node = Node::start(&[("one", all_of(&pfs[0])), ("two", all_of(&pfs[1]))]);
    let mut seen = Vec::new();
    for (pool, pf) in ["one", "two"].into_iter().zip(&pfs) {
        let path = format!("/sys/bus/pci/devices/{}/numa_node", pf.address);
        let text = fs::read_to_string(path).unwrap();
        let expected: Option<i64> = text.trim().parse().ok().filter(|number| *number >= 0);
        let state = node.wait_for(pool, &pf.vfs);
        for device in &state.resources[&resource(pool)].devices {
            let topology = device.topology.as_ref();
            let nodes = topology.map(|t| t.nodes.iter().map(|node| node.id).collect::<Vec<_>>());
            assert_eq!(nodes, expected.map(|node| vec![node]), "{}", device.id);
        }
        seen.push(expected);
    }
    if std::env::var_os("LINKSPAN_BED").is_some() {
        assert_eq!(seen, [Some(0), Some(1)], "the bed's PFs are on two nodes");
    }
}

fn a_container_gets_its_vf_by_name_and_no_device_node() {
    let [pf, _] = pfs();
    let node = Node::start(&[("fast", all_of(&pf))]);
    node.wait_for("fast", &pf.vfs);
    let ids = [&pf.vfs[1], &pf.vfs[0]].map(ToString::to_string);
    let answer = node.kubelet.allocate(&resource("fast"), &[&ids[0], &ids[1]]).unwrap();
    assert_eq!(answer.envs["PCIDEVICE_LINKSPAN_DEV_FAST"], ids.join(","));
    let info: Value =
        serde_json::from_str(&answer.envs["PCIDEVICE_LINKSPAN_DEV_FAST_INFO"]).unwrap();
    let mut expected = json!({});
    for id in &ids {
        expected[id] = json!({ "generic": { "deviceID": id } });
    }
    assert_eq!(info, expected);
    assert_eq!((answer.devices.len(), answer.mounts.len()), (0, 0), "the kernel drives it");
}
