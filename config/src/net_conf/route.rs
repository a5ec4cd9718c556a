//! Routes and name servers, as an `ipam` section asks for them and as a result carries them.

use std::net::IpAddr;

use ipnet::IpNet;
use linkspan_types::Mtu;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Invalid;
use crate::fields::Fields;

/// The keys of a route, ...
pub(super) const ROUTE_KEYS: &[&str] =
    &["dst", "gw", "mtu", "advmss", "priority", "table", "scope"];
/// ... and those of a resolver's settings.
pub(super) const DNS_KEYS: &[&str] = &["nameservers", "domain", "search", "options"];

/// A route (CNI 1.1.0, section 5, `routes`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub dst: IpNet,
    /// The next hop; without one the plugin takes the gateway of the addresses.
    pub gw: Option<IpAddr>,
    /// The MTU along the route, in bytes.
    pub mtu: Option<u32>,
    /// The largest TCP segment to announce along the route, in bytes.
    pub advmss: Option<u32>,
    /// The metric; the lowest wins.
    pub priority: Option<u32>,
    /// The routing table.
    pub table: Option<u32>,
    /// The scope: 0 global, 253 link, 254 host.
    pub scope: Option<u8>,
}

/// What a pod needs to resolve names (CNI 1.1.0, section 5, `dns`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// Name servers, by preference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// The local domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Domains to search short names in, by preference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options for the resolver.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Dns {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The `dns` of the root, or of an `ipam` section.
    pub(super) fn parse(place: &Fields<'_>) -> Result<Self, Invalid> {
        let fields = place.inside("dns")?;
        fields.refuse_near_misses(DNS_KEYS)?;
        Ok(Self {
            nameservers: fields.texts("nameservers", "a list of addresses in quotes")?,
            domain: fields.text("domain", "a domain in quotes")?.map(str::to_owned),
            search: fields.texts("search", "a list of domains in quotes")?,
            options: fields.texts("options", "a list of resolver options in quotes")?,
        })
    }
}

/// The routes of an `ipam` section.
pub(super) fn parse_routes(ipam: &Fields<'_>) -> Result<Vec<Route>, Invalid> {
    const EXPECTED: &str = "a list of routes such as [{\"dst\": \"0.0.0.0/0\"}]";
    let mut routes = Vec::new();
    for (index, item) in ipam.list("routes", EXPECTED)?.iter().enumerate() {
        let path = format!("{}[{index}]", ipam.path_of("routes"));
        let Value::Object(map) = item else {
            return Err(Invalid::new(path, Some(item), "a route such as {\"dst\": \"0.0.0.0/0\"}"));
        };
        routes.push(parse_route(map, path)?);
    }
    Ok(routes)
}

fn parse_route(map: &Map<String, Value>, path: String) -> Result<Route, Invalid> {
    const NUMBER: &str = "a number from 0 to 4294967295";
    const DST: &str = "a destination such as 0.0.0.0/0 or 10.2.0.0/16";
    let fields = Fields::new(map, path, ROUTE_KEYS)?;
    let dst: IpNet = fields
        .text("dst", DST)?
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| fields.invalid("dst", DST))?;
    if dst != dst.trunc() {
        // The kernel refuses such a route with no more than "Invalid argument".
        return Err(fields.invalid("dst", "a network without host bits").advise(format!(
            "Write {}, or {}/{}",
            dst.trunc(),
            dst.addr(),
            dst.max_prefix_len()
        )));
    }
    let gw = parse_address(&fields, "gw")?;
    if gw.is_some_and(|gw| gw.is_ipv4() != dst.addr().is_ipv4()) {
        return Err(fields.invalid("gw", format!("an address of the same family as {dst}")));
    }
    Ok(Route {
        dst,
        gw,
        mtu: fields.number::<u32, Mtu>("mtu", "an MTU from 68 to 65535")?.map(u32::from),
        advmss: fields.number::<u32, u32>("advmss", NUMBER)?,
        priority: fields.number::<u32, u32>("priority", NUMBER)?,
        table: fields.number::<u32, u32>("table", NUMBER)?,
        scope: fields
            .number::<u8, u8>("scope", "a scope from 0 to 255: 0 global, 253 link, 254 host")?,
    })
}

/// One address; an IPv4 one that is written as IPv6 (`::ffff:10.0.0.1`) is IPv4.
pub(super) fn parse_address(fields: &Fields<'_>, key: &str) -> Result<Option<IpAddr>, Invalid> {
    const EXPECTED: &str = "an IP address in quotes, without a prefix length";
    let Some(text) = fields.text(key, EXPECTED)? else { return Ok(None) };
    let address: IpAddr = text.parse().map_err(|_| fields.invalid(key, EXPECTED))?;
    Ok(Some(address.to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(routes: &Value) -> Result<Vec<Route>, String> {
        let map: Map<String, Value> = serde_json::from_value(json!({"routes": routes})).unwrap();
        parse_routes(&Fields::unchecked(&map, "ipam")).map_err(|e| e.to_string())
    }

    #[test]
    fn a_route_has_all_of_the_specs_keys() {
        let routes = json!([
            {"dst": "0.0.0.0/0"},
            {"dst": "fd00:1::/64", "gw": "fd00::1", "mtu": 1400, "advmss": 1340, "priority": 50,
             "table": 100, "scope": 253},
        ]);
        let routes = parse(&routes).unwrap();
        assert_eq!(routes[0].gw, None);
        assert_eq!(routes[1].gw, "fd00::1".parse().ok());
        assert_eq!(routes[1].mtu, Some(1400));
        assert_eq!(routes[1].scope, Some(253));
    }

    #[test]
    fn what_is_refused() {
        let table = [
            (
                json!({}),
                "`ipam.routes` is {}, expected a list of routes such as [{\"dst\": \"0.0.0.0/0\"}]",
            ),
            (
                json!([{}]),
                "`ipam.routes[0].dst` is nothing, \
                 expected a destination such as 0.0.0.0/0 or 10.2.0.0/16",
            ),
            (
                json!([{"dst": "10.2.0.1/16"}]),
                "`ipam.routes[0].dst` is \"10.2.0.1/16\", expected a network without host bits",
            ),
            (
                json!([{"dst": "0.0.0.0/0", "gw": "fd00::1"}]),
                "`ipam.routes[0].gw` is \"fd00::1\", \
                 expected an address of the same family as 0.0.0.0/0",
            ),
            (
                json!([{"dst": "0.0.0.0/0", "mtu": 1}]),
                "`ipam.routes[0].mtu` is 1, expected an MTU from 68 to 65535",
            ),
            (
                json!([{"dst": "0.0.0.0/0", "prioirty": 1}]),
                "`ipam.routes[0].prioirty` is 1, expected a key that is known",
            ),
        ];
        for (routes, message) in table {
            assert_eq!(parse(&routes), Err(message.to_owned()));
        }
    }
}
