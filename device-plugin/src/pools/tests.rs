#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use linkspan_config::resource_list::DeviceType;
use linkspan_linux::HostLinks;
use linkspan_linux::pci::{Seen, Sysfs};
use linkspan_tests::recorded;
use linkspan_types::IfName;
use serde_json::{Value, json};

use super::*;
use crate::inventory::{Asked, DeviceId, HostUse, Interface, Interfaces, Parent, Place};

/// The pools of a configuration, all of whose names begin with `linkspan.dev/`.
pub(crate) fn pools(resources: Value) -> Result<Vec<Pool>, DuplicateName> {
    let mut list = json!({});
    list["resourceList"] = resources;
    let list = ResourceList::from_json(&list).unwrap();
    Pool::all(list, &"linkspan.dev".parse().unwrap())
}

/// A VF for tests of what is done with members; the last one has no driver.
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
        ddp_profile: None,
        net_names: Vec::new(),
        has_rdma: false,
        rdma: Vec::new(),
        p_keys: Vec::new(),
        vdpa: None,
        place: Place::Vf {
            index,
            pf: Parent {
                address: format!("0000:{bus:02x}:00.0").parse().unwrap(),
                name: (bus == 1).then(|| "ens1".parse().unwrap()),
            },
        },
    }
}

/// What a recorded tree has, as these pools ask for it.
fn inventory(tree: &str, pools: &[Pool]) -> Inventory {
    let tree = recorded::tree(tree);
    let sysfs = Sysfs::at(tree.root());
    let (mut inventory, errors) =
        Inventory::read(&sysfs, &mut Seen::default(), Asked::by(pools), &HostLinks::default())
            .unwrap();
    assert!(errors.is_empty(), "{errors:?}");
    // As devlink tells it on such a machine.
    if Asked::by(pools).ddp_profiles {
        inventory.add_profiles(&Inventory::default(), |pf| match pf.to_string().as_str() {
            "0000:17:00.0" => Ok::<_, ()>(Some("ICE OS Default Package".to_owned())),
            "0000:17:00.1" => Ok(Some("ICE COMMS Package".to_owned())),
            _ => Ok(None),
        });
    }
    // All interfaces are the host's, and idle.
    let names: Vec<_> = inventory.devices.iter().flat_map(|device| &device.net_names).collect();
    let link = |name: &&IfName| (name.to_string(), idle());
    inventory.interfaces = names.iter().map(link).collect();
    inventory
}

fn idle() -> Interface {
    Interface { up: true, carrier: true, host_use: None, is_wire: true }
}

/// Which devices of a tree each pool of a configuration gets.
fn divided(tree: &str, resources: Value) -> Vec<Vec<String>> {
    let pools = pools(resources).unwrap();
    ids(&divide(&pools, &inventory(tree, &pools)))
}

fn ids(division: &Division) -> Vec<Vec<String>> {
    let names = |pool: &Vec<Member>| pool.iter().map(|m| m.device.id.to_string()).collect();
    division.members.iter().map(names).collect()
}

#[test]
fn every_key_of_a_selector_must_fit() {
    let [vf0, vf1, vf2, vf3] = ["0000:17:01.0", "0000:17:01.1", "0000:17:01.2", "0000:17:01.3"];
    let [ib0, ib1, ib2] = ["0000:5e:00.2", "0000:5e:00.3", "0000:5e:00.4"];
    let [roce, vhost, virtio] = ["0000:65:00.2", "0000:65:00.3", "0000:65:00.4"];
    let e810 = [
        (json!({}), vec![vf0, vf1, vf2, vf3]),
        (json!({"vendors": ["8086", "15b3"]}), vec![vf0, vf1, vf2, vf3]),
        (json!({"vendors": ["15b3"]}), vec![]),
        (json!({"devices": ["1889"], "vendors": ["8086"]}), vec![vf0, vf1, vf2, vf3]),
        (json!({"drivers": ["iavf"], "pfNames": ["ens1f0"]}), vec![vf0, vf1]),
        (json!({"drivers": ["vfio-pci"]}), vec![vf2]),
        (json!({"pciAddresses": [vf3, "0000:09:00.0"]}), vec![vf3]),
        (json!({"pfNames": ["ens1f0#1-2"]}), vec![vf1, vf2]),
        (json!({"pfNames": ["ens1f1"]}), vec![]),
        (json!({"pfNames": ["ens1f1"], "devices": ["1592"]}), vec!["0000:17:00.1"]),
        (json!({"pciAddresses": ["0000:17:00.1"]}), vec!["0000:17:00.1"]),
        (json!([{"devices": ["1889"]}, {"pfNames": ["ens1f1"]}]), vec![vf0, vf1, vf2, vf3]),
        (json!({"pfNames": ["ens1f1#0-7"]}), vec![]),
        (json!({"rootDevices": ["0000:17:00.0#0"]}), vec![vf0]),
        (json!({"pfNames": ["ens1f0"], "rootDevices": ["0000:17:00.1"]}), vec![]),
        (json!([{"pfNames": ["ens1f0#0"]}, {"rootDevices": ["0000:17:00.0#3"]}]), vec![vf0, vf3]),
        (json!({"acpiIndexes": ["2", "7"]}), vec!["0000:17:00.1"]),
        (json!({"linkTypes": ["infiniband"]}), vec![]),
        (json!({"isRdma": true}), vec![]),
        (json!({"vdpaType": "vhost"}), vec![]),
        (json!({"ddpProfiles": ["ICE OS Default Package", "GTP"]}), vec![vf0, vf1, vf2, vf3]),
        (json!({"ddpProfiles": ["ICE OS Default Package"], "pfNames": ["ens1f0#3"]}), vec![vf3]),
        (json!({"ddpProfiles": ["ICE COMMS Package"], "devices": ["1592"]}), vec!["0000:17:00.1"]),
        (json!({"ddpProfiles": ["ICE OS Default"]}), vec![]),
    ];
    let cx5 = [
        (json!({"linkTypes": ["infiniband"]}), vec![ib0, ib1, ib2]),
        (json!({"linkTypes": ["ether"], "devices": ["1017"]}), vec!["0000:5e:00.1"]),
        (json!({"isRdma": true, "devices": ["1018"]}), vec![ib0, ib1, ib2]),
        (json!({"pKeys": ["0x8002", "0x8003"]}), vec![ib1]),
        (json!({"needVhostNet": true, "pfNames": ["ibs4f0#0"]}), vec![ib0]),
    ];
    let cx6 = [
        (json!({"pfNames": ["enp101s0f0np0"]}), vec![roce, vhost, virtio]),
        (json!({"ddpProfiles": ["ICE OS Default Package"]}), vec![]),
        (json!({"vdpaType": "vhost"}), vec![vhost]),
        (json!({"vdpaType": "virtio"}), vec![virtio]),
        (json!({"isRdma": true, "pfNames": ["enp101s0f0np0#0"]}), vec![roce]),
    ];
    let tables = [("intel_e810", &e810[..]), ("mellanox_cx5", &cx5), ("mellanox_cx6", &cx6)];
    for (tree, table) in tables {
        for (selectors, expected) in table {
            let found = divided(tree, json!([{"resourceName": "a", "selectors": selectors}]));
            assert_eq!(found, [expected.as_slice()], "{tree} {selectors}");
        }
    }
}

#[test]
fn accelerators_and_sub_functions_have_pools_of_their_own() {
    let [first, second] = ["mlx5_core.sf.2", "mlx5_core.sf.3"];
    let table = [
        ("intel_e810", "accelerator", json!({}), vec!["0000:b4:01.0", "0000:b4:01.1"]),
        ("intel_e810", "accelerator", json!({"devices": ["0d5d"], "drivers": ["iavf"]}), vec![]),
        ("mellanox_cx6", "auxNetDevice", json!({"auxTypes": ["sf"]}), vec![first, second]),
        (
            "mellanox_cx6",
            "auxNetDevice",
            json!({"auxTypes": ["sf"], "isRdma": true}),
            vec![first, second],
        ),
        (
            "mellanox_cx6",
            "auxNetDevice",
            json!({"auxTypes": ["sf"], "pfNames": ["enp101s0f0np0#89"]}),
            vec![second],
        ),
        (
            "mellanox_cx6",
            "auxNetDevice",
            json!({"auxTypes": ["sf"], "rootDevices": ["0000:65:00.0#0-88"]}),
            vec![first],
        ),
        (
            "mellanox_cx6",
            "auxNetDevice",
            json!({"auxTypes": ["sf"], "drivers": ["mlx5_core.sf"], "linkTypes": ["ether"]}),
            vec![first, second],
        ),
        ("mellanox_cx6", "auxNetDevice", json!({"auxTypes": ["sf"], "devices": ["101e"]}), vec![]),
        ("intel_x710", "auxNetDevice", json!({"auxTypes": ["sf"]}), vec![]),
    ];
    for (tree, device_type, selectors, expected) in table {
        let resource =
            json!([{"resourceName": "a", "deviceType": device_type, "selectors": selectors}]);
        assert_eq!(divided(tree, resource), [expected], "{tree} {device_type} {selectors}");
    }
}

#[test]
fn a_device_goes_to_the_first_pool_that_selects_it() {
    let found = divided(
        "intel_x710",
        json!([
            {"resourceName": "a", "selectors": {"pciAddresses": ["0000:3b:02.1"]}},
            {"resourceName": "b", "selectors": {"pfNames": ["ens2f0#0-1"]}},
            {"resourceName": "c", "selectors": {"pfNames": ["ens2f0"]}},
            {"resourceName": "d", "selectors": {"vendors": ["8086"]}}
        ]),
    );
    let rest = vec!["0000:3b:0a.0", "0000:3b:0a.1"];
    assert_eq!(found, [vec!["0000:3b:02.1"], vec!["0000:3b:02.0"], vec!["0000:3b:02.2"], rest]);
}

#[test]
fn a_member_needs_what_the_selector_says_that_chose_it() {
    let pools = pools(json!([{"resourceName": "a", "selectors": [
        {"pfNames": ["enp101s0f0np0#0"], "isRdma": true}, {"vdpaType": "vhost"}, {"needVhostNet": true}
    ]}])).unwrap();
    let members = &divide(&pools, &inventory("mellanox_cx6", &pools)).members[0];
    let needs: Vec<Needs> = members.iter().map(|member| member.needs).collect();
    let expected = [
        Needs { rdma: true, ..Needs::default() },
        Needs { vdpa: Some(VdpaType::Vhost), ..Needs::default() },
        Needs { vhost_net: true, ..Needs::default() },
    ];
    assert_eq!(needs, expected);
}

/// A pool of everything, on the tree with two ports, the second of which has no VFs; and what is not offered of it.
fn exclusions(resource: &Value, change: impl Fn(&mut Inventory)) -> (Vec<String>, Vec<String>) {
    let mut resources = json!([{"resourceName": "a", "selectors": {"devices": ["1592", "1889"]}}]);
    for (key, value) in resource.as_object().unwrap() {
        resources[0][key] = value.clone();
    }
    let pools = pools(resources).unwrap();
    let mut inventory = inventory("intel_e810", &pools);
    change(&mut inventory);
    let division = divide(&pools, &inventory);
    let said = division.excluded.iter().map(ToString::to_string).collect();
    (ids(&division).remove(0), said)
}

const DIVIDED: &str = "0000:17:00.0 is not offered: it has 4 VFs or sub-functions";

#[test]
fn what_the_host_uses_is_not_offered_unless_it_is_named() {
    let table = [
        (HostUse::DefaultRoute, "the host's default route goes by it"),
        (HostUse::MemberOf("bond0".to_owned()), "it belongs to bond0"),
        (HostUse::Carries("ens1f1.100".to_owned()), "ens1f1.100 rides on it"),
        (HostUse::Address("192.0.2.7".parse().unwrap()), "it has the host's address 192.0.2.7"),
    ];
    let [nic, vf] = ["0000:17:00.1", "0000:17:01.0"];
    for (host_use, said) in table {
        for (device, interface) in [(nic, "ens1f1"), (vf, "ens1f0v0")] {
            let in_use = |inventory: &mut Inventory| {
                let used = Interface { host_use: Some(host_use.clone()), ..idle() };
                inventory.interfaces.insert(interface, used);
            };
            let (offered, excluded) = exclusions(&json!({}), in_use);
            assert!(!offered.contains(&device.to_owned()) && offered.len() == 4, "{offered:?}");
            let message = format!(
                "{device} is not offered: it is {interface}, and {said}; write {interface} into `allowInUse` if it is to be offered nevertheless"
            );
            assert_eq!(excluded, [DIVIDED.to_owned(), message]);
            let (offered, excluded) = exclusions(&json!({"allowInUse": [interface]}), in_use);
            assert_eq!((offered.len(), excluded), (5, vec![DIVIDED.to_owned()]));
        }
    }
}

#[test]
fn a_nic_that_is_divided_is_not_offered_even_if_it_is_named() {
    let (offered, excluded) = exclusions(&json!({"allowInUse": ["ens1f0"]}), |_| {});
    assert_eq!((offered.len(), excluded), (5, vec![DIVIDED.to_owned()]));
    assert!(!offered.contains(&"0000:17:00.0".to_owned()));
}

#[test]
fn a_nic_whose_use_is_not_known_is_not_offered() {
    let (offered, excluded) =
        exclusions(&json!({}), |inventory| inventory.interfaces = Interfaces::default());
    assert_eq!(offered, ["0000:17:01.0", "0000:17:01.1", "0000:17:01.2", "0000:17:01.3"]);
    let message = "0000:17:00.1 is not offered: its interface ens1f1 is not in this network namespace, so that its use can't be known; run the device plugin in the host's (hostNetwork: true)";
    assert_eq!(excluded, [DIVIDED, message]);
}

#[test]
fn an_excluded_device_goes_to_the_pool_that_names_it() {
    let pools = pools(json!([
        {"resourceName": "a", "selectors": {}},
        {"resourceName": "b", "selectors": {}, "allowInUse": ["ens2f0v1"]}
    ]))
    .unwrap();
    let mut inventory = inventory("intel_x710", &pools);
    let used = Interface { host_use: Some(HostUse::DefaultRoute), ..idle() };
    inventory.interfaces.insert("ens2f0v1", used);
    let division = divide(&pools, &inventory);
    assert_eq!(ids(&division)[1], ["0000:3b:02.1"]);
    // The two PFs.
    assert_eq!(division.excluded.len(), 2);
}

#[test]
fn a_link_of_which_shares_are_offered_is_not_offered_itself() {
    let device = json!({"resourceName": "a", "selectors": {"pciAddresses": ["0000:81:00.1"]}});
    let shares = json!({"resourceName": "b", "kind": "macvtap", "lowerDevice": "ens5f1np1"});
    let alone = divided("broadcom_bcm57414", json!([device]));
    assert_eq!(alone, [["0000:81:00.1"]]);
    let beside = divided("broadcom_bcm57414", json!([device, shares]));
    assert_eq!(beside, [Vec::<String>::new(), vec![]]);
}

#[test]
fn a_link_has_a_pool_of_its_own_unless_it_is_named_and_leaves_its_device_to_others() {
    let named = pools(json!([
        {"resourceName": "a", "selectors": {"pciAddresses": ["0000:81:00.1"]}},
        {"resourceName": "b", "kind": "macvtap", "lowerDevice": "ens7"},
        {"resourceName": "ens8", "kind": "macvlan", "lowerDevice": "ens7"}
    ]))
    .unwrap();
    let links = ["ens9", "lan.1", "ens8", "ens7", "ens5f1np1"].map(|name| name.parse().unwrap());
    let (all, without) = with_any_links(&named, links.to_vec());
    assert_eq!(all[..3], named);
    let added: Vec<_> = all[3..].iter().map(|pool| pool.name.to_string()).collect();
    let prefix = "macvtap.network.kubevirt.io";
    assert_eq!(added, [format!("{prefix}/ens5f1np1"), format!("{prefix}/ens9")]);
    // The links of one pool are called as those of the other would be; the other name is no resource's.
    assert_eq!(without.iter().map(IfName::as_str).collect::<Vec<_>>(), ["ens8", "lan.1"]);
    let division = divide(&all, &inventory("broadcom_bcm57414", &all));
    assert_eq!(ids(&division)[0], ["0000:81:00.1"]);
}

#[test]
fn a_pf_that_is_to_get_vfs_is_not_offered_before() {
    let pf_names = json!({"selectors": {"pfNames": ["ens1f1"]}});
    let message = "0000:17:00.1 is not offered: it has no VFs, for which the selectors may be meant; write its address into `pciAddresses`, or its number into `devices`, if it is to be offered itself";
    assert_eq!(exclusions(&pf_names, |_| {}), (vec![], vec![message.to_owned()]));
    let named = json!({"selectors": {"pfNames": ["ens1f1"]}, "allowInUse": ["ens1f1"]});
    assert_eq!(exclusions(&named, |_| {}).0, ["0000:17:00.1"]);
    let provision = json!({"selectors": {"pfNames": ["ens1f1"]}, "provision": {"numVfs": 8}});
    assert_eq!(exclusions(&provision, |_| {}), (vec![], vec![]));
}

#[test]
fn a_virtio_nic_by_which_the_node_lives_is_found() {
    let pools = pools(json!([{"resourceName": "a", "selectors": {"vendors": ["1af4"]}}])).unwrap();
    let mut inventory = inventory("intel_82576", &pools);
    assert_eq!(ids(&divide(&pools, &inventory)), [["0000:00:03.0"]]);
    let used = Interface { host_use: Some(HostUse::DefaultRoute), ..idle() };
    inventory.interfaces.insert("eth0", used);
    assert_eq!(ids(&divide(&pools, &inventory)), [Vec::<String>::new()]);
}

#[test]
fn a_device_is_healthy_while_its_driver_and_its_carrier_are_there() {
    let [nic, pf] = ["ens1f1", "ens1f0"];
    let dark = Interface { carrier: false, ..idle() };
    let down = Interface { up: false, ..dark.clone() };
    let no_driver = "0000:17:01.3: it is bound to no driver".to_owned();
    let no_carrier = |id: &str, name: &str| format!("{id}: {name} has no carrier");
    let vfs =
        ["0000:17:01.0", "0000:17:01.1", "0000:17:01.2"].map(|id| no_carrier(id, pf)).to_vec();
    let vfs = [vfs, vec![no_driver.clone()]].concat();
    let table = [
        (json!({}), nic, idle(), vec![no_driver.clone()]),
        (json!({}), nic, dark.clone(), vec![no_carrier("0000:17:00.1", nic), no_driver.clone()]),
        // Most NICs are down until a pod has them.
        (json!({}), nic, down.clone(), vec![no_driver.clone()]),
        (json!({}), pf, dark.clone(), vfs.clone()),
        (json!({}), pf, down, vfs),
        (json!({"health": {"carrier": false}}), pf, dark, vec![no_driver]),
        (
            json!({"selectors": {"pfNames": [pf]}, "provision": {"driver": "vfio-pci", "bind": "perPod"}}),
            pf,
            idle(),
            vec![],
        ),
    ];
    for (resource, name, interface, expected) in table {
        let mut resources =
            json!([{"resourceName": "a", "selectors": {"devices": ["1592", "1889"]}}]);
        for (key, value) in resource.as_object().unwrap() {
            resources[0][key] = value.clone();
        }
        let pools = pools(resources).unwrap();
        let mut inventory = inventory("intel_e810", &pools);
        inventory.interfaces.insert(name, interface.clone());
        let members = divide(&pools, &inventory).members.remove(0);
        let unhealthy: Vec<String> = members
            .iter()
            .filter_map(|member| match &member.health {
                Health::Healthy => None,
                Health::Unhealthy(reason) => Some(format!("{}: {reason}", member.device.id)),
            })
            .collect();
        assert_eq!(unhealthy, expected, "{resource} {name} {interface:?}");
    }
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
