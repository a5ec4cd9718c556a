//! The result of ADD, in the shape of each version of the spec.

use std::net::IpAddr;

use ipnet::IpNet;
use linkspan_config::net_conf::{Dns, Route};
use linkspan_types::MacAddr;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

impl AddResult {
    /// The result as JSON, without what the version has no place for.
    #[must_use]
    pub fn to_json(&self, version: Version) -> Value {
        let wire = WireResult {
            cni_version: Some(version.to_string()),
            interfaces: self.interfaces.iter().map(|i| i.to_wire(version)).collect(),
            ips: self.ips.iter().map(|ip| ip.to_wire(version)).collect(),
            routes: self.routes.iter().map(|route| route_to_wire(route, version)).collect(),
            dns: self.dns.clone(),
        };
        // None of these types has a key that is no text, all that could make this fail.
        serde_json::to_value(wire).unwrap_or_default()
    }

    /// Reads a result of any version that is spoken here; where it names none, it is the caller's.
    pub fn parse(value: &Value) -> Result<Self, ResultError> {
        if let Some(object) = value.as_object().filter(|o| o.contains_key("cniVersion")) {
            Version::of(object)?;
        }
        let wire = WireResult::deserialize(value).map_err(ResultError::Shape)?;
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

/// The object on the wire, all versions' keys together.
#[derive(Serialize, Deserialize)]
struct WireResult {
    #[serde(rename = "cniVersion", skip_serializing_if = "Option::is_none")]
    cni_version: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    interfaces: Vec<WireInterface>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    ips: Vec<WireIp>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    routes: Vec<WireRoute>,
    #[serde(default, skip_serializing_if = "Dns::is_empty")]
    dns: Dns,
}

#[derive(Serialize, Deserialize)]
struct WireInterface {
    #[serde(default)]
    name: String,
    #[serde(default, deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    mac: Option<MacAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    #[serde(default, deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    sandbox: Option<String>,
    #[serde(
        rename = "socketPath",
        default,
        deserialize_with = "empty_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    socket_path: Option<String>,
    #[serde(
        rename = "pciID",
        default,
        deserialize_with = "empty_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pci_id: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WireIp {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    address: IpNet,
    #[serde(default, deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    gateway: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<usize>,
}

#[derive(Serialize, Deserialize)]
struct WireRoute {
    dst: IpNet,
    #[serde(default, deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
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

/// Go programs write a list that was never filled as `null`.
fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Go programs write a text that was never set as an empty one.
fn empty_is_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
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
