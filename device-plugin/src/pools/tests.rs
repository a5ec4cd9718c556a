#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use linkspan_config::resource_list::DeviceType;
use serde_json::{Value, json};

use super::*;
use crate::inventory::{DeviceId, Parent, Place};

fn pools(resources: Value) -> Result<Vec<Pool>, DuplicateName> {
    let mut list = json!({});
    list["resourceList"] = resources;
    let list = ResourceList::from_json(&list).unwrap();
    Pool::all(list, &"linkspan.dev".parse().unwrap())
}

/// A VF of one of the two PFs; the last one has no driver.
pub(crate) fn vf(bus: u32, index: u32) -> Device {
    Device {
        id: DeviceId::Pci(format!("0000:{bus:02x}:10.{index}").parse().unwrap()),
        vendor: 0x8086,
        number: 0x10ca,
        driver: (index != 3).then(|| "igbvf".to_owned()),
        numa_node: None,
        kind: DeviceType::NetDevice,
        root: None,
        acpi_index: None,
        link_type: None,
        net_names: Vec::new(),
        has_rdma: false,
        rdma: Vec::new(),
        p_keys: Vec::new(),
        vdpa: None,
        ddp_profile: None,
        place: Place::Vf {
            index,
            pf: Parent {
                address: format!("0000:{bus:02x}:00.0").parse().unwrap(),
                name: (bus == 1).then(|| "ens1".parse().unwrap()),
            },
        },
    }
}

/// Two PFs, `ens1` and one without an interface here, with four VFs each.
fn inventory() -> Inventory {
    let devices = [1, 2].into_iter().flat_map(|bus| (0..4).map(move |index| vf(bus, index)));
    Inventory { devices: devices.collect() }
}

/// Which devices each pool of a configuration gets, as `bus.index`.
fn divided(resources: Value) -> Vec<Vec<String>> {
    let short = |member: &Member| member.device.id.to_string().replace("0000:0", "");
    let pools = divide(&pools(resources).unwrap(), &inventory());
    let names = |pool: &Vec<Member>| pool.iter().map(short).collect();
    pools.iter().map(names).collect()
}

#[test]
fn every_key_of_a_selector_must_fit() {
    let all = ["1:10.0", "1:10.1", "1:10.2", "1:10.3", "2:10.0", "2:10.1", "2:10.2", "2:10.3"];
    let table: [(Value, &[&str]); 12] = [
        (json!({}), &all),
        (json!({"vendors": ["8086", "15b3"]}), &all),
        (json!({"vendors": ["15b3"]}), &[]),
        (json!({"devices": ["10ca"], "vendors": ["8086"]}), &all),
        (json!({"devices": ["10c9"], "vendors": ["8086"]}), &[]),
        (json!({"drivers": ["igbvf"], "pfNames": ["ens1"]}), &all[..3]),
        (json!({"pciAddresses": ["0000:02:10.3", "0000:09:00.0"]}), &all[7..]),
        (json!({"pfNames": ["ens1#1-2"]}), &all[1..3]),
        (json!({"pfNames": ["ens2"]}), &[]),
        (json!({"rootDevices": ["0000:02:00.0#0"]}), &all[4..5]),
        (json!({"pfNames": ["ens1"], "rootDevices": ["0000:02:00.0"]}), &[]),
        (json!([{"pfNames": ["ens1#0"]}, {"rootDevices": ["0000:02:00.0#3"]}]), &[all[0], all[7]]),
    ];
    for (selectors, expected) in table {
        let found = divided(json!([{"resourceName": "a", "selectors": selectors}]));
        assert_eq!(found, [expected], "{selectors}");
    }
}

#[test]
fn a_device_goes_to_the_first_pool_that_selects_it() {
    let found = divided(json!([
        {"resourceName": "a", "selectors": {"pciAddresses": ["0000:01:10.1"]}},
        {"resourceName": "b", "selectors": {"pfNames": ["ens1#0-1"]}},
        {"resourceName": "c", "selectors": {"pfNames": ["ens1"]}}
    ]));
    assert_eq!(found, [vec!["1:10.1"], vec!["1:10.0"], vec!["1:10.2", "1:10.3"]]);
}

#[test]
fn variables_and_sockets_are_named_as_the_peer_names_them() {
    let table = [
        ("intel.com", "sriov", "PCIDEVICE_INTEL_COM_SRIOV", "intel.com_sriov.sock"),
        ("a.b-c.io", "Net_1", "PCIDEVICE_A_B-C_IO_NET_1", "a.b-c.io_Net_1.sock"),
        ("x.io", "fast-lane", "PCIDEVICE_X_IO_FAST-LANE", "x.io_fast-lane.sock"),
    ];
    for (prefix, name, variable, socket) in table {
        let list = json!([{"resourceName": name, "resourcePrefix": prefix, "selectors": {}}]);
        let name = &pools(list).unwrap()[0].name;
        assert_eq!((name.variable().as_str(), name.socket().as_str()), (variable, socket));
    }
}

#[test]
fn a_name_is_taken_once_whether_its_prefix_is_written_or_not() {
    let list = |prefix: &str| {
        pools(json!([
            {"resourceName": "a", "selectors": {}},
            {"resourceName": "b", "selectors": {}},
            {"resourceName": "a", "resourcePrefix": prefix, "selectors": {}}
        ]))
    };
    assert!(list("intel.com").is_ok());
    let message = "`resourceList[2]` is called linkspan.dev/a like `resourceList[0]`, expected a name of its own";
    assert_eq!(list("linkspan.dev").unwrap_err().to_string(), message);
}
