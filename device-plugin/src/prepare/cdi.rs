//! Specifications of the Container Device Interface (CDI): the container runtime reads from them
//! which nodes a device comes with, and the kubelet passes on only the device's name.
//!
//! A pool has one, which names every device that comes with nodes at all: a device without, or a
//! specification without devices, is none to the runtime. It is not removed when the program ends:
//! a container of a pod that runs can be started anew at any time, and then the runtime looks again.
//! After a reboot the kubelet starts pods with what they had, without another Allocate, so that
//! devices are named before they are given.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use linkspan_proto::whole_file;
use serde_json::{Value, json};

use super::nodes::Node;
use super::parts::Part;
use super::{Host, Prepared};
use crate::pools::{Member, PoolName};

/// The version that device names may begin with a digit since.
const VERSION: &str = "0.5.0";

/// One pool's specification, as it is on disk.
pub(crate) struct Specification {
    path: PathBuf,
    kind: String,
    /// What the runtime is to do, by the device's name, which is its ID.
    devices: BTreeMap<String, Value>,
    /// Whether it differs from what is on disk.
    is_changed: bool,
}

/// A specification can't be changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub(crate) struct CdiError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// What the runtime calls a pool's devices. Nothing where its rules have no name for it, which must
/// begin with a letter on both sides of the slash: such a pool's devices are given without.
pub(crate) fn kind(pool: &PoolName) -> Option<String> {
    let kind = pool.to_string();
    let begins_well = |part: &str| part.starts_with(|first: char| first.is_ascii_alphabetic());
    kind.split('/').all(begins_well).then_some(kind)
}

impl Specification {
    /// That of a pool, if the host uses the interface and the pool has a name for it.
    pub(crate) fn read(host: &Host, pool: &PoolName) -> Option<Self> {
        let path = path(host.cdi.as_ref()?, pool);
        let kind = kind(pool)?;
        let mut specification = Self { path, kind, devices: BTreeMap::new(), is_changed: false };
        match fs::read(&specification.path) {
            Ok(text) => match devices_of(&text) {
                Some(devices) => specification.devices = devices,
                None => specification.doubt(&"it is no specification of ours"),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => specification.doubt(&error),
        }
        Some(specification)
    }

    fn doubt(&mut self, why: &dyn std::fmt::Display) {
        tracing::warn!("{} is written anew: {why}", self.path.display());
        self.is_changed = true;
    }

    /// Names the members that can be given now.
    pub(crate) fn describe(&mut self, members: &[Member], host: &Host) {
        for member in members {
            // One that can't be given now says why when it is asked for.
            if let Ok(prepared) = Prepared::of(member, host) {
                self.name(&prepared);
            }
        }
    }

    /// Names a device, and returns its full name; nothing where it comes with no nodes.
    pub(super) fn name(&mut self, device: &Prepared<'_>) -> Option<String> {
        let nodes: Vec<Value> =
            device.parts.iter().flat_map(Part::nodes).map(|node| edit(&node)).collect();
        if nodes.is_empty() {
            return None;
        }
        let (id, edits) = (device.id(), json!({"deviceNodes": nodes}));
        let name = format!("{}={id}", self.kind);
        let before = self.devices.insert(id, edits.clone());
        self.is_changed |= before != Some(edits);
        Some(name)
    }

    /// Whether there is a device that fulfils this.
    pub(crate) fn names_any(&self, condition: impl Fn(&str) -> bool) -> bool {
        self.devices.keys().any(|id| condition(id))
    }

    /// Forgets all other devices.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let before = self.devices.len();
        self.devices.retain(|id, _| keep(id));
        self.is_changed |= self.devices.len() != before;
    }

    /// Brings it to disk, if it differs.
    pub(crate) fn write(self) -> Result<(), CdiError> {
        let Self { path, kind, devices, is_changed } = self;
        if !is_changed {
            return Ok(());
        }
        let (action, outcome) = if devices.is_empty() {
            ("remove", fs::remove_file(&path))
        } else {
            let devices: Vec<Value> = devices
                .into_iter()
                .map(|(id, edits)| json!({"name": id, "containerEdits": edits}))
                .collect();
            let whole = json!({"cdiVersion": VERSION, "kind": kind, "devices": devices});
            ("write", whole_file::write(&path, &whole))
        };
        match outcome {
            Err(source) if source.kind() != io::ErrorKind::NotFound || action == "write" => {
                Err(CdiError { action, path, source })
            }
            _ => Ok(()),
        }
    }
}

/// The prefix holds no `_`, so that no other pool has the file.
fn path(folder: &Path, pool: &PoolName) -> PathBuf {
    folder.join(format!("{pool}.json").replace('/', "_"))
}

fn edit(node: &Node) -> Value {
    let spec = node.spec();
    json!({
        "path": spec.container_path, "hostPath": spec.host_path, "permissions": spec.permissions,
    })
}

fn devices_of(text: &[u8]) -> Option<BTreeMap<String, Value>> {
    let whole: Value = serde_json::from_slice(text).ok()?;
    let devices = whole["devices"].as_array()?.iter();
    devices
        .map(|device| Some((device["name"].as_str()?.to_owned(), device["containerEdits"].clone())))
        .collect()
}
