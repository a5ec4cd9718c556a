//! The result of ADD, in the shape of each version of the spec.

use std::net::IpAddr;

use ipnet::IpNet;
use linkspan_config::net_conf::{Dns, Route};
use linkspan_types::MacAddr;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{CniError, Code};
use super::version::{UnsupportedVersion, Version};

/// What ADD has made (CNI 1.1.0, section 5). From an IPAM plugin it has no interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddResult {
    /// The interfaces that were made, in the pod and on the host.
    pub interfaces: Vec<Interface>,
    /// The addresses that were given.
    pub ips: Vec<IpConfig>,
    /// The routes that were set.
    pub routes: Vec<Route>,
    /// What the pod needs to resolve names.
    pub dns: Dns,
}

/// An interface of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name; empty where the device is no network interface.
    pub name: String,
    /// Its MAC.
    pub mac: Option<MacAddr>,
    /// Its MTU in bytes; since 1.1.0.
    pub mtu: Option<u32>,
    /// The path of the namespace that it is in; none on the host.
    pub sandbox: Option<String>,
    /// The socket of a userspace device; since 1.1.0.
    pub socket_path: Option<String>,
    /// The PCI address of the device; since 1.1.0.
    pub pci_id: Option<String>,
}

/// An address of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpConfig {
    /// The address itself, with the length of its subnet's prefix.
    pub address: IpNet,
    /// The gateway of the subnet.
    pub gateway: Option<IpAddr>,
    /// Which of the result's interfaces has it.
    pub interface: Option<usize>,
}

/// A result that is no result of the spec.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    /// It is of a version that is not spoken here.
    #[error(transparent)]
    Version(#[from] UnsupportedVersion),
    /// A part of it has another shape.
    #[error("it is no result of the CNI spec")]
    Shape(#[source] serde_json::Error),
    /// An address belongs to an interface that is not there.
    #[error("ips[{ip}].interface is {interface}, expected one of the {count} interfaces")]
    Interface {
        /// Which address, counted from 0.
        ip: usize,
        /// Its interface, counted from 0.
        interface: usize,
        /// How many interfaces there are.
        count: usize,
    },
}

/// A `prevResult` that can't be handed on.
#[derive(Debug, thiserror::Error)]
#[error("`prevResult` is not what a plugin returns")]
pub struct PrevResultError(#[source] ResultError);

impl From<PrevResultError> for CniError {
    fn from(error: PrevResultError) -> Self {
        let (code, advice) = match error.0 {
            ResultError::Version(_) => (
                Code::IncompatibleVersion,
                "Give the plugins of the chain one `cniVersion`; a runtime does it by itself for a list",
            ),
            ResultError::Shape(_) | ResultError::Interface { .. } => (
                Code::Decode,
                "It comes from the plugin before this one in the chain: see what that one returns",
            ),
        };
        Self::caused_by(code, &error, advice)
    }
}

impl AddResult {
    /// The result as JSON, without what the version has no place for.
    #[must_use]
    pub fn to_json(&self, version: Version) -> Value {
        self.to_wire(version, version)
    }

    /// The result of an IPAM plugin as JSON. Its routes are whole in any version: the main plugin is to set them,
    /// and the reference plugins take from a result of any version what they know.
    #[must_use]
    pub fn to_ipam_json(&self, version: Version) -> Value {
        self.to_wire(version, Version::NEWEST)
    }

    fn to_wire(&self, version: Version, of_routes: Version) -> Value {
        let wire = WireResult {
            cni_version: Some(version.to_string()),
            interfaces: self.interfaces.iter().map(|i| i.to_wire(version)).collect(),
            ips: self.ips.iter().map(|ip| ip.to_wire(version)).collect(),
            routes: self.routes.iter().map(|route| route_to_wire(route, of_routes)).collect(),
            dns: self.dns.clone(),
        };
        // None of these types has a key that is no text, all that could make this fail.
        serde_json::to_value(wire).unwrap_or_default()
    }

    /// What a plugin of a chain returns (section 5, "ADD Success"): all that the plugins before it have
    /// made, and behind that what it has made itself. Its own DNS takes the place of theirs.
    #[must_use]
    pub fn of_chain(prev: Option<Self>, own: Self) -> Self {
        let Some(mut all) = prev else { return own };
        let before = all.interfaces.len();
        all.interfaces.extend(own.interfaces);
        all.ips.extend(
            own.ips
                .into_iter()
                .map(|ip| IpConfig { interface: ip.interface.map(|index| before + index), ..ip }),
        );
        all.routes.extend(own.routes);
        if !own.dns.is_empty() {
            all.dns = own.dns;
        }
        all
    }

    /// Reads a result of any version that is spoken here; where it names none, it is the caller's.
    pub fn parse(value: &Value) -> Result<Self, ResultError> {
        Self::checked(read(value)?)
    }

    /// Reads `prevResult`: what the plugins before this one in the chain have made.
    pub fn parse_prev(value: &Value) -> Result<Self, PrevResultError> {
        Self::parse(value).map_err(PrevResultError)
    }

    /// Reads the result of an IPAM plugin, which knows of no interfaces (section 5, "Delegated plugins (IPAM)"): what it says of
    /// them all the same is left out.
    pub fn parse_ipam(value: &Value) -> Result<Self, ResultError> {
        let mut wire = read(value)?;
        wire.interfaces.clear();
        for ip in &mut wire.ips {
            ip.interface = None;
        }
        Self::checked(wire)
    }

    fn checked(wire: WireResult) -> Result<Self, ResultError> {
        let count = wire.interfaces.len();
        for (ip, config) in wire.ips.iter().enumerate() {
            if let Some(interface) = config.interface.filter(|&i| i >= count) {
                return Err(ResultError::Interface { ip, interface, count });
            }
        }
        Ok(Self {
            interfaces: wire.interfaces.into_iter().map(Interface::from).collect(),
            ips: wire.ips.into_iter().map(IpConfig::from).collect(),
            routes: wire.routes.into_iter().map(Route::from).collect(),
            dns: wire.dns,
        })
    }
}

fn read(value: &Value) -> Result<WireResult, ResultError> {
    let value = without_unset(value);
    if let Some(object) = value.as_object().filter(|object| object.contains_key("cniVersion")) {
        Version::of(object)?;
    }
    WireResult::deserialize(value).map_err(ResultError::Shape)
}

/// Go programs write what was never set as `null` or as an empty text: a key with such a value is as good as
/// none.
fn without_unset(value: &Value) -> Value {
    let is_set = |value: &Value| !value.is_null() && value.as_str() != Some("");
    match value {
        Value::Object(map) => {
            let set = map.iter().filter(|(_, value)| is_set(value));
            set.map(|(key, value)| (key.clone(), without_unset(value))).collect()
        }
        Value::Array(items) => items.iter().map(without_unset).collect(),
        other => other.clone(),
    }
}

/// The object on the wire, all versions' keys together.
#[derive(Serialize, Deserialize)]
struct WireResult {
    #[serde(rename = "cniVersion", skip_serializing_if = "Option::is_none")]
    cni_version: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    interfaces: Vec<WireInterface>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ips: Vec<WireIp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    routes: Vec<WireRoute>,
    #[serde(default, skip_serializing_if = "Dns::is_empty")]
    dns: Dns,
}

#[derive(Serialize, Deserialize)]
struct WireInterface {
    #[serde(default)]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<MacAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<String>,
    #[serde(rename = "socketPath", skip_serializing_if = "Option::is_none")]
    socket_path: Option<String>,
    #[serde(rename = "pciID", skip_serializing_if = "Option::is_none")]
    pci_id: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WireIp {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    address: IpNet,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<usize>,
}

#[derive(Serialize, Deserialize)]
struct WireRoute {
    dst: IpNet,
    #[serde(skip_serializing_if = "Option::is_none")]
    gw: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advmss: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<u8>,
}

impl Interface {
    fn to_wire(&self, version: Version) -> WireInterface {
        let since_1_1 = version >= Version::V1_1_0;
        WireInterface {
            name: self.name.clone(),
            mac: self.mac,
            mtu: self.mtu.filter(|_| since_1_1),
            sandbox: self.sandbox.clone(),
            socket_path: self.socket_path.clone().filter(|_| since_1_1),
            pci_id: self.pci_id.clone().filter(|_| since_1_1),
        }
    }
}

impl From<WireInterface> for Interface {
    fn from(wire: WireInterface) -> Self {
        let WireInterface { name, mac, mtu, sandbox, socket_path, pci_id } = wire;
        Self { name, mac, mtu, sandbox, socket_path, pci_id }
    }
}

impl IpConfig {
    fn to_wire(&self, version: Version) -> WireIp {
        let family = if self.address.addr().is_ipv4() { "4" } else { "6" };
        WireIp {
            version: (version < Version::V1_0_0).then(|| family.to_owned()),
            address: self.address,
            gateway: self.gateway,
            interface: self.interface,
        }
    }
}

impl From<WireIp> for IpConfig {
    fn from(WireIp { version: _, address, gateway, interface }: WireIp) -> Self {
        Self { address, gateway, interface }
    }
}

fn route_to_wire(route: &Route, version: Version) -> WireRoute {
    let Route { dst, gw, mtu, advmss, priority, table, scope } = *route;
    if version >= Version::V1_1_0 {
        WireRoute { dst, gw, mtu, advmss, priority, table, scope }
    } else {
        let (mtu, advmss, priority, table, scope) = (None, None, None, None, None);
        WireRoute { dst, gw, mtu, advmss, priority, table, scope }
    }
}

impl From<WireRoute> for Route {
    fn from(wire: WireRoute) -> Self {
        let WireRoute { dst, gw, mtu, advmss, priority, table, scope } = wire;
        Self { dst, gw, mtu, advmss, priority, table, scope }
    }
}

#[cfg(test)]
#[path = "result_tests.rs"]
mod tests;
