//! What DEL and GC need of a configuration.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::ipam::ipam_type;
use super::ipam_call::IpamName;
use super::kind_name::KindName;
use super::parse_name;
use super::{dhcp, host_local};
use crate::fields::Fields;
use crate::{Invalid, NetworkName, PluginName};

/// What DEL and GC need of a configuration. Where ADD refused the rest of it, the pod must still be
/// deletable, so only a missing name is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeardownConf {
    /// The network.
    pub name: NetworkName,
    /// What was attached, as far as it is known.
    pub kind: Option<KindName>,
    /// Whether the configuration is of a peer's type, so that it may be the peer that has attached it.
    pub is_peers: bool,
    /// Where host-local's reservations of the network are, if it is host-local that gave addresses.
    pub host_local_data_dir: Option<PathBuf>,
    /// Where the DHCP daemon listens, if it is dhcp that gave addresses.
    pub dhcp_socket: Option<PathBuf>,
    /// The other plugin that gave addresses, if one did.
    pub ipam_delegate: Option<PluginName>,
    /// Whether it is static that gave addresses, of which nothing is kept.
    pub is_static: bool,
}

impl TeardownConf {
    /// Reads the name, and the rest as far as it makes sense: what ADD would have refused can't have
    /// attached anything, nor given an address.
    pub fn parse(
        config: &Map<String, Value>,
        called_as: Option<KindName>,
    ) -> Result<Self, Invalid> {
        let root = Fields::unchecked(config, "");
        let kind = |key| root.text(key, "").ok().flatten().and_then(|text| text.parse().ok());
        let peer = called_as.or_else(|| kind("type"));
        let mut conf = Self {
            name: parse_name(&root)?,
            kind: called_as.or_else(|| kind("kind")).or(peer),
            is_peers: peer.is_some(),
            host_local_data_dir: None,
            dhcp_socket: None,
            ipam_delegate: None,
            is_static: false,
        };
        match ipam_type(&root) {
            Err(_) | Ok(None) => {}
            Ok(Some("static")) => conf.is_static = true,
            Ok(Some("host-local")) => conf.host_local_data_dir = host_local_data_dir(&root),
            Ok(Some("dhcp")) => conf.dhcp_socket = dhcp_socket(&root),
            Ok(Some(name)) => conf.ipam_delegate = name.parse().ok(),
        }
        Ok(conf)
    }

    /// The same where we are called as the IPAM plugin of another main plugin, as in
    /// [`IpamCall`](super::IpamCall): then `ipam.type` does not count, nor does the kind.
    pub fn parse_ipam_call(
        config: &Map<String, Value>,
        called_as: IpamName,
    ) -> Result<Self, Invalid> {
        let root = Fields::unchecked(config, "");
        let is_host_local = called_as == IpamName::HostLocal;
        let is_dhcp = called_as == IpamName::Dhcp;
        Ok(Self {
            name: parse_name(&root)?,
            kind: None,
            is_peers: false,
            host_local_data_dir: is_host_local.then(|| host_local_data_dir(&root)).flatten(),
            dhcp_socket: is_dhcp.then(|| dhcp_socket(&root)).flatten(),
            ipam_delegate: None,
            is_static: called_as == IpamName::Static,
        })
    }
}

/// Where the reservations are; none where ADD has refused the place.
fn host_local_data_dir(root: &Fields<'_>) -> Option<PathBuf> {
    root.inside("ipam").and_then(|ipam| host_local::data_dir(&ipam)).ok()
}

/// Where the DHCP daemon listens; none where ADD has refused the place.
fn dhcp_socket(root: &Fields<'_>) -> Option<PathBuf> {
    root.inside("ipam").and_then(|ipam| dhcp::socket(&ipam)).ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::map;
    use super::super::{DEFAULT_DATA_DIR, DEFAULT_DHCP_SOCKET};
    use super::*;
    use serde_json::json;

    fn teardown(keys: Value) -> TeardownConf {
        let mut config = map(json!({"name": "net", "type": "sriov"}));
        config.extend(map(keys));
        TeardownConf::parse(&config, None).unwrap()
    }

    #[test]
    fn no_more_than_a_name_is_needed() {
        let bare = TeardownConf {
            name: "net".parse().unwrap(),
            kind: None,
            is_peers: false,
            host_local_data_dir: None,
            dhcp_socket: None,
            ipam_delegate: None,
            is_static: false,
        };
        for ipam in [json!({}), json!([]), json!({"type": 3}), json!({"type": "../x"})] {
            assert_eq!(teardown(json!({"type": 1, "kind": [], "ipam": ipam})), bare);
        }
        let error = TeardownConf::parse(&map(json!({"type": "sriov"})), None).unwrap_err();
        assert!(error.to_string().starts_with("`name` is nothing"), "{error}");
    }

    #[test]
    fn the_kind_is_the_name_called_by_then_the_key_then_the_type() {
        let config = map(json!({"name": "net", "type": "macvlan", "kind": "ipvlan"}));
        let called = TeardownConf::parse(&config, Some(KindName::Macvtap)).unwrap();
        assert_eq!(called.kind, Some(KindName::Macvtap));
        assert_eq!(TeardownConf::parse(&config, None).unwrap().kind, Some(KindName::Ipvlan));
        assert_eq!(teardown(json!({"kind": "?"})).kind, Some(KindName::Sriov));
        assert_eq!(teardown(json!({"type": "linkspan"})).kind, None);
        assert!(called.is_peers && teardown(json!({})).is_peers);
        assert!(!teardown(json!({"type": "linkspan", "kind": "macvlan"})).is_peers);
    }

    #[test]
    fn who_gave_the_addresses_is_read_as_far_as_it_makes_sense() {
        let data_dir =
            |ipam: Value| teardown(json!({"vlan": 9999, "ipam": ipam})).host_local_data_dir;
        let named = json!({"type": "host-local", "dataDir": "/x"});
        assert_eq!(data_dir(named), Some(PathBuf::from("/x")));
        let default = json!({"type": "host-local", "subnet": "nonsense"});
        assert_eq!(data_dir(default), Some(PathBuf::from(DEFAULT_DATA_DIR)));
        assert_eq!(data_dir(json!({"type": "host-local", "dataDir": "x"})), None);
        assert_eq!(data_dir(json!({"type": "dhcp"})), None);
        let delegate = |ipam: Value| teardown(json!({"ipam": ipam})).ipam_delegate;
        assert_eq!(delegate(json!({"type": "whereabouts"})), "whereabouts".parse().ok());
        assert_eq!(delegate(json!({"type": "static"})), None);
        let socket = |ipam: Value| teardown(json!({"ipam": ipam})).dhcp_socket;
        let named = json!({"type": "dhcp", "daemonSocketPath": "/x", "provide": "nonsense"});
        assert_eq!(socket(named), Some(PathBuf::from("/x")));
        assert_eq!(socket(json!({"type": "dhcp"})), Some(PathBuf::from(DEFAULT_DHCP_SOCKET)));
        assert_eq!(socket(json!({"type": "dhcp", "daemonSocketPath": "x"})), None);
        assert_eq!(socket(json!({"type": "whereabouts"})), None);
        assert_eq!(delegate(json!({"type": "dhcp"})), None);
        assert!(teardown(json!({"ipam": {"type": "static", "addresses": 7}})).is_static);
    }

    #[test]
    fn called_as_an_ipam_plugin_the_type_does_not_count() {
        let config =
            map(json!({"name": "net", "type": "bridge", "ipam": {"type": "x", "dataDir": "/x"}}));
        let conf = TeardownConf::parse_ipam_call(&config, IpamName::HostLocal).unwrap();
        assert_eq!(conf.host_local_data_dir, Some(PathBuf::from("/x")));
        assert_eq!((conf.kind, conf.ipam_delegate, conf.is_static), (None, None, false));
        let conf = TeardownConf::parse_ipam_call(&config, IpamName::Static).unwrap();
        assert_eq!((conf.host_local_data_dir, conf.is_static), (None, true));
        let conf = TeardownConf::parse_ipam_call(&config, IpamName::Dhcp).unwrap();
        assert_eq!(conf.dhcp_socket, Some(PathBuf::from(DEFAULT_DHCP_SOCKET)));
        assert_eq!((conf.host_local_data_dir, conf.is_static), (None, false));
        assert!(TeardownConf::parse_ipam_call(&Map::new(), IpamName::Static).is_err());
    }
}
