//! The device plugin's configuration: the `resourceList` of the sriov-network-device-plugin.
//!
//! A file that was written for the peer is read unchanged. What the peer only logs, such as a bad
//! selector that selects nothing, is an error here; so is a selector of another device type, because
//! one that is passed over would select too much.

mod functions;
mod names;
mod policies;
mod provision;
mod section;
mod selector;
mod shares;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use linkspan_types::{IfName, ParseError, PciAddress};
use serde_json::Value;

use crate::Invalid;
use crate::fields::Fields;
use crate::names::{is_dns_name, parse_error};

pub use functions::{Functions, Indices};
pub use names::DuplicateName;
pub use policies::{AllocationPolicy, HealthPolicy};
pub use provision::{Bind, Provision, VfDriver};
pub use selector::{DeviceType, Selector};
pub use shares::{Shares, SharesKind};

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceList {
    /// The resources, in the file's order: a device goes to the first one that selects it.
    pub resources: Vec<Resource>,
}

/// One extended resource, as the kubelet will know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// What follows the slash: `fast` in `linkspan.dev/fast`.
    pub name: String,
    /// What stands before the slash, where the file says so; else the program's own prefix.
    pub prefix: Option<ResourcePrefix>,
    /// Whether the kubelet is told nothing of the devices' NUMA nodes.
    pub exclude_topology: bool,
    /// What kind of devices it has.
    pub device_type: DeviceType,
    /// A device that matches one of these belongs to the resource. Empty only where it has shares.
    pub selectors: Vec<Selector>,
    /// What a container is told about its devices under `extra`: by PCI address, and under `*` for
    /// all of them.
    pub additional_info: BTreeMap<String, BTreeMap<String, String>>,
    /// When a device is healthy.
    pub health: HealthPolicy,
    /// Which devices a pod gets first.
    pub allocation: AllocationPolicy,
    /// Interfaces whose devices are offered even if the host uses them.
    pub allow_in_use: Vec<IfName>,
    /// How the PFs are to be set up.
    pub provision: Option<Provision>,
    /// What it has in place of devices: shares of a host link.
    pub shares: Option<Shares>,
}

/// What stands before the slash of a resource's name: a DNS name (RFC 1123), as Kubernetes demands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourcePrefix(String);

/// A configuration of the device plugin can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ResourceListError {
    /// The file can't be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file is not JSON; the source says at which line and column.
    #[error("{} is not JSON", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The file is JSON, but says something that it can't.
    #[error("{} can't be used", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: Invalid,
    },
}

impl ResourceListError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// What the user should do next, where the error itself doesn't say it.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        match self {
            Self::Invalid { source, .. } => source.advice.as_deref(),
            Self::Read { .. } => Some("Give the right path with --config-file"),
            Self::Malformed { .. } => None,
        }
    }
}

/// What a `ConfigMap` can hold at most.
const MAX_SIZE: u64 = 1 << 20;

/// The keys of every resource.
const COMMON_KEYS: [&str; 4] = ["resourceName", "resourcePrefix", "excludeTopology", "health"];

/// Those of a resource made of devices.
const DEVICE_KEYS: [&str; 6] =
    ["deviceType", "selectors", "additionalInfo", "preferredAllocation", "allowInUse", "provision"];

/// Those of a resource made of shares of a host link.
const SHARES_KEYS: [&str; 4] = ["kind", "lowerDevice", "mode", "capacity"];

impl FromStr for ResourcePrefix {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if is_dns_name(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(parse_error(text, "a DNS name in lower case such as example.com"))
    }
}

impl fmt::Display for ResourcePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ResourceList {
    /// Reads and checks a file.
    pub fn read(file: &Path) -> Result<Self, ResourceListError> {
        let mut text = Vec::new();
        File::open(file)
            .and_then(|opened| opened.take(MAX_SIZE + 1).read_to_end(&mut text))
            .and_then(|size| {
                let too_long = || io::Error::other("the file has more than 1 MiB");
                if size as u64 > MAX_SIZE { Err(too_long()) } else { Ok(()) }
            })
            .map_err(|source| ResourceListError::Read { file: file.to_owned(), source })?;
        let root = serde_json::from_slice(&text)
            .map_err(|source| ResourceListError::Malformed { file: file.to_owned(), source })?;
        Self::from_json(&root)
            .map_err(|source| ResourceListError::Invalid { file: file.to_owned(), source })
    }

    /// Checks what a file says.
    pub fn from_json(root: &Value) -> Result<Self, Invalid> {
        let root = Fields::of("", root, "an object with the key `resourceList`")?;
        root.refuse_other_keys(&["resourceList"], |_| None)?;
        let list = root.sections("resourceList", "a list of resources")?;
        if list.is_empty() {
            return Err(root.invalid("resourceList", "at least one resource"));
        }
        let resources: Vec<_> = list.iter().map(resource).collect::<Result<_, _>>()?;
        provision::refuse_conflicts(&list, &resources)?;
        Ok(Self { resources })
    }
}

impl Resource {
    /// A resource of that name with nothing in it.
    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            prefix: None,
            exclude_topology: false,
            device_type: DeviceType::default(),
            selectors: Vec::new(),
            additional_info: BTreeMap::new(),
            health: HealthPolicy::default(),
            allocation: AllocationPolicy::default(),
            allow_in_use: Vec::new(),
            provision: None,
            shares: None,
        }
    }
}

fn resource(section: &Fields<'_>) -> Result<Resource, Invalid> {
    refuse_other_keys(section)?;
    let shares = Shares::parse(section)?;
    let device_type = DeviceType::parse(section)?;
    let selectors = match shares {
        Some(_) => Vec::new(),
        None => selector::selectors(section, device_type)?,
    };
    Ok(Resource {
        name: name(section)?,
        prefix: section.parsed("resourcePrefix", "a text")?,
        exclude_topology: section.boolean("excludeTopology")?,
        device_type,
        additional_info: additional_info(section)?,
        health: HealthPolicy::parse(section)?,
        allocation: AllocationPolicy::parse(section)?,
        allow_in_use: section
            .each("allowInUse", "the name of a network interface", |text| text.parse().ok())?,
        provision: Provision::parse(section, &selectors)?,
        selectors,
        shares,
    })
}

/// A resource is made of devices, or, where it says of which kind, of shares of a host link.
fn refuse_other_keys(section: &Fields<'_>) -> Result<(), Invalid> {
    let (own, others, expected, advice) = if section.is_set("kind") {
        let advice = "Make a resource of devices of its own: without `kind` and `lowerDevice`";
        (&SHARES_KEYS[..], &DEVICE_KEYS[..], "no such key where `kind` is set", advice)
    } else {
        let advice = "Set `kind` to \"macvtap\" or \"macvlan\" if shares of a host link are meant";
        (&DEVICE_KEYS[..], &SHARES_KEYS[..], "no such key where `kind` is not set", advice)
    };
    let known = [&COMMON_KEYS[..], own].concat();
    section.refuse_other_keys(&known, |key| {
        let is_other = others.iter().any(|other| other.eq_ignore_ascii_case(key));
        is_other.then(|| (expected.to_owned(), advice.to_owned()))
    })
}

fn name(section: &Fields<'_>) -> Result<String, Invalid> {
    const EXPECTED: &str =
        "a name of 1 to 63 letters, digits, '-' and '_', the first and last a letter or a digit";
    let name = section.text_where("resourceName", EXPECTED, is_resource_name)?;
    name.map(str::to_owned).ok_or_else(|| section.invalid("resourceName", EXPECTED))
}

fn additional_info(
    resource: &Fields<'_>,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, Invalid> {
    let Some(devices) = resource.section("additionalInfo", "an object")? else {
        return Ok(BTreeMap::new());
    };
    let mut info = BTreeMap::new();
    for (device, _) in devices.entries() {
        let expected = "a PCI address such as 0000:3b:02.1, or * for all devices, as the key";
        // The address is written as devices are: a key in capitals would never be found.
        let id = match device {
            "*" => device.to_owned(),
            _ => device
                .parse::<PciAddress>()
                .map_err(|_| devices.invalid(device, expected))?
                .to_string(),
        };
        info.insert(id, devices.texts_by_key(device, "an object of texts")?);
    }
    Ok(info)
}

/// The peer's rule, and Kubernetes' for a qualified name, under which the kubelet would refuse it.
fn is_resource_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let outer = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    let mut bytes = text.bytes();
    text.len() <= 63 && text.bytes().all(inner) && outer(bytes.next()) && outer(text.bytes().last())
}

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod tests;
