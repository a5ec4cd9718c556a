//! Routes through a link.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteMetric, RouteScope};
use rtnetlink::RouteMessageBuilder;

use crate::netlink::{NetlinkError, RouteSocket};

/// A route as the CNI specification describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub destination: IpNet,
    /// The next hop; none where the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The metric; the lowest wins.
    pub priority: Option<u32>,
    /// The routing table; none is the main one.
    pub table: Option<u32>,
    /// The scope, as in `/etc/iproute2/rt_scopes`: 0 global, 253 link, 254 host.
    pub scope: Option<u8>,
    /// The largest packet along the route, in bytes.
    pub mtu: Option<u32>,
    /// The largest TCP segment to announce, in bytes.
    pub advertised_mss: Option<u32>,
}

impl RouteSocket {
    /// Adds a route through a link. A second route to the same place becomes one more path to it.
    pub fn add_route(&mut self, index: u32, route: &Route) -> Result<(), NetlinkError> {
        let action = || {
            let via = route.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
            format!("add a route to {}{via} through link {index}", route.destination)
        };
        let message = message(index, route).map_err(|e| NetlinkError::garbled(&action(), e))?;
        let flags = NLM_F_CREATE | NLM_F_APPEND;
        self.change(RouteNetlinkMessage::NewRoute(message), flags, action)
    }
}

/// Fails only where destination and gateway don't go together.
fn message(index: u32, route: &Route) -> Result<RouteMessage, String> {
    let destination = route.destination.trunc();
    let mut builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(destination.addr(), destination.prefix_len())
        .map_err(|e| e.to_string())?
        .output_interface(index);
    builder = match (route.gateway, route.scope) {
        (_, Some(scope)) => builder.scope(RouteScope::from(scope)),
        // The kernel takes a next hop without a gateway only for a destination on the link.
        (None, None) if destination.addr().is_ipv4() => builder.scope(RouteScope::Link),
        (_, None) => builder,
    };
    if let Some(gateway) = route.gateway {
        builder = builder.gateway(gateway).map_err(|e| e.to_string())?;
    }
    if let Some(priority) = route.priority {
        builder = builder.priority(priority);
    }
    if let Some(table) = route.table {
        builder = builder.table_id(table);
    }
    let mut message = builder.build();
    let metrics: Vec<RouteMetric> = (route.mtu.map(RouteMetric::Mtu).into_iter())
        .chain(route.advertised_mss.map(RouteMetric::Advmss))
        .collect();
    if !metrics.is_empty() {
        message.attributes.push(RouteAttribute::Metrics(metrics));
    }
    Ok(message)
}
