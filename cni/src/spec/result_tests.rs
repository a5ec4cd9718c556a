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
fn what_is_empty_is_left_out() {
    let empty = AddResult::default();
    assert_eq!(empty.to_json(Version::V1_1_0), json!({"cniVersion": "1.1.0"}));
    let from_go = json!({
        "cniVersion": "1.0.0", "interfaces": null, "ips": null, "routes": null, "dns": {},
    });
    assert_eq!(AddResult::parse(&from_go).unwrap(), empty);
}

#[test]
fn go_writes_what_was_never_set_as_empty() {
    let from_go = json!({
        "interfaces": [{"name": "eth0", "mac": "", "sandbox": "", "unknown": 1}],
        "ips": [{"version": "4", "address": "10.1.2.3/24", "gateway": ""}],
    });
    let result = AddResult::parse(&from_go).unwrap();
    assert_eq!((result.interfaces[0].mac, &result.interfaces[0].sandbox), (None, &None));
    assert_eq!(result.ips[0].gateway, None);
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

proptest! {
    #[test]
    fn what_1_1_0_writes_is_read_back(result in any_result()) {
        let json = result.to_json(Version::V1_1_0);
        prop_assert_eq!(AddResult::parse(&json).unwrap(), result);
    }

    #[test]
    fn what_any_version_writes_is_written_again(result in any_result()) {
        for version in Version::ALL {
            let json = result.to_json(version);
            prop_assert_eq!(AddResult::parse(&json).unwrap().to_json(version), json);
        }
    }
}
