#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::time::Duration;

use linkspan_types::{LinkType, MacvlanMode, Mtu, VdpaType};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::schema::agreement;

fn one(resource: Value) -> Result<Resource, Invalid> {
    let mut root = json!({});
    root["resourceList"] = Value::Array(vec![resource]);
    let list = ResourceList::from_json(&root);
    agreement::check("resource-list.json", &root, list.as_ref().err());
    Ok(list?.resources.into_iter().next().unwrap())
}

/// The message and the advice of a resource that is refused.
fn refused(resource: Value) -> (String, String) {
    let error = one(resource).unwrap_err();
    (error.to_string(), error.advice.unwrap_or_default())
}

#[test]
fn the_peers_configuration_is_read_unchanged() {
    let resource = one(json!({
        "resourceName": "intel_sriov-netdevice",
        "resourcePrefix": "intel.com",
        "deviceType": "netDevice",
        "excludeTopology": true,
        "additionalInfo": {"*": {"token": "a"}, "0000:3B:02.1": {"token": "b"}},
        "selectors": [
            {"vendors": ["8086", "15B3"], "devices": ["154c"], "drivers": ["iavf"], "isRdma": false},
            {"pciAddresses": ["0000:3b:02.1"], "pfNames": ["ens1f0#0,2-7"], "linkTypes": []},
            {"rootDevices": ["0000:86:00.0", "0000:86:00.1#1"]}
        ]
    }))
    .unwrap();
    assert_eq!(resource.name, "intel_sriov-netdevice");
    assert_eq!(resource.prefix, "intel.com".parse().ok());
    assert!(resource.exclude_topology);
    assert_eq!(resource.additional_info["0000:3b:02.1"]["token"], "b");
    let [by_id, by_name, by_root] = &resource.selectors[..] else { panic!("{resource:?}") };
    assert_eq!(by_id.vendors, [0x8086, 0x15b3]);
    assert_eq!((&by_id.devices[..], &by_id.drivers[..]), (&[0x154c][..], &["iavf".to_owned()][..]));
    assert_eq!(by_name.pci_addresses, ["0000:3b:02.1".parse().unwrap()]);
    assert_eq!(by_name.pf_names[0].indices, Indices::In(vec![0..=0, 2..=7]));
    assert_eq!(by_root.root_devices[0].indices, Indices::All);
}

#[test]
fn one_object_is_a_list_of_one_and_keys_match_in_any_case() {
    let resource =
        one(json!({"ResourceName": "fast", "Selectors": {"PfNames": ["ens1"]}})).unwrap();
    assert_eq!(resource.selectors.len(), 1);
    assert_eq!(resource.selectors[0].pf_names.len(), 1);
    let all = one(json!({"resourceName": "all", "selectors": {}, "resourcePrefix": null})).unwrap();
    assert_eq!((all.selectors, all.prefix), (vec![Selector::default()], None));
}

#[test]
fn a_wrong_value_is_refused_with_its_place() {
    const RANGE: &str =
        "the name of a PF's interface, alone or with rising ranges of VFs: \"ens1f0#0,2-7\"";
    let table = [
        (json!({"vendors": ["0x8086"]}), r#"vendors[0]` is "0x8086", expected four hexadecimal digits such as "8086""#.to_owned()),
        (json!({"devices": "154c"}), r#"devices` is "154c", expected a list, each entry four hexadecimal digits such as "154c""#.to_owned()),
        (json!({"drivers": ["iavf", 7]}), r#"drivers[1]` is 7, expected the name of a driver such as "iavf""#.to_owned()),
        (json!({"pciAddresses": ["3b:02.1"]}), r#"pciAddresses[0]` is "3b:02.1", expected a PCI address such as "0000:3b:02.1""#.to_owned()),
        (json!({"pfNames": ["ens1", "ens2#7-2"]}), format!(r#"pfNames[1]` is "ens2#7-2", expected {RANGE}"#)),
        (json!({"pfNames": ["ens1#"]}), format!(r#"pfNames[0]` is "ens1#", expected {RANGE}"#)),
    ];
    for (selector, message) in table {
        let (found, _) = refused(json!({"resourceName": "fast", "selectors": selector}));
        assert_eq!(found, format!("`resourceList[0].selectors.{message}"));
    }
}

#[test]
fn names_that_the_kubelet_would_refuse_are_refused() {
    for name in [
        json!(""),
        json!("a b"),
        json!("a/b"),
        json!("-a"),
        json!("a_"),
        json!("a".repeat(64)),
        json!(1),
    ] {
        let (message, _) = refused(json!({"resourceName": name, "selectors": {}}));
        assert!(message.starts_with("`resourceList[0].resourceName` is "), "{message}");
    }
    let (message, _) = refused(json!({"selectors": {}}));
    assert!(
        message.starts_with("`resourceList[0].resourceName` is nothing, expected a name"),
        "{message}"
    );
    for prefix in ["Intel.com", "intel..com", ".com", "intel_com", "a/b"] {
        let (message, _) =
            refused(json!({"resourceName": "a", "resourcePrefix": prefix, "selectors": {}}));
        assert_eq!(
            message,
            format!(
                "`resourceList[0].resourcePrefix` is {prefix:?}, expected a DNS name in lower case such as example.com"
            )
        );
    }
}

#[test]
fn every_selector_of_the_peer_is_read() {
    let resource = one(json!({"resourceName": "a", "selectors": {
        "acpiIndexes": ["101"], "linkTypes": ["ether", "infiniband"],
        "ddpProfiles": ["ICE OS Default Package", "GTP"], "pKeys": ["0x8001"], "isRdma": true, "needVhostNet": true
    }}));
    let expected = Selector {
        acpi_indexes: vec![101],
        link_types: vec![LinkType::Ether, LinkType::Infiniband],
        ddp_profiles: vec!["ICE OS Default Package".to_owned(), "GTP".to_owned()],
        p_keys: vec!["0x8001".parse().unwrap()],
        is_rdma: true,
        need_vhost_net: true,
        ..Selector::default()
    };
    assert_eq!(resource.unwrap().selectors, [expected]);
    let vdpa =
        one(json!({"resourceName": "a", "selectors": {"vdpaType": "vhost", "isRdma": false}}));
    assert_eq!(vdpa.unwrap().selectors[0].vdpa, Some(VdpaType::Vhost));
}

#[test]
fn a_selector_belongs_to_its_device_types() {
    let table = [
        ("accelerator", "pfNames", json!(["ens1"]), "netDevice and auxNetDevice"),
        ("accelerator", "isRdma", json!(true), "netDevice and auxNetDevice"),
        ("auxNetDevice", "pciAddresses", json!(["0000:3b:02.1"]), "netDevice and accelerator"),
        ("auxNetDevice", "vdpaType", json!("vhost"), "netDevice"),
        ("netDevice", "auxTypes", json!(["sf"]), "auxNetDevice"),
    ];
    for (device_type, key, value, types) in table {
        let resource =
            json!({"resourceName": "a", "deviceType": device_type, "selectors": [{key: value}]});
        let message = format!(
            "`resourceList[0].selectors[0].{key}` is {value}, expected no such key where `deviceType` is {device_type}"
        );
        assert_eq!(
            refused(resource),
            (message, format!("Remove `{key}`, or write it for {types} only"))
        );
    }
    let silent = json!({"pfNames": [], "isRdma": false, "vdpaType": "", "vendors": ["8086"]});
    let resource =
        one(json!({"resourceName": "a", "deviceType": "accelerator", "selectors": silent}));
    assert_eq!(resource.unwrap().device_type, DeviceType::Accelerator);
    let aux = json!({"auxTypes": ["sf"], "pfNames": ["ens1#0-7"]});
    let resource =
        one(json!({"resourceName": "a", "deviceType": "auxNetDevice", "selectors": aux}));
    assert_eq!(resource.unwrap().device_type, DeviceType::AuxNetDevice);
}

#[test]
fn what_no_peer_has_is_read_and_has_defaults() {
    let plain = one(json!({"resourceName": "a", "selectors": {}})).unwrap();
    assert_eq!(
        (plain.health, plain.allocation),
        (HealthPolicy::default(), AllocationPolicy::Packed)
    );
    assert_eq!((plain.allow_in_use, plain.provision, plain.shares), (vec![], None, None));
    let all = one(json!({
        "resourceName": "a",
        "selectors": {"pfNames": ["ens1"]},
        "health": {"carrier": false, "dampingSeconds": 0},
        "preferredAllocation": {"nearRoot": "pci0000:3a"},
        "allowInUse": ["ens1"],
        "provision": {"numVfs": 8, "mtu": 9000, "driver": "vfio-pci", "bind": "perPod", "trust": "on", "spoofchk": "off"}
    }))
    .unwrap();
    assert_eq!(all.health, HealthPolicy { carrier: false, damping: Duration::ZERO });
    assert_eq!(all.allocation, AllocationPolicy::NearRoot("pci0000:3a".parse().unwrap()));
    assert_eq!(all.allow_in_use, ["ens1".parse().unwrap()]);
    let provision = Provision {
        num_vfs: Some(8),
        mtu: Mtu::try_from(9000).ok(),
        driver: Some(VfDriver::VfioPci(Bind::PerPod)),
        trust: Some(true),
        spoof_check: Some(false),
    };
    assert_eq!(all.provision, Some(provision));
}

#[test]
fn two_resources_can_not_want_one_pf_to_be_two_things() {
    let list = |first: Value, second: Value| {
        let resource = |name: &str, (key, pf): (&str, &str), provision: &Value| {
            let mut resource = json!({"resourceName": name, "selectors": {}});
            resource["selectors"][key] = json!([pf]);
            resource["provision"] = provision.clone();
            resource
        };
        let (name, address) = (("pfNames", "ens1"), ("rootDevices", "0000:3b:00.0"));
        let all = |other: (&str, &str)| {
            json!({"resourceList": [
                resource("a", name, &first), resource("b", other, &second)
            ]})
        };
        let refused = |other| ResourceList::from_json(&all(other)).err().map(|e| e.to_string());
        // Which interface has an address is not known here.
        assert_eq!(refused(address), None);
        assert_eq!(refused(("pfNames", "ens2#1-2")), None);
        refused(("pfNames", "ens1#1-2"))
    };
    assert_eq!(list(json!({"numVfs": 4}), json!({"numVfs": 4, "mtu": 9000})), None);
    assert_eq!(list(json!({"driver": "kernel"}), json!({"driver": "vfio-pci"})), None);
    let expected = "`resourceList[1].provision.numVfs` is 5, expected 4 as in the resource a, which names the PF ens1 \
                    too";
    assert_eq!(list(json!({"numVfs": 4}), json!({"numVfs": 5})).as_deref(), Some(expected));
    let expected = "`resourceList[1].provision.mtu` is 1500, expected 9000 as in the resource a, which names the PF \
                    ens1 too";
    assert_eq!(list(json!({"mtu": 9000}), json!({"mtu": 1500})).as_deref(), Some(expected));
}

#[test]
fn shares_stand_in_place_of_devices() {
    let shares =
        one(json!({"resourceName": "a", "kind": "macvtap", "lowerDevice": "ens1", "capacity": 50}));
    let expected = Shares {
        kind: SharesKind::Macvtap,
        lower_device: "ens1".parse().unwrap(),
        mode: MacvlanMode::Bridge,
        capacity: 50,
    };
    assert_eq!(shares.unwrap().shares, Some(expected));
    let capacity = |mode| {
        let resource =
            json!({"resourceName": "a", "kind": "macvlan", "lowerDevice": "ens1", "mode": mode});
        one(resource).unwrap().shares.unwrap().capacity
    };
    assert_eq!((capacity("vepa"), capacity("passthru")), (100, 1));
}

#[test]
fn the_environment_of_macvtap_cni_is_read_unchanged() {
    let text = r#"[{"name": "dataplane", "lowerDevice": "eth0", "mode": "vepa", "capacity": 50},
                   {"name": "other", "lowerDevice": "bond0", "capacity": 0}]"#;
    let resources = Resource::of_macvtap_cni(text).unwrap();
    agreement::check("macvtap-pools.json", &serde_json::from_str(text).unwrap(), None);
    let found: Vec<_> = resources
        .iter()
        .map(|resource| {
            let (prefix, shares) =
                (resource.prefix.as_ref().unwrap(), resource.shares.as_ref().unwrap());
            (format!("{prefix}/{}", resource.name), shares.mode, shares.capacity)
        })
        .collect();
    let expected = [("dataplane", MacvlanMode::Vepa, 50), ("other", MacvlanMode::Bridge, 100)];
    let prefix = "macvtap.network.kubevirt.io";
    let expected = expected.map(|(name, mode, count)| (format!("{prefix}/{name}"), mode, count));
    assert_eq!(found, expected);
    let ids: Vec<_> = resources[0].shares.as_ref().unwrap().ids("dataplane").collect();
    assert_eq!((ids.len(), &*ids[49]), (50, "dataplaneMvp49"));

    let wrong = [
        (
            "nonsense",
            "`DP_MACVTAP_CONF` is \"nonsense\", expected a list of objects with `name` and `lowerDevice`",
        ),
        ("{}", "`DP_MACVTAP_CONF` is {}, expected a list of objects with `name` and `lowerDevice`"),
        (
            r#"[{"name": "a"}]"#,
            "`DP_MACVTAP_CONF[0].lowerDevice` is nothing, expected the name of a host link",
        ),
        (
            r#"[{"lowerDevice": "eth0"}]"#,
            "`DP_MACVTAP_CONF[0].name` is nothing, expected a name of letters, digits, '-' and '_'",
        ),
    ];
    for (text, message) in wrong {
        let error = Resource::of_macvtap_cni(text).unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        agreement::check("macvtap-pools.json", &value, Some(&error));
    }
}

#[test]
fn without_a_list_macvtap_cni_has_a_resource_for_each_link() {
    assert_eq!(Resource::of_macvtap_cni("[]"), Ok(Vec::new()));
    let of_link = |link: &str| Resource::of_link(&link.parse().unwrap());
    let same = r#"[{"name": "bond0", "lowerDevice": "bond0"}]"#;
    assert_eq!(of_link("bond0"), Resource::of_macvtap_cni(same).unwrap().pop());
    // The kubelet would not have it.
    assert_eq!(of_link("lan.1"), None);
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    let (message, advice) =
        refused(json!({"resourceName": "fast", "selectors": {"pfName": ["ens1"]}}));
    assert_eq!(message, r#"`resourceList[0].selectors.pfName` is ["ens1"], expected no such key"#);
    assert_eq!(advice, "Write `pfNames` if that is what `pfName` means");
    let (_, advice) = refused(json!({"resourceName": "fast", "colour": "red", "selectors": {}}));
    assert!(advice.starts_with("The keys known here are resourceName, "), "{advice}");
}

#[test]
fn a_hostile_key_is_shown_in_part() {
    let key = "ä".repeat(100_000);
    let (message, _) = refused(json!({"resourceName": "fast", "selectors": {}, &key: 1}));
    let shown = &key[..128 - "resourceList[0].".len()];
    assert_eq!(message, format!("`resourceList[0].{shown}…` is 1, expected no such key"));
}

#[test]
fn a_missing_part_is_an_error_and_not_a_crash() {
    let (message, advice) = refused(json!({"resourceName": "fast"}));
    assert_eq!(
        message,
        "`resourceList[0].selectors` is nothing, expected an object of selectors, or a list of such objects"
    );
    assert_eq!(advice, "Write `\"selectors\": {}` if all devices of that type are meant");
    let empty = ResourceList::from_json(&json!({"resourceList": []})).unwrap_err();
    assert_eq!(empty.to_string(), "`resourceList` is [], expected at least one resource");
    assert!(ResourceList::from_json(&json!([])).is_err());
}

#[test]
fn a_file_that_is_not_json_is_named_with_line_and_column() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"{\"resourceList\": [\n  {\"resourceName\": }\n]}").unwrap();
    let error = ResourceList::read(file.path()).unwrap_err();
    assert_eq!(error.to_string(), format!("{} is not JSON", file.path().display()));
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "expected value at line 2 column 20");
    let missing = ResourceList::read(Path::new("/nonexistent/config.json")).unwrap_err();
    assert_eq!(missing.to_string(), "cannot read /nonexistent/config.json");
}

/// JSON that is nearly a configuration: known keys with any values.
fn nearly() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        Just(json!("8086")),
        Just(json!("ens1#0-3"))
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let keys = ["resourceList", "selectors", "additionalInfo"];
        let selectors =
            ["pfNames", "pKeys", "vdpaType", "isRdma", "auxTypes", "numVfs", "bind", "nearRoot"];
        let all: Vec<&str> =
            [&keys[..], &COMMON_KEYS, &DEVICE_KEYS, &SHARES_KEYS, &selectors].concat();
        let object =
            proptest::collection::btree_map(proptest::sample::select(all), inner.clone(), 0..5);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_it_panic(resource in nearly()) {
        let _ = ResourceList::from_json(&resource);
        let _ = one(resource);
    }
}
