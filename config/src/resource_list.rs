//! The device plugin's configuration: the `resourceList` of the sriov-network-device-plugin.
//!
//! A file that was written for the peer is read unchanged. What the peer only logs, such as a bad
//! selector that selects nothing, is an error here; so is what we don't do yet, because a selector
//! that is passed over would select too much.

mod functions;
mod section;

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
    /// A device that matches one of these belongs to the resource. Never empty.
    pub selectors: Vec<Selector>,
    /// What a container is told about its devices under `extra`: by PCI address, and under `*` for
    /// all of them.
    pub additional_info: BTreeMap<String, BTreeMap<String, String>>,
}

/// What stands before the slash of a resource's name: a DNS name (RFC 1123), as Kubernetes demands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourcePrefix(String);

/// What a device must be. An empty list asks for nothing; of a list, one entry must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// PCI vendors.
    pub vendors: Vec<u16>,
    /// The vendors' numbers for the device.
    pub devices: Vec<u16>,
    /// Drivers that the device may be bound to.
    pub drivers: Vec<String>,
    /// The devices themselves.
    pub pci_addresses: Vec<PciAddress>,
    /// PFs by the names of their network interfaces, and which of their VFs.
    pub pf_names: Vec<Functions<IfName>>,
    /// PFs by PCI address, and which of their VFs.
    pub root_devices: Vec<Functions<PciAddress>>,
}

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

const RESOURCE_KEYS: [&str; 6] = [
    "resourceName",
    "resourcePrefix",
    "deviceType",
    "excludeTopology",
    "selectors",
    "additionalInfo",
];

const SELECTOR_KEYS: [&str; 6] =
    ["vendors", "devices", "drivers", "pciAddresses", "pfNames", "rootDevices"];

/// The peer's selectors that we don't know how to apply.
const SELECTOR_KEYS_TO_COME: [&str; 8] = [
    "acpiIndexes",
    "linkTypes",
    "ddpProfiles",
    "pKeys",
    "isRdma",
    "vdpaType",
    "needVhostNet",
    "auxTypes",
];

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
        root.refuse_other_keys(&["resourceList"], &[])?;
        let list = root.sections("resourceList", "a list of resources")?;
        if list.is_empty() {
            return Err(root.invalid("resourceList", "at least one resource"));
        }
        Ok(Self { resources: list.iter().map(resource).collect::<Result<_, _>>()? })
    }
}

fn resource(section: &Fields<'_>) -> Result<Resource, Invalid> {
    const NAME: &str =
        "a name of 1 to 63 letters, digits, '-' and '_', the first and last a letter or a digit";
    section.refuse_other_keys(&RESOURCE_KEYS, &[])?;
    let name = section.text_where("resourceName", NAME, is_resource_name)?;
    let name = name.ok_or_else(|| section.invalid("resourceName", NAME))?;
    let device_type = section.text_where("deviceType", "netDevice", |text| text == "netDevice");
    device_type.map_err(|error| {
        error.advise(
            "Leave this resource to the peer: accelerator and auxNetDevice are not done yet",
        )
    })?;
    Ok(Resource {
        name: name.to_owned(),
        prefix: section.parsed("resourcePrefix", "a text")?,
        exclude_topology: section.boolean("excludeTopology")?,
        selectors: selectors(section)?,
        additional_info: additional_info(section)?,
    })
}

/// One object, or a list of them.
fn selectors(resource: &Fields<'_>) -> Result<Vec<Selector>, Invalid> {
    const EXPECTED: &str = "an object of selectors, or a list of such objects";
    let sections = match resource.get("selectors") {
        Some(Value::Object(_)) => resource.section("selectors", EXPECTED)?.into_iter().collect(),
        _ => resource.sections("selectors", EXPECTED)?,
    };
    if sections.is_empty() {
        let advice = "Write `\"selectors\": {}` if all VFs of this node are meant";
        return Err(resource.invalid("selectors", EXPECTED).advise(advice));
    }
    sections.iter().map(selector).collect()
}

fn selector(section: &Fields<'_>) -> Result<Selector, Invalid> {
    section.refuse_other_keys(&SELECTOR_KEYS, &SELECTOR_KEYS_TO_COME)?;
    Ok(Selector {
        vendors: section.each("vendors", "four hexadecimal digits such as \"8086\"", hex_id)?,
        devices: section.each("devices", "four hexadecimal digits such as \"154c\"", hex_id)?,
        drivers: section.each("drivers", "the name of a driver such as \"iavf\"", |text| {
            (!text.is_empty()).then(|| text.to_owned())
        })?,
        pci_addresses: section.each(
            "pciAddresses",
            "a PCI address such as \"0000:3b:02.1\"",
            |text| text.parse().ok(),
        )?,
        pf_names: section.each(
            "pfNames",
            "the name of a PF's interface, alone or with rising ranges of VFs: \"ens1f0#0,2-7\"",
            Functions::parse,
        )?,
        root_devices: section.each(
            "rootDevices",
            "a PF's address, alone or with rising ranges of VFs: \"0000:3b:00.0#0,2-7\"",
            Functions::parse,
        )?,
    })
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

fn hex_id(text: &str) -> Option<u16> {
    let valid = text.len() == 4 && text.bytes().all(|b| b.is_ascii_hexdigit());
    valid.then(|| u16::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests;
