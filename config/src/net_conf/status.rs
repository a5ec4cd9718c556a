//! What STATUS needs of a configuration: whether ADD can work, before there is a pod.

use serde_json::{Map, Value};

use super::ipam::{IpamConf, ipam_type};
use super::kind_name::{Chosen, KindName};
use super::macvtap::MacvtapSource;
use super::parent::ParentConf;
use super::resource::{wanted_resource, with_device};
use super::runtime::RuntimeInputs;
use super::{KindConf, NetConf};
use crate::fields::{Fields, remove};
use crate::{Invalid, NetworkName, ResourceName};

/// What ADD will need of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusConf {
    /// The network.
    pub name: NetworkName,
    /// What is attached.
    pub kind: KindName,
    /// What a child will ride on; none where that is a device that only ADD is told, for a device of a
    /// macvtap pool, and for kind `sriov`.
    pub parent: Option<ParentConf>,
    /// Where the device will come from, if it is ADD that is to ask for it.
    pub resource: Option<ResourceName>,
    /// Who gives the addresses; [`IpamConf::None`] too where only the runtime says which ones.
    pub ipam: IpamConf,
}

/// Stands for the device that ADD will be told: a domain that no machine has.
const ANY_DEVICE: &str = "ffffffff:ff:1f.7";

impl StatusConf {
    /// Checks all that ADD would check, as far as it is known without a pod.
    pub fn parse(
        config: &Map<String, Value>,
        called_as: Option<KindName>,
    ) -> Result<Self, Invalid> {
        let root = Fields::unchecked(config, "");
        let kind = Chosen::of(&root, called_as)?.kind;
        let resource = wanted_resource(config)?;
        let told_later =
            resource.is_some() || (kind == KindName::Sriov && !root.is_set("deviceID"));
        let mut whole = if told_later { with_device(config, ANY_DEVICE) } else { config.clone() };
        // Where it may be the runtime alone that names addresses, there is no MAC of them yet.
        match ipam_type(&root)? {
            Some("static") => remove(&mut whole, "macFrom"),
            Some("host-local") if ranges_come_later(&root)? => {
                remove(&mut whole, "macFrom");
                remove(&mut whole, "ipam");
            }
            _ => {}
        }
        let conf = NetConf::parse(&whole, &RuntimeInputs::default(), called_as)?;
        let parent = match conf.kind {
            KindConf::Sriov(_) => None,
            KindConf::Macvlan(conf) => Some(conf.parent),
            KindConf::Ipvlan(conf) => Some(conf.parent),
            KindConf::Macvtap(conf) => match conf.source {
                MacvtapSource::Parent { parent, .. } => Some(parent),
                MacvtapSource::Pool { .. } => None,
            },
        };
        Ok(Self {
            name: conf.name,
            kind,
            parent: parent.filter(|_| !told_later),
            resource,
            ipam: conf.ipam,
        })
    }
}

/// Whether host-local, where it is that which gives addresses, gets its ranges with each ADD, in
/// `runtimeConfig.ipRanges`.
pub(super) fn ranges_come_later(root: &Fields<'_>) -> Result<bool, Invalid> {
    let ipam = root.inside("ipam")?;
    // The key is the runtime's to read: whatever else stands there, ADD does not look at it.
    let may_come = root.inside("capabilities").is_ok_and(|all| all.is_set("ipRanges"));
    Ok(may_come && !ipam.is_set("ranges") && !ipam.is_set("subnet"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::map;
    use super::*;
    use crate::net_conf::ParentLink;
    use serde_json::json;

    fn status(keys: Value) -> Result<StatusConf, String> {
        let mut config = map(json!({"name": "net", "type": "linkspan"}));
        config.extend(map(keys));
        StatusConf::parse(&config, None).map_err(|error| error.to_string())
    }

    #[test]
    fn a_parent_is_known_unless_it_comes_with_the_pod() {
        let named = Some(ParentLink::Named("eth0".parse().unwrap()));
        let device = Some(ParentLink::Device("0000:3b:02.1".parse().unwrap()));
        let table = [
            (json!({"kind": "macvlan", "parent": "eth0"}), named.clone()),
            (json!({"kind": "macvtap", "parent": "eth0"}), named),
            (json!({"kind": "ipvlan"}), Some(ParentLink::DefaultRoute)),
            (json!({"kind": "ipvlan", "deviceID": "0000:3b:02.1"}), device),
            (json!({"kind": "macvlan", "resourceName": "linkspan.dev/fast"}), None),
            (json!({"kind": "macvtap", "resourceName": "linkspan.dev/fast", "mode": "vepa"}), None),
            (json!({"kind": "macvtap", "deviceID": "a-1"}), None),
            (json!({"kind": "sriov"}), None),
            (json!({"kind": "sriov", "deviceID": "0000:3b:02.1"}), None),
        ];
        for (keys, link) in table {
            let conf = status(keys.clone()).unwrap();
            assert_eq!(conf.parent.map(|parent| parent.link), link, "{keys}");
            assert_eq!(conf.kind.to_string(), keys["kind"]);
            assert_eq!(conf.resource.is_some(), keys.get("resourceName").is_some());
        }
    }

    #[test]
    fn what_add_would_refuse_is_refused() {
        let table = [
            (
                json!({}),
                "`kind` is nothing, expected \"sriov\", \"macvlan\", \"ipvlan\" or \"macvtap\"",
            ),
            (
                json!({"kind": "sriov", "vlan": 4095}),
                "`vlan` is 4095, expected a VLAN ID from 0 to 4094",
            ),
            (
                json!({"kind": "sriov", "deviceID": 1}),
                "`deviceID` is 1, expected the PCI address of the VF, such as 0000:3b:02.1",
            ),
            (
                json!({"kind": "macvlan", "resourceName": "fast"}),
                "`resourceName` is \"fast\", expected an extended resource such as linkspan.dev/fast",
            ),
            (
                json!({"kind": "macvlan", "resourceName": "a.b/c", "parent": "eth0"}),
                "`parent` is \"eth0\", expected no such key where a device is the parent",
            ),
            (
                json!({"kind": "macvlan", "ipam": {"type": "host-local"}}),
                "`ipam.ranges` is nothing, expected at least one set of ranges, such as [[{\"subnet\": \"10.1.2.0/24\"}]]",
            ),
            (
                json!({"kind": "macvlan", "ipam": {"type": "dhcp", "daemonSocketPath": "x"}}),
                "`ipam.daemonSocketPath` is \"x\", expected an absolute path without \"..\"",
            ),
        ];
        for (keys, message) in table {
            assert_eq!(status(keys), Err(message.to_owned()));
        }
    }

    #[test]
    fn ranges_may_come_with_the_pod() {
        let capable = json!({"kind": "macvlan", "ipam": {"type": "host-local"}, "capabilities": {"ipRanges": true}});
        assert_eq!(status(capable).unwrap().ipam, IpamConf::None);
        for capabilities in [json!({"ipRanges": true}), json!("what the runtime reads")] {
            let with_ranges = json!({
                "kind": "macvlan", "ipam": {"type": "host-local", "subnet": "10.1.2.0/24"}, "capabilities": capabilities,
            });
            assert!(matches!(status(with_ranges).unwrap().ipam, IpamConf::HostLocal(_)));
        }
    }

    #[test]
    fn addresses_may_come_with_the_pod_and_the_mac_with_them() {
        let later = [
            json!({"type": "static"}),
            json!({"type": "host-local"}),
            json!({"type": "host-local", "subnet": "10.1.2.0/24"}),
        ];
        for ipam in later {
            let keys = json!({"kind": "macvlan", "macFrom": "ip", "ipam": ipam, "capabilities": {"ipRanges": true}});
            assert!(status(keys).is_ok(), "{ipam}");
        }
        let never = json!({"kind": "macvlan", "macFrom": "ip", "ipam": {"type": "dhcp"}});
        assert!(status(never).is_err());
    }
}
