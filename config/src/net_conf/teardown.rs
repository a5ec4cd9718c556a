//! What DEL and GC need of a configuration.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::host_local;
use super::ipam::ipam_type;
use super::kind_name::KindName;
use super::parse_name;
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
    /// Where host-local's reservations of the network are, if it is host-local that gave addresses.
    pub host_local_data_dir: Option<PathBuf>,
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
        let mut conf = Self {
            name: parse_name(&root)?,
            kind: called_as.or_else(|| kind("kind")).or_else(|| kind("type")),
            host_local_data_dir: None,
            ipam_delegate: None,
            is_static: false,
        };
        match ipam_type(&root) {
            Err(_) | Ok(None) => {}
            Ok(Some("static")) => conf.is_static = true,
            Ok(Some("host-local")) => {
                conf.host_local_data_dir =
                    root.inside("ipam").and_then(|ipam| host_local::data_dir(&ipam)).ok();
            }
            Ok(Some(name)) => conf.ipam_delegate = name.parse().ok(),
        }
        Ok(conf)
    }
}
