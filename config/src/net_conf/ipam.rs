//! The `ipam` section: who gives an attachment its addresses.

use super::dhcp::DhcpConf;
use super::host_local::HostLocalConf;
use super::sources::Sources;
use super::statics::StaticConf;
use crate::fields::{Fields, says_nothing};
use crate::{Invalid, PluginName};

/// Who gives an attachment its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IpamConf {
    /// Nobody: the attachment has a link and no address.
    None,
    /// Files on this node, as the reference plugin host-local keeps them.
    HostLocal(HostLocalConf),
    /// The configuration and the runtime.
    Static(StaticConf),
    /// A DHCP server, asked by the daemon.
    Dhcp(DhcpConf),
    /// Another plugin, which reads the section itself.
    Delegate(PluginName),
}

impl IpamConf {
    pub(super) fn parse(sources: &Sources<'_>) -> Result<Self, Invalid> {
        let Sources { root, runtime, inputs, .. } = sources;
        let Some(section) = root.object("ipam")? else { return Ok(Self::None) };
        let ipam = Fields::unchecked(section, "ipam");
        match ipam_type(root)? {
            Some("host-local") => {
                HostLocalConf::parse(section, root, runtime, inputs).map(Self::HostLocal)
            }
            Some("static") => StaticConf::parse(&ipam, sources).map(Self::Static),
            Some("dhcp") => DhcpConf::parse(&ipam, root).map(Self::Dhcp),
            Some(name) => {
                let plugin = name.parse().map_err(|_| ipam.invalid("type", PluginName::EXPECTED));
                plugin.map(Self::Delegate)
            }
            None if section.values().all(says_nothing) => Ok(Self::None),
            None => Err(ipam
                .invalid("type", "the name of an IPAM plugin, such as \"host-local\"")
                .advise("Set `ipam.type`, or leave `ipam` out for a link without addresses")),
        }
    }
}

/// The type of the section; none where the attachment is to have no address.
pub(super) fn ipam_type<'a>(root: &Fields<'a>) -> Result<Option<&'a str>, Invalid> {
    root.inside("ipam")?.text("type", "the name of an IPAM plugin")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{parse_with, refused};
    use super::*;
    use crate::net_conf::RuntimeInputs;
    use serde_json::{Value, json};

    fn ipam(section: &Value) -> IpamConf {
        parse_with(json!({"type": "macvlan", "ipam": section}), &RuntimeInputs::default())
            .unwrap()
            .ipam
    }

    #[test]
    fn the_type_says_who_gives_the_addresses() {
        for nothing in
            [json!(null), json!({}), json!({"type": ""}), json!({"type": null, "routes": []})]
        {
            assert_eq!(ipam(&nothing), IpamConf::None);
        }
        let host_local = json!({"type": "host-local", "subnet": "10.1.2.0/24"});
        assert!(matches!(ipam(&host_local), IpamConf::HostLocal(_)));
        assert_eq!(ipam(&json!({"type": "static"})), IpamConf::Static(StaticConf::default()));
        let other = ipam(&json!({"type": "whereabouts", "rangs": "its own matter"}));
        assert_eq!(other, IpamConf::Delegate("whereabouts".parse().unwrap()));
        assert!(matches!(ipam(&json!({"type": "dhcp"})), IpamConf::Dhcp(_)));
    }

    #[test]
    fn what_is_refused() {
        const NAME: &str = "Set `ipam.type`, or leave `ipam` out for a link without addresses";
        refused(
            &json!({"type": "macvlan"}),
            [
                (json!({"ipam": []}), "`ipam` is [], expected an object", ""),
                (
                    json!({"ipam": {"subnet": "10.1.2.0/24"}}),
                    "`ipam.type` is nothing, expected the name of an IPAM plugin, such as \"host-local\"",
                    NAME,
                ),
                (
                    json!({"ipam": {"type": 1}}),
                    "`ipam.type` is 1, expected the name of an IPAM plugin",
                    "",
                ),
                (
                    json!({"ipam": {"type": "../bin/sh"}}),
                    "`ipam.type` is \"../bin/sh\", expected the name of a plugin, without '/'",
                    "",
                ),
                (
                    json!({"ipam": {"type": ".."}}),
                    "`ipam.type` is \"..\", expected the name of a plugin, without '/'",
                    "",
                ),
            ],
        );
    }
}
