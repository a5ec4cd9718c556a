//! The exact shape of a result in each version, and that what is written is read back.

use super::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::json;

fn full() -> AddResult {
    AddResult {
        interfaces: vec![Interface {
            name: "net1".to_owned(),
            mac: "02:00:00:00:00:01".parse().ok(),
            mtu: Some(1500),
            sandbox: Some("/run/netns/x".to_owned()),
            socket_path: Some("/run/s".to_owned()),
            pci_id: Some("0000:3b:02.1".to_owned()),
        }],
        ips: vec![
            IpConfig {
                address: "10.1.2.3/24".parse().unwrap(),
                gateway: "10.1.2.1".parse().ok(),
                interface: Some(0),
            },
            IpConfig { address: "fd00::3/64".parse().unwrap(), gateway: None, interface: None },
        ],
        routes: vec![Route {
            dst: "0.0.0.0/0".parse().unwrap(),
            gw: "10.1.2.1".parse().ok(),
            mtu: Some(1400),
            advmss: Some(1340),
            priority: Some(50),
            table: Some(100),
            scope: Some(0),
        }],
        dns: Dns { nameservers: vec!["10.1.2.1".to_owned()], ..Dns::default() },
    }
}

#[test]
fn shape_of_0_3_0_to_0_4_0() {
    for version in [Version::V0_3_0, Version::V0_3_1, Version::V0_4_0] {
        let shape = json!({
            "cniVersion": version.as_str(),
            "interfaces": [
                {"name": "net1", "mac": "02:00:00:00:00:01", "sandbox": "/run/netns/x"},
            ],
            "ips": [
                {"version": "4", "address": "10.1.2.3/24", "gateway": "10.1.2.1", "interface": 0},
                {"version": "6", "address": "fd00::3/64"},
            ],
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.2.1"}],
            "dns": {"nameservers": ["10.1.2.1"]},
        });
        assert_eq!(full().to_json(version), shape);
    }
}

#[test]
fn shape_of_1_0_0() {
    let shape = json!({
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "net1", "mac": "02:00:00:00:00:01", "sandbox": "/run/netns/x"}],
        "ips": [
            {"address": "10.1.2.3/24", "gateway": "10.1.2.1", "interface": 0},
            {"address": "fd00::3/64"},
        ],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.2.1"}],
        "dns": {"nameservers": ["10.1.2.1"]},
    });
    assert_eq!(full().to_json(Version::V1_0_0), shape);
}

#[test]
fn shape_of_1_1_0() {
    let shape = json!({
        "cniVersion": "1.1.0",
        "interfaces": [{
            "name": "net1", "mac": "02:00:00:00:00:01", "mtu": 1500, "sandbox": "/run/netns/x",
            "socketPath": "/run/s", "pciID": "0000:3b:02.1",
        }],
        "ips": [
            {"address": "10.1.2.3/24", "gateway": "10.1.2.1", "interface": 0},
            {"address": "fd00::3/64"},
        ],
        "routes": [{
            "dst": "0.0.0.0/0", "gw": "10.1.2.1", "mtu": 1400, "advmss": 1340, "priority": 50,
            "table": 100, "scope": 0,
        }],
        "dns": {"nameservers": ["10.1.2.1"]},
    });
    assert_eq!(full().to_json(Version::V1_1_0), shape);
}

#[test]
fn an_ipam_plugin_hands_on_whole_routes_in_any_version() {
    let ipam = AddResult { interfaces: vec![], ..full() };
    for version in Version::ALL {
        let whole = ipam.to_json(Version::V1_1_0)["routes"].clone();
        let json = ipam.to_ipam_json(version);
        assert_eq!(json["routes"], whole, "{version}");
        let rest = |mut json: Value| json.as_object_mut().unwrap().remove("routes").map(|_| json);
        assert_eq!(rest(json), rest(ipam.to_json(version)));
    }
}

#[test]
fn what_is_empty_is_left_out() {
    let empty = AddResult::default();
    assert_eq!(empty.to_json(Version::V1_1_0), json!({"cniVersion": "1.1.0"}));
    let from_go = json!({
        "cniVersion": "1.0.0", "interfaces": null, "ips": null, "routes": null, "dns": {},
    });
    assert_eq!(AddResult::parse(&from_go).unwrap(), empty);
}

#[test]
fn what_was_never_set_may_be_null_or_empty() {
    let from_go = json!({
        "cniVersion": "",
        "interfaces": [{"name": "eth0", "mac": "", "mtu": null, "sandbox": "", "unknown": 1}],
        "ips": [{"version": "4", "address": "10.1.2.3/24", "gateway": "", "interface": null}],
        "routes": [{"dst": "0.0.0.0/0", "gw": null, "priority": null}],
        "dns": {"nameservers": null, "domain": "", "search": [], "options": null},
    });
    let plain = json!({
        "interfaces": [{"name": "eth0"}],
        "ips": [{"address": "10.1.2.3/24"}],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    assert_eq!(AddResult::parse(&from_go).unwrap(), AddResult::parse(&plain).unwrap());
    let nothing = json!({"interfaces": null, "ips": null, "routes": null, "dns": null});
    assert_eq!(AddResult::parse(&nothing).unwrap(), AddResult::default());
}

#[test]
fn an_ipam_plugin_knows_of_no_interfaces() {
    let mut ipam = full();
    ipam.interfaces.clear();
    ipam.ips[0].interface = None;
    assert_eq!(AddResult::parse_ipam(&full().to_json(Version::V1_1_0)).unwrap(), ipam);
    // An index into nothing is no reason to refuse the address.
    let indexed = json!({"ips": [{"address": "10.1.2.3/24", "interface": 0}]});
    assert!(AddResult::parse(&indexed).is_err());
    assert_eq!(AddResult::parse_ipam(&indexed).unwrap().ips.len(), 1);
}

#[test]
fn what_a_chain_has_made_comes_first() {
    let interface = |name: &str| Interface { name: name.to_owned(), ..Interface::default() };
    let ip = |text: &str, interface| IpConfig {
        address: text.parse().unwrap(),
        gateway: None,
        interface,
    };
    let dns = |server: &str| Dns { nameservers: vec![server.to_owned()], ..Dns::default() };
    let prev = AddResult {
        interfaces: vec![interface("cni0"), interface("eth0")],
        ips: vec![ip("10.1.2.3/24", Some(1))],
        routes: full().routes,
        dns: dns("10.1.2.1"),
    };
    let own = AddResult {
        interfaces: vec![interface("net1")],
        ips: vec![ip("10.2.2.3/24", Some(0)), ip("10.3.2.3/24", None)],
        routes: vec![],
        dns: Dns::default(),
    };
    let all = AddResult::of_chain(Some(prev.clone()), own.clone());
    let names: Vec<&str> = all.interfaces.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["cni0", "eth0", "net1"]);
    let indices: Vec<_> = all.ips.iter().map(|ip| ip.interface).collect();
    assert_eq!(indices, [Some(1), Some(2), None]);
    assert_eq!((&all.routes, &all.dns), (&prev.routes, &prev.dns), "as no other DNS is set");

    let own = AddResult { dns: dns("10.2.2.1"), ..own };
    assert_eq!(AddResult::of_chain(Some(prev), own.clone()).dns, own.dns);
    assert_eq!(AddResult::of_chain(None, own.clone()), own);
}

#[test]
fn what_is_refused() {
    let chain = |value: Value| {
        let error = AddResult::parse(&value).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        (error.to_string(), source.unwrap_or_default())
    };
    let shape = |source: &str| ("it is no result of the CNI spec".to_owned(), source.to_owned());
    assert_eq!(
        chain(json!({"cniVersion": "0.2.0", "ip4": {}})).0,
        "`cniVersion` is \"0.2.0\", expected one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"
    );
    assert_eq!(
        chain(json!({"ips": [{"address": "10.1.2.3/24", "interface": 0}]})).0,
        "ips[0].interface is 0, expected one of the 0 interfaces"
    );
    assert_eq!(
        chain(json!({"interfaces": [{"mac": "x"}]})),
        shape("\"x\" is not a MAC address such as 02:00:00:00:00:01")
    );
    assert_eq!(chain(json!({"ips": [{}]})), shape("missing field `address`"));
    assert_eq!(chain(json!([1])).0, "it is no result of the CNI spec");
}

#[test]
fn a_prev_result_that_is_refused_is_named() {
    let refused = |value: Value| CniError::from(AddResult::parse_prev(&value).unwrap_err());
    let old = refused(json!({"cniVersion": "0.2.0", "ip4": {"ip": "10.1.2.3/24"}}));
    assert_eq!(old.code, Code::IncompatibleVersion);
    assert_eq!(
        old.msg,
        "`prevResult` is not what a plugin returns: `cniVersion` is \"0.2.0\", expected one of 0.3.0, \
         0.3.1, 0.4.0, 1.0.0, 1.1.0"
    );
    let wrong = refused(json!({"ips": [{"address": "10.1.2.3/24", "interface": 1}]}));
    assert_eq!(wrong.code, Code::Decode);
    assert!(wrong.msg.ends_with("ips[0].interface is 1, expected one of the 0 interfaces"));
}

fn any_net() -> impl Strategy<Value = IpNet> {
    (any::<IpAddr>(), 0u8..=128).prop_map(|(address, len)| {
        let max = if address.is_ipv4() { 32 } else { 128 };
        IpNet::new(address, len.min(max)).unwrap()
    })
}

fn text() -> impl Strategy<Value = String> {
    "[a-z0-9/.:]{1,12}"
}

fn any_interface() -> impl Strategy<Value = Interface> {
    let parts = (
        "[a-z0-9]{0,15}",
        option::of(any::<[u8; 6]>().prop_map(MacAddr)),
        any::<Option<u32>>(),
        option::of(text()),
        option::of(text()),
        option::of(text()),
    );
    parts.prop_map(|(name, mac, mtu, sandbox, socket_path, pci_id)| Interface {
        name,
        mac,
        mtu,
        sandbox,
        socket_path,
        pci_id,
    })
}

fn any_route() -> impl Strategy<Value = Route> {
    let numbers = any::<[Option<u32>; 4]>();
    (any_net(), any::<Option<IpAddr>>(), numbers, any::<Option<u8>>()).prop_map(
        |(dst, gw, [mtu, advmss, priority, table], scope)| Route {
            dst,
            gw,
            mtu,
            advmss,
            priority,
            table,
            scope,
        },
    )
}

fn any_result() -> impl Strategy<Value = AddResult> {
    let ip = (any_net(), any::<Option<IpAddr>>(), any::<Option<usize>>());
    let dns = (vec(text(), 0..3), option::of(text()), vec(text(), 0..3), vec(text(), 0..3));
    let parts = (vec(any_interface(), 0..3), vec(ip, 0..3), vec(any_route(), 0..3), dns);
    parts.prop_map(|(interfaces, ips, routes, (nameservers, domain, search, options))| {
        let count = interfaces.len();
        let ips = ips.into_iter().map(|(address, gateway, interface)| {
            let interface = interface.filter(|_| count > 0).map(|i| i % count);
            IpConfig { address, gateway, interface }
        });
        let ips = ips.collect();
        AddResult { interfaces, ips, routes, dns: Dns { nameservers, domain, search, options } }
    })
}

/// JSON as a hostile plugin may write it: keys of a result with anything behind them.
fn any_json() -> impl Strategy<Value = Value> {
    let key = proptest::sample::select(vec![
        "cniVersion",
        "interfaces",
        "ips",
        "routes",
        "dns",
        "name",
        "mac",
        "mtu",
        "sandbox",
        "address",
        "gateway",
        "interface",
        "dst",
        "gw",
        "scope",
        "nameservers",
        "other",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        proptest::sample::select(vec!["", "1.1.0", "10.1.2.3/24", "10.1.2.1", "x"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        let object = proptest::collection::hash_map(
            key.clone().prop_map(str::to_owned),
            inner.clone(),
            0..6,
        );
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_it_panic(json in any_json()) {
        let _ = AddResult::parse_ipam(&json);
        if let Ok(result) = AddResult::parse(&json) {
            prop_assert!(result.ips.iter().all(|ip| ip.interface.is_none_or(|i| i < result.interfaces.len())));
        }
    }

    #[test]
    fn what_1_1_0_writes_is_read_back(result in any_result()) {
        let json = result.to_json(Version::V1_1_0);
        prop_assert_eq!(AddResult::parse(&json).unwrap(), result);
    }

    #[test]
    fn a_version_carries_all_that_it_has_a_place_for(result in any_result()) {
        for version in Version::ALL.into_iter().filter(|version| *version < Version::V1_1_0) {
            let mut carried = result.clone();
            for interface in &mut carried.interfaces {
                (interface.mtu, interface.socket_path, interface.pci_id) = (None, None, None);
            }
            for route in &mut carried.routes {
                let Route { dst, gw, .. } = *route;
                let (mtu, advmss, priority, table, scope) = (None, None, None, None, None);
                *route = Route { dst, gw, mtu, advmss, priority, table, scope };
            }
            prop_assert_eq!(AddResult::parse(&result.to_json(version)).unwrap(), carried);
        }
    }

    #[test]
    fn in_a_chain_each_address_keeps_its_interface(prev in any_result(), own in any_result()) {
        let of = |result: &AddResult| -> Vec<_> {
            let interface = |ip: &IpConfig| ip.interface.map(|i| result.interfaces[i].clone());
            result.ips.iter().map(|ip| (ip.address, interface(ip))).collect()
        };
        let all = AddResult::of_chain(Some(prev.clone()), own.clone());
        prop_assert_eq!(of(&all), [of(&prev), of(&own)].concat());
        prop_assert_eq!(all.interfaces, [prev.interfaces, own.interfaces].concat());
        prop_assert_eq!(all.routes, [prev.routes, own.routes].concat());
    }

    #[test]
    fn what_any_version_writes_is_written_again(result in any_result()) {
        for version in Version::ALL {
            let json = result.to_json(version);
            prop_assert_eq!(AddResult::parse(&json).unwrap().to_json(version), json);
        }
    }
}
