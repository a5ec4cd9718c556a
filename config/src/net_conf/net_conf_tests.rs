//! What a whole configuration is read as, and what is refused in it.

use super::testing::map;
use super::*;
use crate::schema::agreement;
use proptest::prelude::*;
use serde_json::json;

/// A good configuration with these keys besides.
fn with(keys: Value) -> Map<String, Value> {
    let mut conf = map(json!({
        "cniVersion": "1.1.0", "name": "fast", "type": "sriov", "deviceID": "0000:3b:02.1",
    }));
    conf.extend(map(keys));
    conf
}

fn parse(keys: Value) -> Result<NetConf, Invalid> {
    let config = with(keys);
    let parsed = NetConf::parse(&config, &RuntimeInputs::default(), None);
    agreement::check("network.json", &Value::Object(config), parsed.as_ref().err());
    parsed
}

#[test]
fn what_multus_passes_is_taken() {
    let conf = parse(json!({
        "pciBusID": "0000:3b:02.1", "capabilities": {"mac": true, "deviceID": true},
        "runtimeConfig": {"mac": "02:00:00:00:00:01", "CNIDeviceInfoFile": "/run/x"},
        "cniVersions": ["1.0.0"], "cni.dev/attachments": [], "something": {"else": 1},
        "prevResult": {"cniVersion": "1.1.0"}, "ipam": {}, "dns": {"search": ["a.b"]},
        "logLevel": "Debug", "logFile": "/var/log/linkspan.log",
    }))
    .unwrap();
    assert_eq!(conf.name.as_str(), "fast");
    assert_eq!(conf.ipam, IpamConf::None);
    assert_eq!(conf.dns.search, ["a.b"]);
    assert_eq!(conf.device_info_file, Some(PathBuf::from("/run/x")));
    assert_eq!(conf.log.level(), linkspan_log::Level::Debug);
    assert_eq!(conf.log.file, Some(PathBuf::from("/var/log/linkspan.log")));
    assert_eq!(conf.prev_result, Some(json!({"cniVersion": "1.1.0"})));
    assert!(conf.is_chained());
    assert_eq!(conf.kind.name(), KindName::Sriov);
    let KindConf::Sriov(sriov) = conf.kind else { panic!("another kind") };
    assert_eq!(sriov.mac.unwrap().to_string(), "02:00:00:00:00:01");
}

#[test]
fn what_is_refused() {
    let table = [
        (
            json!({"name": "../x"}),
            "`name` is \"../x\", expected a network name: letters, digits, '_', '.' and '-', the first a letter or a digit",
        ),
        (
            json!({"name": null}),
            "`name` is nothing, expected a network name: letters, digits, '_', '.' and '-', the first a letter or a digit",
        ),
        (
            json!({"logLevel": "loud"}),
            "`logLevel` is \"loud\", expected a log level: panic, error, warning, info or debug",
        ),
        (
            json!({"logFile": "linkspan.log"}),
            "`logFile` is \"linkspan.log\", expected an absolute path without \"..\"",
        ),
        (
            json!({"runtimeConfig": {"CNIDeviceInfoFile": "../x"}}),
            "`runtimeConfig.CNIDeviceInfoFile` is \"../x\", expected an absolute path without \"..\"",
        ),
        (json!({"runtimeConfig": []}), "`runtimeConfig` is [], expected an object"),
        (json!({"dns": []}), "`dns` is [], expected an object"),
        (json!({"dns": {"domain": 1}}), "`dns.domain` is 1, expected a domain in quotes"),
        (json!({"linkState": "auto"}), "`linkState` is \"auto\", expected a key that is known"),
    ];
    for (keys, message) in table {
        assert_eq!(parse(keys).unwrap_err().to_string(), message);
    }
    let error = parse(json!({"linkState": "auto"})).unwrap_err();
    assert_eq!(error.advice.unwrap(), "Write `link_state` if that is what `linkState` means");
}

#[test]
fn a_hostile_value_is_shown_in_part() {
    let error = parse(json!({"name": "/".repeat(100_000)})).unwrap_err();
    assert!(error.to_string().len() < 300);
}

#[test]
fn the_name_called_by_decides_where_the_type_is_another() {
    let config = with(json!({"type": "macvlan"}));
    for kind in KindName::ALL {
        let conf = NetConf::parse(&config, &RuntimeInputs::default(), Some(kind)).unwrap();
        assert_eq!(conf.kind.name(), kind);
        assert!(!conf.is_chained());
    }
}

/// JSON that is nearly a configuration: known keys with any values, many of them good ones.
fn nearly() -> impl Strategy<Value = Value> {
    let good = [
        "macvlan",
        "ipvlan",
        "macvtap",
        "sriov",
        "linkspan",
        "source",
        "host-local",
        "static",
        "dhcp",
        "eth0",
        "0000:3b:02.1",
        "02:00:00:00:00:01",
        "10.1.2.3/24",
        "10.1.2.0/24",
        "fd00::/127",
        "ip",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..300).prop_map(Value::from),
        ".*".prop_map(Value::from),
        proptest::sample::select(good.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        let inside = [
            "cni",
            "ips",
            "ranges",
            "subnet",
            "rangeStart",
            "rangeEnd",
            "gateway",
            "addresses",
            "address",
            "routes",
            "dst",
            "gw",
            "dataDir",
            "ipRanges",
            "id",
            "minID",
            "maxID",
            "interfaces",
            "provide",
            "request",
            "option",
            "value",
            "fromArg",
            "userClass",
            "prefetch",
        ];
        let all = [&keys::all()[..], &inside].concat();
        let object =
            proptest::collection::btree_map(proptest::sample::select(all), inner.clone(), 0..6);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_it_panic(keys in nearly(), ipam in nearly(), trunk in nearly()) {
        let inputs = RuntimeInputs::default();
        let mut config = map(json!({"name": "n", "ipam": ipam, "trunk": [trunk]}));
        config.extend(keys.as_object().cloned().unwrap_or_default());
        for called_as in [None, Some(KindName::Sriov), Some(KindName::Macvtap), Some(KindName::Ipvlan)] {
            let _ = NetConf::parse(&config, &inputs, called_as);
            let _ = StatusConf::parse(&config, called_as);
            let _ = TeardownConf::parse(&config, called_as);
        }
        let _ = IpamCall::parse(&config, &inputs, IpamName::HostLocal);
        let _ = IpamCall::parse(&config, &inputs, IpamName::Static);
        let _ = IpamCall::parse(&config, &inputs, IpamName::Dhcp);
        let _ = wanted_resource(&config);
    }
}
