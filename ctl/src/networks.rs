//! The networks of the node's own folder, `/etc/cni/net.d`, as runtimes and Multus read it.

use std::fs;
use std::path::{Path, PathBuf};

use linkspan_config::net_conf::{KindName, StatusConf};
use serde_json::{Map, Value};

/// Where the device plugin's configuration is, if nothing else is said. A node may have none there; a file that was
/// named has to be.
pub(super) const POOLS: &str = "/etc/pcidp/config.json";

/// Where runtimes look for networks, below the root.
pub(super) const FOLDER: &str = "etc/cni/net.d";

/// One plugin's configuration in a file.
#[derive(Clone, Debug)]
pub(super) struct Plugin {
    pub(super) file: PathBuf,
    /// With the name and the version of the list that it is in.
    pub(super) config: Map<String, Value>,
}

/// A network that is ours to make.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) file: PathBuf,
    pub(super) conf: StatusConf,
    /// The MTU that it asks for.
    pub(super) mtu: Option<u32>,
    /// The VLAN that it is in.
    pub(super) vlan: Option<u16>,
}

/// Each plugin's configuration of a folder, in the order of the files' names, and what can't be read.
pub(super) fn plugins(folder: &Path) -> (Vec<Plugin>, Vec<(PathBuf, String)>) {
    let (mut plugins, mut refused) = (Vec::new(), Vec::new());
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|file| {
        let extension = file.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("conf" | "conflist" | "json"))
    });
    files.sort();
    for file in files {
        match read(&file) {
            Ok(all) => {
                plugins.extend(all.into_iter().map(|config| Plugin { file: file.clone(), config }));
            }
            Err(error) => refused.push((file, error)),
        }
    }
    (plugins, refused)
}

fn read(file: &Path) -> Result<Vec<Map<String, Value>>, String> {
    let text = fs::read(file).map_err(|error| error.to_string())?;
    let root: Map<String, Value> =
        serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let Some(plugins) = root.get("plugins").and_then(Value::as_array) else {
        return Ok(vec![root]);
    };
    let whole = |plugin: &Value| {
        let mut config = plugin.as_object()?.clone();
        for key in ["name", "cniVersion"] {
            if let Some(value) = root.get(key) {
                config.insert(key.to_owned(), value.clone());
            }
        }
        Some(config)
    };
    Ok(plugins.iter().filter_map(whole).collect())
}

impl Plugin {
    /// The network's name.
    pub(super) fn name(&self) -> &str {
        self.config.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// The program that a runtime calls for it.
    pub(super) fn type_name(&self) -> &str {
        self.config.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// What ADD would make of it, where it is ours.
    pub(super) fn network(&self) -> Option<Result<Network, String>> {
        let called_as: Option<KindName> = self.type_name().parse().ok();
        if called_as.is_none() && self.type_name() != "linkspan" {
            return None;
        }
        let number = |key| self.config.get(key).and_then(Value::as_u64);
        let conf = StatusConf::parse(&self.config, called_as);
        Some(conf.map_err(|error| error.to_string()).map(|conf| Network {
            file: self.file.clone(),
            conf,
            mtu: number("mtu").and_then(|mtu| u32::try_from(mtu).ok()).filter(|mtu| *mtu != 0),
            vlan:
                number("vlan").and_then(|vlan| u16::try_from(vlan).ok()).filter(|vlan| *vlan != 0),
        }))
    }
}
