//! Routes through a link.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, Parseable};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteNextHop,
    RouteNextHopFlags, RouteProtocol, RouteScope, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::RouteMessageBuilder;

use crate::netlink::{NetlinkError, RouteSocket};

const MAIN_TABLE: u32 = RouteHeader::RT_TABLE_MAIN as u32;

/// A route as the CNI specification describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub destination: IpNet,
    /// The next hop; none where the destination is on the link. An IPv4 route may have one of IPv6.
    pub gateway: Option<IpAddr>,
    /// The metric; the lowest wins. None is 0 for IPv4 and 1024 for IPv6.
    pub priority: Option<u32>,
    /// The routing table; none is the main one.
    pub table: Option<u32>,
    /// The scope, as in `/etc/iproute2/rt_scopes`: 0 global, 253 link, 254 host. None is what the kernel
    /// takes; IPv6 has no scopes, they read as 0.
    pub scope: Option<u8>,
    /// The largest packet along the route, in bytes.
    pub mtu: Option<u32>,
    /// The largest TCP segment to announce, in bytes.
    pub advertised_mss: Option<u32>,
}

impl Route {
    /// Whether `found`, as [`RouteSocket::routes`] has read it, is this route. What this one leaves to the
    /// kernel may be as it likes.
    #[must_use]
    pub fn is(&self, found: &Self) -> bool {
        let is_v4 = self.destination.addr().is_ipv4();
        let asked = |asked: Option<u32>, found| asked.is_none_or(|value| Some(value) == found);
        self.destination.trunc() == found.destination
            && self.gateway == found.gateway
            && self.table.unwrap_or(MAIN_TABLE) == found.table.unwrap_or(MAIN_TABLE)
            && self.priority.is_none_or(|metric| found.priority.unwrap_or(0) == metric)
            && (!is_v4 || self.scope.is_none_or(|scope| Some(scope) == found.scope))
            && asked(self.mtu, found.mtu)
            && asked(self.advertised_mss, found.advertised_mss)
    }
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

    /// Removes a route through a link, whoever has added it.
    pub fn remove_route(&mut self, index: u32, route: &Route) -> Result<(), NetlinkError> {
        let action = || format!("remove the route to {} through link {index}", route.destination);
        let mut message = message(index, route).map_err(|e| NetlinkError::garbled(&action(), e))?;
        // Whoever has added it.
        message.header.protocol = RouteProtocol::Unspec;
        self.change(RouteNetlinkMessage::DelRoute(message), 0, action)
    }

    /// All unicast routes through a link, of both families and in all tables, those that the kernel has
    /// added by itself among them. Of a route over several links it is the path through this one.
    pub fn routes(&mut self, index: u32) -> Result<Vec<Route>, NetlinkError> {
        let action = || format!("list the routes through link {index}");
        let mut all = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RouteMessage::default();
            request.header.kind = RouteType::Unicast;
            request.attributes.push(RouteAttribute::Oif(index));
            for found in self.dump_routes(family, request, action)? {
                let ways = found.ways.iter().filter(|way| way.link == Some(index));
                all.extend(ways.map(|way| Route { gateway: way.gateway, ..found.route.clone() }));
            }
        }
        Ok(all)
    }

    /// The link that the main table's default route goes by: of several the one with the lowest metric,
    /// and of those IPv4's.
    pub fn default_route_link(&mut self) -> Result<Option<u32>, NetlinkError> {
        let mut best: Option<(u32, u32)> = None;
        for found in self.default_routes()? {
            let metric = found.route.priority.unwrap_or(0);
            if let Some(link) = found.ways.iter().find_map(|way| way.link)
                && best.is_none_or(|(lowest, _)| metric < lowest)
            {
                best = Some((metric, link));
            }
        }
        Ok(best.map(|(_, link)| link))
    }

    /// All links that a default route of the main table goes by, of either family and with any metric.
    pub fn default_route_links(&mut self) -> Result<Vec<u32>, NetlinkError> {
        let routes = self.default_routes()?;
        let links = routes.iter().flat_map(|found| found.ways.iter().filter_map(|way| way.link));
        Ok(links.collect())
    }

    /// The main table's default routes, IPv4's before IPv6's.
    fn default_routes(&mut self) -> Result<Vec<Found>, NetlinkError> {
        let action = || "look for the default route".to_owned();
        let mut all = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RouteMessage::default();
            request.header.kind = RouteType::Unicast;
            request.header.table = RouteHeader::RT_TABLE_MAIN;
            let found = match self.dump_routes(family, request, action) {
                // A family that never had an address has no tables.
                Err(e) if e.is_missing() => Vec::new(),
                found => found?,
            };
            all.extend(found.into_iter().filter(|found| {
                found.route.destination.prefix_len() == 0 && found.route.table == Some(MAIN_TABLE)
            }));
        }
        Ok(all)
    }

    fn dump_routes(
        &mut self,
        family: AddressFamily,
        mut request: RouteMessage,
        action: impl Fn() -> String,
    ) -> Result<Vec<Found>, NetlinkError> {
        request.header.address_family = family;
        let mut all = Vec::new();
        for reply in self.dump_some(&RouteNetlinkMessage::GetRoute(request), &action)? {
            let message = RouteMessage::parse(reply.as_slice())
                .map_err(|e| NetlinkError::garbled(&action(), e))?;
            if message.header.kind == RouteType::Unicast {
                all.extend(Found::from_message(&message));
            }
        }
        Ok(all)
    }
}

/// A route as the kernel tells it.
struct Found {
    /// Without a gateway: that belongs to the ways.
    route: Route,
    /// The paths that can be taken.
    ways: Vec<Way>,
}

#[derive(Default)]
struct Way {
    link: Option<u32>,
    gateway: Option<IpAddr>,
}

impl Found {
    fn from_message(message: &RouteMessage) -> Option<Self> {
        let any: IpAddr = match message.header.address_family {
            AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
            _ => Ipv6Addr::UNSPECIFIED.into(),
        };
        let mut destination = any;
        let mut route = Route {
            destination: any.into(),
            gateway: None,
            priority: None,
            table: Some(message.header.table.into()),
            scope: Some(message.header.scope.into()),
            mtu: None,
            advertised_mss: None,
        };
        let mut only = Way::default();
        let mut ways = Vec::new();
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(to) => destination = ip(to)?,
                RouteAttribute::Table(table) => route.table = Some(*table),
                RouteAttribute::Priority(metric) => route.priority = Some(*metric),
                RouteAttribute::MultiPath(hops) => ways.extend(hops.iter().filter_map(Way::of_hop)),
                RouteAttribute::Metrics(metrics) => {
                    for metric in metrics {
                        match metric {
                            RouteMetric::Mtu(mtu) => route.mtu = Some(*mtu),
                            RouteMetric::Advmss(mss) => route.advertised_mss = Some(*mss),
                            _ => {}
                        }
                    }
                }
                other => only.take(other),
            }
        }
        if ways.is_empty() {
            ways.push(only);
        }
        route.destination =
            IpNet::new(destination, message.header.destination_prefix_length).ok()?;
        Some(Self { route, ways })
    }
}

impl Way {
    fn of_hop(hop: &RouteNextHop) -> Option<Self> {
        let mut way = Self { link: Some(hop.interface_index), gateway: None };
        for attribute in &hop.attributes {
            way.take(attribute);
        }
        (!hop.flags.contains(RouteNextHopFlags::Dead)).then_some(way)
    }

    fn take(&mut self, attribute: &RouteAttribute) {
        match attribute {
            RouteAttribute::Oif(index) => self.link = Some(*index),
            RouteAttribute::Gateway(address) => self.gateway = ip(address),
            RouteAttribute::Via(RouteVia::Inet(address)) => self.gateway = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => self.gateway = Some((*address).into()),
            _ => {}
        }
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
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
