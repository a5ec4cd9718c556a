//! What a whole configuration is read as, and what is refused in it.

use super::*;
use serde_json::json;

fn map(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

/// A good configuration with these keys besides.
fn with(keys: Value) -> Map<String, Value> {
    let mut conf = map(json!({
        "cniVersion": "1.1.0", "name": "fast", "type": "sriov", "deviceID": "0000:3b:02.1",
    }));
    conf.extend(map(keys));
    conf
}

fn parse(keys: Value) -> Result<NetConf, Invalid> {
    NetConf::parse(&with(keys), &RuntimeInputs::default(), None)
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
    assert_eq!(conf.log_level, LogLevel::Debug);
    assert_eq!(conf.prev_result, Some(json!({"cniVersion": "1.1.0"})));
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
            json!({"ipam": {"subnet": "10.1.2.0/24"}}),
            "`ipam.type` is nothing, expected the name of an IPAM plugin, such as \"host-local\"",
        ),
        (json!({"ipam": []}), "`ipam` is [], expected an object"),
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
fn teardown_needs_no_more_than_a_name() {
    let data_dir = |keys| TeardownConf::parse(&with(keys), None).unwrap().host_local_data_dir;
    let host_local = json!({"vlan": 9999, "ipam": {"type": "host-local", "dataDir": "/x"}});
    assert_eq!(data_dir(host_local), Some(PathBuf::from("/x")));
    let default = json!({"type": "?", "ipam": {"type": "host-local", "subnet": "nonsense"}});
    assert_eq!(data_dir(default), Some(PathBuf::from(DEFAULT_DATA_DIR)));
    for ipam in [json!({}), json!([]), json!({"type": "dhcp"}), json!({"type": 3})] {
        assert_eq!(data_dir(json!({"ipam": ipam})), None);
    }
    let relative = json!({"ipam": {"type": "host-local", "dataDir": "x"}});
    assert_eq!(data_dir(relative), None);
    assert!(TeardownConf::parse(&Map::new(), None).is_err());
}
