//! The configuration of one network, as a runtime hands it to the plugin on standard input.

mod child;
mod host_local;
mod ipam;
mod range;
mod route;
mod runtime;
mod sriov;

use std::path::PathBuf;
use std::str::FromStr;

use serde_json::{Map, Value};

pub use child::{
    IpvlanConf, MacChoice, MacvlanConf, MacvlanSharing, MacvtapConf, MacvtapSource, ParentConf,
    ParentLink,
};
pub use host_local::{DEFAULT_DATA_DIR, HostLocalConf, RangeSet};
pub use ipam::IpamConf;
pub use range::AddressRange;
pub use route::{Dns, Route};
pub use runtime::{RequestedIp, RuntimeInputs};
pub use sriov::SriovConf;

use crate::fields::Fields;
use crate::{Invalid, NetworkName};

/// What one call is to make of a network, all of it checked.
#[derive(Clone, Debug, PartialEq)]
pub struct NetConf {
    /// The network.
    pub name: NetworkName,
    /// What is attached, and how.
    pub kind: KindConf,
    /// Who gives the addresses.
    pub ipam: IpamConf,
    /// The DNS that the network itself sets, empty where it says nothing.
    pub dns: Dns,
    /// The result of the plugin before this one, not yet read.
    pub prev_result: Option<Value>,
    /// Where Multus wants a description of the device (device-info-spec 1.1.0).
    pub device_info_file: Option<PathBuf>,
    /// The least severe message to log.
    pub log_level: LogLevel,
    /// Where to log; standard error where it is not set.
    pub log_file: Option<PathBuf>,
}

/// What each kind needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KindConf {
    /// A virtual function, moved into the pod.
    Sriov(SriovConf),
    /// A macvlan child of a host link.
    Macvlan(MacvlanConf),
    /// An ipvlan child of a host link.
    Ipvlan(IpvlanConf),
    /// A macvtap child of a host link, for a virtual machine.
    Macvtap(MacvtapConf),
}

/// How much is logged; each level includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What ends the program.
    Panic,
    /// What fails the call.
    Error,
    /// What may fail a later one.
    Warning,
    /// What was done.
    #[default]
    Info,
    /// How it was done.
    Debug,
}

/// The keys that mean something in any network. Those of a list stay in a configuration that
/// Multus makes of a single plugin.
const COMMON_KEYS: &[&str] = &[
    "cniVersion",
    "cniVersions",
    "name",
    "type",
    "kind",
    "plugins",
    "disableCheck",
    "disableGC",
    "loadOnlyInlinedPlugins",
    "capabilities",
    "args",
    "runtimeConfig",
    "prevResult",
    "ipam",
    "ipMasq",
    "dns",
    "logLevel",
    "logFile",
];

impl NetConf {
    /// Checks a whole configuration for ADD. The first thing that is wrong is the error.
    pub fn parse(config: &Map<String, Value>, inputs: &RuntimeInputs) -> Result<Self, Invalid> {
        let unchecked = Fields::unchecked(config, "");
        let name = parse_name(&unchecked)?;
        check_kind(&unchecked)?;
        let fields = Fields::new(config, "", &[COMMON_KEYS, sriov::KEYS].concat())?;
        let empty = Map::new();
        let runtime = fields.object("runtimeConfig")?.unwrap_or(&empty);
        let runtime = Fields::unchecked(runtime, "runtimeConfig");
        Ok(Self {
            name,
            kind: KindConf::Sriov(SriovConf::parse(&fields, &runtime, inputs)?),
            ipam: IpamConf::parse(&fields, &runtime, inputs)?,
            dns: Dns::parse(fields.object("dns")?)?,
            prev_result: fields.get("prevResult").cloned(),
            device_info_file: runtime.absolute_path("CNIDeviceInfoFile")?,
            log_level: parse_log_level(&fields)?,
            log_file: fields.absolute_path("logFile")?,
        })
    }
}

/// What DEL and GC need of a configuration. Where ADD refused the rest of it, the pod must still be
/// deletable, so only a missing name is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeardownConf {
    /// The network.
    pub name: NetworkName,
    /// Where host-local's reservations of the network are, if it is host-local that gave addresses.
    pub host_local_data_dir: Option<PathBuf>,
}

impl TeardownConf {
    /// Reads the name, and the `ipam` section as far as it makes sense: what ADD would have refused
    /// there can't have given an address.
    pub fn parse(config: &Map<String, Value>) -> Result<Self, Invalid> {
        let fields = Fields::unchecked(config, "");
        let host_local = match ipam::ipam_type(&fields) {
            Ok(Some("host-local")) => fields.object("ipam")?,
            _ => None,
        };
        let host_local_data_dir =
            host_local.and_then(|ipam| host_local::data_dir(&Fields::unchecked(ipam, "ipam")).ok());
        Ok(Self { name: parse_name(&fields)?, host_local_data_dir })
    }
}

fn parse_name(fields: &Fields<'_>) -> Result<NetworkName, Invalid> {
    fields
        .parsed("name", NetworkName::EXPECTED)?
        .ok_or_else(|| fields.invalid("name", NetworkName::EXPECTED))
}

fn check_kind(fields: &Fields<'_>) -> Result<(), Invalid> {
    const EXPECTED: &str = "\"sriov\" or \"linkspan\"";
    let kind = fields.text("kind", "\"sriov\"")?;
    match (fields.text("type", EXPECTED)?, kind) {
        (Some("sriov"), None | Some("sriov")) | (Some("linkspan"), Some("sriov")) => Ok(()),
        (Some("sriov" | "linkspan"), _) => Err(fields.invalid("kind", "\"sriov\"")),
        _ => Err(fields.invalid("type", EXPECTED)),
    }
}

fn parse_log_level(fields: &Fields<'_>) -> Result<LogLevel, Invalid> {
    const EXPECTED: &str = "a log level: panic, error, warning, info or debug";
    match fields.text("logLevel", EXPECTED)? {
        None => Ok(LogLevel::default()),
        Some(text) => text.parse().map_err(|()| fields.invalid("logLevel", EXPECTED)),
    }
}

impl FromStr for LogLevel {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
            "panic" => Ok(Self::Panic),
            "error" => Ok(Self::Error),
            "warning" => Ok(Self::Warning),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
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
        NetConf::parse(&with(keys), &RuntimeInputs::default())
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
    fn the_type_or_the_kind_says_sriov() {
        assert!(parse(json!({"kind": "sriov"})).is_ok());
        assert!(parse(json!({"type": "linkspan", "kind": "sriov"})).is_ok());
        let table = [
            (json!({"type": "linkspan"}), "`kind` is nothing, expected \"sriov\""),
            (json!({"kind": "macvlan"}), "`kind` is \"macvlan\", expected \"sriov\""),
            (json!({"type": ""}), "`type` is \"\", expected \"sriov\" or \"linkspan\""),
            (json!({"type": "bridge"}), "`type` is \"bridge\", expected \"sriov\" or \"linkspan\""),
        ];
        for (keys, message) in table {
            assert_eq!(parse(keys).unwrap_err().to_string(), message);
        }
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
                json!({"ipam": {"type": "dhcp"}}),
                "`ipam.type` is \"dhcp\", expected \"host-local\"; no other is supported yet",
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
        let data_dir = |keys| TeardownConf::parse(&with(keys)).unwrap().host_local_data_dir;
        let host_local = json!({"vlan": 9999, "ipam": {"type": "host-local", "dataDir": "/x"}});
        assert_eq!(data_dir(host_local), Some(PathBuf::from("/x")));
        let default = json!({"type": "?", "ipam": {"type": "host-local", "subnet": "nonsense"}});
        assert_eq!(data_dir(default), Some(PathBuf::from(DEFAULT_DATA_DIR)));
        for ipam in [json!({}), json!([]), json!({"type": "dhcp"}), json!({"type": 3})] {
            assert_eq!(data_dir(json!({"ipam": ipam})), None);
        }
        let relative = json!({"ipam": {"type": "host-local", "dataDir": "x"}});
        assert_eq!(data_dir(relative), None);
        assert!(TeardownConf::parse(&Map::new()).is_err());
    }
}
