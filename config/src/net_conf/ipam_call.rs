//! What matters where we are called as the IPAM plugin of another main plugin.

use std::fmt;
use std::str::FromStr;

use linkspan_types::ParseError;
use serde_json::{Map, Value};

use super::dhcp::DhcpConf;
use super::host_local::HostLocalConf;
use super::ipam::IpamConf;
use super::parse_name;
use super::runtime::RuntimeInputs;
use super::sources::Sources;
use super::statics::StaticConf;
use super::status::ranges_come_later;
use crate::fields::Fields;
use crate::names::parse_error;
use crate::{Invalid, NetworkName};

/// The names of IPAM plugins under which we may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IpamName {
    /// `host-local`.
    HostLocal,
    /// `static`.
    Static,
    /// `dhcp`.
    Dhcp,
}

/// What one call under the name of an IPAM plugin is to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpamCall {
    /// The network.
    pub name: NetworkName,
    /// The addresses; never [`IpamConf::Delegate`], and [`IpamConf::None`] only for STATUS.
    pub ipam: IpamConf,
}

impl IpamCall {
    /// Checks the network's name and the section `ipam`. The rest, `type` too, is the other plugin's.
    pub fn parse(
        config: &Map<String, Value>,
        inputs: &RuntimeInputs,
        called_as: IpamName,
    ) -> Result<Self, Invalid> {
        let sources = Sources::new(config, inputs)?;
        let root = &sources.root;
        let name = parse_name(root)?;
        let Some(section) = root.object("ipam")? else {
            return Err(root.invalid("ipam", "an object"));
        };
        let ipam = match called_as {
            IpamName::HostLocal => {
                IpamConf::HostLocal(HostLocalConf::parse(section, root, &sources.runtime, inputs)?)
            }
            IpamName::Static => {
                let section = Fields::unchecked(section, "ipam");
                IpamConf::Static(StaticConf::parse(&section, &sources)?)
            }
            IpamName::Dhcp => {
                let dhcp = DhcpConf::parse(&Fields::unchecked(section, "ipam"), root)?;
                dhcp.check_ipam_call(root)?;
                IpamConf::Dhcp(dhcp)
            }
        };
        Ok(Self { name, ipam })
    }

    /// The same for STATUS, where host-local's ranges may come with each ADD.
    pub fn parse_for_status(
        config: &Map<String, Value>,
        called_as: IpamName,
    ) -> Result<Self, Invalid> {
        let root = Fields::unchecked(config, "");
        if called_as == IpamName::HostLocal && ranges_come_later(&root)? {
            return Ok(Self { name: parse_name(&root)?, ipam: IpamConf::None });
        }
        Self::parse(config, &RuntimeInputs::default(), called_as)
    }
}

impl FromStr for IpamName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let named = |name: &Self| name.to_string() == text;
        let found = [Self::HostLocal, Self::Static, Self::Dhcp].into_iter().find(named);
        found.ok_or_else(|| parse_error(text, "\"host-local\", \"static\" or \"dhcp\""))
    }
}

impl fmt::Display for IpamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HostLocal => "host-local",
            Self::Static => "static",
            Self::Dhcp => "dhcp",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::map;
    use super::*;
    use serde_json::json;

    fn call(config: Value, name: &str) -> Result<IpamConf, String> {
        let call = IpamCall::parse(&map(config), &RuntimeInputs::default(), name.parse().unwrap());
        call.map(|call| call.ipam).map_err(|error| error.to_string())
    }

    #[test]
    fn the_rest_of_the_configuration_is_the_other_plugins() {
        let others = json!({
            "name": "net", "type": "bridge", "mode": 7, "kind": 8, "masters": [], "resourceName": 1,
            "ipam": {"type": "host-local", "subnet": "10.1.2.0/24"},
            "runtimeConfig": {"ips": ["10.1.2.3"]},
        });
        let Ok(IpamConf::HostLocal(conf)) = call(others, "host-local") else { panic!("refused") };
        assert_eq!(conf.sets[0].requested, "10.1.2.3".parse().ok());
        let others = json!({
            "name": "net", "type": "ptp", "ipam": {"type": "static", "addresses": [{"address": "10.1.2.3/24"}]},
        });
        let Ok(IpamConf::Static(conf)) = call(others, "static") else { panic!("refused") };
        assert_eq!(conf.addresses.len(), 1);
    }

    #[test]
    fn the_name_called_by_wins_over_the_type() {
        let config =
            json!({"name": "net", "type": "x", "ipam": {"type": "y", "subnet": "10.1.2.0/24"}});
        assert!(matches!(call(config, "host-local"), Ok(IpamConf::HostLocal(_))));
    }

    #[test]
    fn ranges_may_come_with_the_pod() {
        let status = |config, name: &str| {
            let call = IpamCall::parse_for_status(&map(config), name.parse().unwrap());
            call.map(|call| call.ipam).map_err(|error| error.to_string())
        };
        for ipam in [json!({"type": "host-local"}), json!({"type": "y"}), json!({"type": 1})] {
            let later = json!({"name": "net", "ipam": ipam, "capabilities": {"ipRanges": true}});
            assert_eq!(status(later.clone(), "host-local"), Ok(IpamConf::None), "{later}");
            assert!(call(later, "host-local").is_err(), "ADD needs them");
        }
        assert!(
            status(json!({"name": "net", "ipam": {"type": "host-local"}}), "host-local").is_err()
        );
        let now = json!({"name": "net", "ipam": {"type": "host-local", "subnet": "10.1.2.0/24"}});
        assert!(matches!(status(now, "host-local"), Ok(IpamConf::HostLocal(_))));
    }

    #[test]
    fn what_is_refused() {
        for name in ["host-local", "static", "dhcp"] {
            assert_eq!(
                call(json!({"name": "net"}), name),
                Err("`ipam` is nothing, expected an object".to_owned())
            );
            let nameless = call(json!({"ipam": {}}), name).unwrap_err();
            assert!(
                nameless.starts_with("`name` is nothing, expected a network name"),
                "{nameless}"
            );
        }
        assert!("whereabouts".parse::<IpamName>().is_err());
    }
}
