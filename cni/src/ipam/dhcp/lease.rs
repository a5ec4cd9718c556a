//! A lease as the daemon tells it, and what an ADD makes of it.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use linkspan_config::net_conf::{Dns, Route};
use linkspan_proto::dhcp::{self, Lease};
use linkspan_types::MacAddr;

use super::error::DhcpError;
use crate::spec::{AddResult, IpConfig};

/// What `scope` of a route says where its destination is on the link itself (`RT_SCOPE_LINK`).
const ON_LINK: u8 = 253;

/// The result of an IPAM plugin: no interfaces. The routes have this metric.
pub(super) fn result(lease: &Lease, metric: Option<u32>) -> Result<AddResult, DhcpError> {
    let gateway = address(lease.gateway);
    let address = net(lease.address, lease.prefix_length, "an address")?;
    let host = address.addr();
    if host.is_unspecified() || host.is_multicast() || host.is_loopback() || host.is_broadcast() {
        let what = format!("address {host}");
        return Err(DhcpError::Unusable { what, expected: "an address that a pod can have" });
    }
    let default = gateway.map(|gateway| route(Ipv4Net::default(), Some(gateway), metric));
    let others = lease.routes.iter().map(|of_lease| route_of(of_lease, metric));
    let servers = lease.name_servers.iter().map(|server| Ipv4Addr::from(*server).to_string());
    Ok(AddResult {
        interfaces: Vec::new(),
        ips: vec![IpConfig {
            address: IpNet::V4(address),
            gateway: gateway.map(IpAddr::V4),
            interface: None,
        }],
        // What is on the link first: the next hop of the others may be there.
        routes: others.chain(default.map(Ok)).collect::<Result<_, _>>()?,
        dns: Dns {
            nameservers: servers.collect(),
            domain: Some(lease.domain.clone()).filter(|domain| !domain.is_empty()),
            search: lease.search.clone(),
            options: Vec::new(),
        },
    })
}

/// The result of an ADD with the addresses of its interface, and all routes, as the lease has them now.
pub(super) fn renewed(mut result: AddResult, now: Option<AddResult>, name: &str) -> AddResult {
    let Some(now) = now else { return result };
    let own = result.interfaces.iter().rposition(|interface| interface.name == name);
    let is_others = |ip: &IpConfig| ip.interface.is_some() && ip.interface != own;
    result.ips.retain(is_others);
    result.ips.extend(now.ips.into_iter().map(|ip| IpConfig { interface: own, ..ip }));
    AddResult { routes: now.routes, ..result }
}

/// The MAC of a lease that was kept ready.
pub(super) fn mac(bytes: &[u8]) -> Result<MacAddr, DhcpError> {
    let mac = bytes.try_into().map(MacAddr).ok().filter(|mac| mac.is_assignable());
    let unusable = || DhcpError::Unusable {
        what: format!("MAC {bytes:02x?}"),
        expected: "a MAC that an interface can have",
    };
    mac.ok_or_else(unusable)
}

fn route_of(of_lease: &dhcp::Route, metric: Option<u32>) -> Result<Route, DhcpError> {
    let destination = net(of_lease.destination, of_lease.prefix_length, "a route")?;
    Ok(route(destination.trunc(), address(of_lease.gateway), metric))
}

fn route(destination: Ipv4Net, gateway: Option<Ipv4Addr>, metric: Option<u32>) -> Route {
    Route {
        dst: IpNet::V4(destination),
        gw: gateway.map(IpAddr::V4),
        mtu: None,
        advmss: None,
        priority: metric,
        table: None,
        scope: gateway.is_none().then_some(ON_LINK),
    }
}

fn net(bits: u32, prefix_length: u32, what: &str) -> Result<Ipv4Net, DhcpError> {
    let length = u8::try_from(prefix_length).ok();
    let net = length.and_then(|length| Ipv4Net::new(bits.into(), length).ok());
    net.ok_or_else(|| DhcpError::Unusable {
        what: format!("{what} with prefix length {prefix_length}"),
        expected: "at most 32",
    })
}

/// An address that is there.
fn address(bits: u32) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(bits)).filter(|address| !address.is_unspecified())
}
