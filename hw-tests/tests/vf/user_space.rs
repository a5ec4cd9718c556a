//! VFs that a program in user space drives, and VFs that serve as parents of a virtual machine's link.

use std::fs;

use linkspan_hw_tests::as_before::AsBefore;
use linkspan_hw_tests::{show, show_vf};
use linkspan_tests::bed::BedPf;
use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::pods::Pod;
use serde_json::{Value, json};

use crate::{address_of, host_local};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Pfs(2)];
        a_vf_on_vfio_gets_its_settings_and_addresses_and_no_link,
        a_vf_is_the_parent_of_a_virtual_machines_link,
        a_trunk_is_refused_where_the_driver_has_none,
    ]
}

fn a_vf_on_vfio_gets_its_settings_and_addresses_and_no_link() {
    let pf = BedPf::nth(0);
    let vf = pf.vfs[3];
    let vfs = AsBefore::of(&pf);
    vfs.bind(vf, "vfio-pci");
    let before = show(&pf);
    let data = tempfile::tempdir().unwrap();
    let info =
        format!("/var/run/k8s.cni.cncf.io/devinfo/cni/userspace-{}_net1", std::process::id());
    let network = Network::new(
        "userspace",
        json!({
            "deviceID": vf.to_string(), "mac": "02:00:00:00:68:01", "vlan": 100, "trust": "on",
            "ipam": host_local(&data, &["10.68.0.0/24"]),
            "runtimeConfig": { "CNIDeviceInfoFile": info },
        }),
    );
    let pod = Pod::new("userspace", "pod");
    let result = network.add(&pod, "net1");
    assert_eq!(address_of(&result, 0), "10.68.0.2");
    let interface = &result["interfaces"][0];
    assert_eq!(
        (&interface["mac"], &interface["pciID"]),
        (&json!("02:00:00:00:68:01"), &json!(vf.to_string()))
    );
    let on_pf = show_vf(&pf, 3).on_pf;
    assert_eq!((&on_pf["address"], &on_pf["trust"]), (&json!("02:00:00:00:68:01"), &json!(true)));
    assert!(!pod.run("ip", &["link"]).contains("net1"), "there is no netdev to be moved");
    let written: Value = serde_json::from_str(&fs::read_to_string(&info).unwrap()).unwrap();
    assert_eq!(
        (&written["type"], &written["pci"]["pci-address"], &written["pci"]["pf-pci-address"]),
        (&json!("pci"), &json!(vf.to_string()), &json!(pf.address.to_string()))
    );
    let held = network.try_add(&Pod::new("userspace", "other"), "net1");
    assert_eq!(held.code(), Some(101), "{held:#?}");

    network.del(&pod, "net1");
    assert_eq!(show(&pf), before);
    assert!(!fs::exists(&info).unwrap(), "the file goes with the attachment");
}

/// The pairing that data centres use: what the machine sends goes through a VF of its own.
fn a_vf_is_the_parent_of_a_virtual_machines_link() {
    let (pf, other) = (BedPf::nth(0), BedPf::nth(1));
    let before = show(&pf);
    let data = tempfile::tempdir().unwrap();
    let ipam = host_local(&data, &["10.69.0.0/24"]);
    let machine = Network::new(
        "machine",
        json!({
            "type": "linkspan", "kind": "macvtap", "mode": "passthru", "ipam": ipam,
            "deviceID": pf.vfs[4].to_string(),
        }),
    );
    let partner =
        Network::new("machine", json!({ "deviceID": other.vfs[4].to_string(), "ipam": ipam }));
    let [pod, peer] = ["pod", "peer"].map(|name| Pod::new("machine", name));
    let result = machine.add(&pod, "net1");
    let node = format!("/dev/tap{}", pod.link("net1")["ifindex"]);
    assert!(fs::exists(&node).unwrap());
    partner.add(&peer, "net1");
    assert!(peer.pings(&address_of(&result, 0), 30));

    let held = machine.try_add(&Pod::new("machine", "second"), "net1");
    assert_eq!(held.code(), Some(101), "the VF is this attachment's alone: {held:#?}");
    machine.del(&pod, "net1");
    partner.del(&peer, "net1");
    assert_eq!(show(&pf), before);

    machine.add(&pod, "net1");
    pod.delete();
    machine.del(&pod, "net1");
    assert_eq!(show(&pf), before, "also where the namespace is gone");
}

fn a_trunk_is_refused_where_the_driver_has_none() {
    let pf = BedPf::nth(0);
    let before = show(&pf);
    let network = Network::new(
        "trunk",
        json!({ "deviceID": pf.vfs[1].to_string(), "trunk": [{ "id": 100 }], "trust": "on" }),
    );
    let reply = network.try_add(&Pod::new("trunk", "pod"), "net1");
    assert_eq!(reply.code(), Some(100), "{reply:#?}");
    assert!(reply.msg().contains("has no VLAN trunks"), "{reply:#?}");
    assert_eq!(show(&pf), before);
}
