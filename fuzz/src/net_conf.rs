//! The configuration of a network, as each verb and each name that we are called by reads it.

use std::ffi::OsString;

use linkspan_cni::spec::{AddResult, Call, CniArgs, Version};
use linkspan_config::NetworkName;
use linkspan_config::net_conf::{
    IpamCall, IpamConf, IpamName, KindName, NetConf, RuntimeInputs, StatusConf, TeardownConf,
    wanted_resource, with_device,
};
use serde_json::{Map, Value};

use crate::refused::refused;
use crate::sound;

/// Reads the input as a runtime's standard input. Its key `CNI_ARGS`, which no configuration has, is the
/// variable of that name.
pub fn net_conf(input: &[u8]) {
    let mut config = serde_json::from_slice::<Map<String, Value>>(input).unwrap_or_default();
    let args = match config.remove("CNI_ARGS") {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let inputs = match CniArgs::parse(&args) {
        Ok(args) => args.runtime_inputs(),
        Err(error) => {
            refused(error);
            RuntimeInputs::default()
        }
    };
    call(input, &args);
    for called_as in std::iter::once(None).chain(KindName::ALL.map(Some)) {
        network(&config, &inputs, called_as);
    }
    for called_as in [IpamName::HostLocal, IpamName::Static, IpamName::Dhcp] {
        ipam(&config, &inputs, called_as);
    }
    result(config.get("prevResult").unwrap_or(&Value::Object(config.clone())));
}

/// Reads the call of each verb.
fn call(stdin: &[u8], args: &str) {
    let read = |verb: &str| {
        let env = |name: &str| {
            Some(OsString::from(match name {
                "CNI_COMMAND" => verb,
                "CNI_CONTAINERID" => "pod",
                "CNI_NETNS" => "/run/netns/pod",
                "CNI_IFNAME" => "net1",
                "CNI_PATH" => "/opt/cni/bin",
                "CNI_ARGS" => args,
                _ => return None,
            }))
        };
        Call::read(env, stdin)
    };
    let verbs = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"];
    let [added, deleted, ..] = verbs.map(|verb| match read(verb) {
        Ok(call) => Some(call),
        Err(error) => {
            refused(error);
            None
        }
    });
    assert!(deleted.is_some() || added.is_none(), "DEL can't read what ADD has taken");
}

/// Reads a configuration as a main plugin.
fn network(config: &Map<String, Value>, inputs: &RuntimeInputs, called_as: Option<KindName>) {
    let teardown = TeardownConf::parse(config, called_as);
    let name = config.get("name").and_then(Value::as_str);
    if name.is_some_and(|name| name.parse::<NetworkName>().is_ok()) {
        assert!(teardown.is_ok(), "DEL needs no more than a name: {teardown:?}");
    }
    let status = StatusConf::parse(config, called_as);
    if let Err(error) = &status {
        refused(error.clone());
    }
    if let Some(whole) = with_its_device(config) {
        let added = NetConf::parse(&whole, &RuntimeInputs::default(), called_as);
        assert!(status.is_ok() || added.is_err(), "STATUS refuses what ADD takes: {status:?}");
    }
    match NetConf::parse(config, inputs, called_as) {
        Err(error) => refused(error),
        Ok(conf) => {
            sound::network(&conf);
            undone_by(&conf, &teardown.expect("DEL reads what ADD has taken"));
            if let Some(other) = in_capitals(config) {
                assert_eq!(NetConf::parse(&other, inputs, called_as), Ok(conf));
            }
        }
    }
}

/// The configuration as ADD parses it, where a device is found for the resource that it names.
fn with_its_device(config: &Map<String, Value>) -> Option<Map<String, Value>> {
    match wanted_resource(config) {
        Ok(None) => Some(config.clone()),
        Ok(Some(_)) => Some(with_device(config, "0000:3b:02.1")),
        Err(error) => {
            refused(error);
            None
        }
    }
}

/// Sees that DEL looks for what ADD makes where ADD has made it.
fn undone_by(conf: &NetConf, teardown: &TeardownConf) {
    assert_eq!((&teardown.name, teardown.kind), (&conf.name, Some(conf.kind.name())));
    let (folder, socket, plugin, is_static) = match &conf.ipam {
        IpamConf::None => (None, None, None, false),
        IpamConf::HostLocal(conf) => (Some(&conf.data_dir), None, None, false),
        IpamConf::Static(_) => (None, None, None, true),
        IpamConf::Dhcp(conf) => (None, Some(&conf.socket), None, false),
        IpamConf::Delegate(plugin) => (None, None, Some(plugin), false),
    };
    assert_eq!(teardown.host_local_data_dir.as_ref(), folder);
    assert_eq!(teardown.dhcp_socket.as_ref(), socket);
    assert_eq!((teardown.ipam_delegate.as_ref(), teardown.is_static), (plugin, is_static));
}

/// Reads a configuration as the IPAM plugin of another main plugin.
fn ipam(config: &Map<String, Value>, inputs: &RuntimeInputs, called_as: IpamName) {
    if let Err(error) = IpamCall::parse_for_status(config, called_as) {
        let added = IpamCall::parse(config, &RuntimeInputs::default(), called_as);
        assert!(added.is_err(), "STATUS refuses what ADD takes: {error:?}");
        refused(error);
    }
    let call = match IpamCall::parse(config, inputs, called_as) {
        Ok(call) => call,
        Err(error) => return refused(error),
    };
    let teardown = TeardownConf::parse_ipam_call(config, called_as);
    let teardown = teardown.expect("DEL reads what ADD has taken");
    assert_eq!(teardown.name, call.name);
    match &call.ipam {
        IpamConf::HostLocal(conf) => {
            assert_eq!(teardown.host_local_data_dir.as_ref(), Some(&conf.data_dir));
        }
        IpamConf::Static(_) => assert!(teardown.is_static),
        IpamConf::Dhcp(conf) => assert_eq!(teardown.dhcp_socket.as_ref(), Some(&conf.socket)),
        IpamConf::None | IpamConf::Delegate(_) => panic!("{called_as} gives no addresses"),
    }
    sound::ipam(&call.ipam);
}

/// The same configuration with every key in capitals, which means the same, as to the field's Go programs; none
/// where two keys would become one. `prevResult` is handed on as it is.
fn in_capitals(config: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut other = Map::new();
    for (key, value) in config {
        let value = match value {
            Value::Object(map) if !key.eq_ignore_ascii_case("prevResult") => {
                Value::Object(in_capitals(map)?)
            }
            _ => value.clone(),
        };
        if other.insert(key.to_ascii_uppercase(), value).is_some() {
            return None;
        }
    }
    Some(other)
}

/// Reads a result, writes it in every version, and reads that again.
fn result(value: &Value) {
    if let Err(error) = AddResult::parse_prev(value) {
        return refused(error);
    }
    let result = AddResult::parse(value).expect("it was read a moment ago");
    for version in Version::ALL {
        let written = result.to_json(version);
        let again = AddResult::parse(&written).expect("what is written can be read");
        assert_eq!(again.to_json(version), written);
        assert!(version < Version::NEWEST || again == result, "{again:?} was {result:?}");
    }
    let ipam = AddResult::parse_ipam(value).expect("an IPAM plugin may return what others do");
    assert!(ipam.interfaces.is_empty());
    let chain = AddResult::of_chain(Some(result.clone()), result);
    assert_eq!(AddResult::parse(&chain.to_json(Version::NEWEST)).ok(), Some(chain));
}
