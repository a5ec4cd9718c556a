//! `ipam` of type host-local: sets of address ranges, each of which gives one address to a pod.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::range::{AddressRange, RangeError};
use super::route::{Route, parse_address, parse_routes};
use super::runtime::{RequestedIp, RuntimeInputs};
use crate::Invalid;
use crate::fields::Fields;

/// What host-local is to give to an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLocalConf {
    /// Where the reservations are, one directory for each network.
    pub data_dir: PathBuf,
    /// The sets in the order in which the reservation files number them: first the runtime's, then
    /// the one of the top level, then those of `ranges`. There is at least one.
    pub sets: Vec<RangeSet>,
    /// The routes for the result.
    pub routes: Vec<Route>,
    /// A file like `/etc/resolv.conf` to take the result's DNS from.
    pub resolv_conf: Option<PathBuf>,
}

/// Ranges of one family, which give one address together. No address is in two ranges, of this or
/// of another set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeSet {
    /// The ranges, in the order in which they are used up. There is at least one.
    pub ranges: Vec<AddressRange>,
    /// The address that was asked for; it is in one of the ranges and no gateway.
    pub requested: Option<IpAddr>,
}

impl RangeSet {
    /// The range that an address is in.
    #[must_use]
    pub fn range_of(&self, address: IpAddr) -> Option<&AddressRange> {
        self.ranges.iter().find(|range| range.contains(address))
    }
}

/// The place of the reservations where the configuration names none, which is the reference
/// plugin's.
pub const DEFAULT_DATA_DIR: &str = "/var/lib/cni/networks";

const RANGE_KEYS: [&str; 4] = ["subnet", "rangeStart", "rangeEnd", "gateway"];
const KEYS: [&str; 9] = [
    "type",
    "ranges",
    "subnet",
    "rangeStart",
    "rangeEnd",
    "gateway",
    "routes",
    "dataDir",
    "resolvConf",
];

impl HostLocalConf {
    /// Parses the section `ipam`; the root's `args.cni.ips`, `runtimeConfig` and the environment
    /// may ask for single addresses, and `runtimeConfig.ipRanges` adds sets.
    pub(super) fn parse(
        ipam: &Map<String, Value>,
        root: &Fields<'_>,
        runtime: &Fields<'_>,
        inputs: &RuntimeInputs,
    ) -> Result<Self, Invalid> {
        let fields = Fields::new(ipam, "ipam", &KEYS)?;
        let mut sets = parse_sets(runtime, "ipRanges")?;
        sets.extend(parse_top_level(&fields)?);
        sets.extend(parse_sets(&fields, "ranges")?);
        if sets.is_empty() {
            const EXPECTED: &str =
                "at least one set of ranges, such as [[{\"subnet\": \"10.1.2.0/24\"}]]";
            return Err(fields.invalid("ranges", EXPECTED));
        }
        refuse_overlap(&sets)?;
        let strip = |set: Vec<Placed>| set.into_iter().map(|placed| placed.range).collect();
        let mut sets: Vec<RangeSet> =
            sets.into_iter().map(|set| RangeSet { ranges: strip(set), requested: None }).collect();
        place_requests(&mut sets, &requests(root, runtime, inputs)?)?;
        Ok(Self {
            data_dir: data_dir(&fields)?,
            sets,
            routes: parse_routes(&fields)?,
            resolv_conf: fields.absolute_path("resolvConf")?,
        })
    }

    /// Every gateway: none of them is given to a pod.
    pub fn gateways(&self) -> impl Iterator<Item = IpAddr> {
        self.sets.iter().flat_map(|set| &set.ranges).map(AddressRange::gateway)
    }
}

/// The directory of the reservations.
pub(super) fn data_dir(ipam: &Fields<'_>) -> Result<PathBuf, Invalid> {
    Ok(ipam.absolute_path("dataDir")?.unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR)))
}

/// A range, and where it stands.
struct Placed {
    path: String,
    range: AddressRange,
}

fn parse_sets(fields: &Fields<'_>, key: &str) -> Result<Vec<Vec<Placed>>, Invalid> {
    const EXPECTED: &str =
        "a list of sets, each a list of ranges: [[{\"subnet\": \"10.1.2.0/24\"}]]";
    let mut sets = Vec::new();
    for (i, set) in fields.list(key, EXPECTED)?.iter().enumerate() {
        let path = format!("{}[{i}]", fields.path_of(key));
        let Some(items) = set.as_array().filter(|items| !items.is_empty()) else {
            return Err(Invalid::new(path, Some(set), "a list of one or more ranges")
                .advise("Put each set of ranges into brackets of its own: [[{\"subnet\": ...}]]"));
        };
        let mut ranges: Vec<Placed> = Vec::new();
        for (j, item) in items.iter().enumerate() {
            let path = format!("{path}[{j}]");
            let Value::Object(map) = item else {
                let expected = "a range such as {\"subnet\": \"10.1.2.0/24\"}";
                return Err(Invalid::new(path, Some(item), expected));
            };
            let fields = Fields::new(map, path.as_str(), &RANGE_KEYS)?;
            let range = parse_range(&fields)?;
            if ranges.first().is_some_and(|first| first.range.is_ipv4() != range.is_ipv4()) {
                let family = if range.is_ipv4() { "IPv6" } else { "IPv4" };
                return Err(fields
                    .invalid("subnet", format!("an {family} subnet, as the others of its set"))
                    .advise("For dual stack write one set for each family: [[{...}], [{...}]]"));
            }
            ranges.push(Placed { path, range });
        }
        sets.push(ranges);
    }
    Ok(sets)
}

/// The old form of a single range: its keys stand in `ipam` itself.
fn parse_top_level(fields: &Fields<'_>) -> Result<Option<Vec<Placed>>, Invalid> {
    let Some(set) = RANGE_KEYS.iter().find(|key| fields.get(key).is_some()) else {
        return Ok(None);
    };
    if fields.get("subnet").is_none() {
        // The reference plugin ignores such keys, which is never what was meant.
        return Err(fields
            .invalid(set, "no such key where `ipam.subnet` is not set")
            .advise(format!("Write `{set}` into the range of `ipam.ranges` that it belongs to")));
    }
    Ok(Some(vec![Placed { path: "ipam".to_owned(), range: parse_range(fields)? }]))
}

fn parse_range(fields: &Fields<'_>) -> Result<AddressRange, Invalid> {
    const SUBNET: &str = "a subnet such as 10.1.2.0/24 or fd00:1::/64";
    let subnet: IpNet = fields
        .text("subnet", SUBNET)?
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| fields.invalid("subnet", SUBNET))?;
    let start = parse_address(fields, "rangeStart")?;
    let end = parse_address(fields, "rangeEnd")?;
    let gateway = parse_address(fields, "gateway")?;
    AddressRange::new(subnet, start, end, gateway).map_err(|error| match error {
        RangeError::HostBits => fields
            .invalid("subnet", "a subnet without host bits")
            .advise(format!("Write {}", subnet.trunc())),
        RangeError::TooSmall => fields
            .invalid("subnet", "a subnet of four or more addresses: to /30 (IPv4), /126 (IPv6)"),
        RangeError::StartOutside => {
            fields.invalid("rangeStart", format!("an address for a pod in {subnet}"))
        }
        RangeError::EndOutside => {
            fields.invalid("rangeEnd", format!("an address for a pod in {subnet}"))
        }
        RangeError::EndBeforeStart => {
            let start = start.map_or_else(String::new, |start| format!(", {start},"));
            fields.invalid("rangeEnd", format!("an address not before `rangeStart`{start}"))
        }
        RangeError::GatewayFamily => {
            fields.invalid("gateway", format!("an address of the same family as {subnet}"))
        }
    })
}

fn refuse_overlap(sets: &[Vec<Placed>]) -> Result<(), Invalid> {
    let all: Vec<&Placed> = sets.iter().flatten().collect();
    for (i, second) in all.iter().enumerate() {
        if let Some(first) = all[..i].iter().find(|first| first.range.overlaps(&second.range)) {
            let shown = Value::String(second.range.to_string());
            let expected =
                format!("a range that shares no address with `{}`, {}", first.path, first.range);
            return Err(Invalid::new(second.path.as_str(), Some(&shown), expected)
                .advise("Set `rangeStart` and `rangeEnd` so that the two are apart"));
        }
    }
    Ok(())
}

/// A single address that is asked for, and where.
struct Request {
    key: String,
    address: IpAddr,
}

fn requests(
    root: &Fields<'_>,
    runtime: &Fields<'_>,
    inputs: &RuntimeInputs,
) -> Result<Vec<Request>, Invalid> {
    let key = "CNI_ARGS IP".to_owned();
    let mut all: Vec<Request> =
        inputs.ips.iter().map(|ip| Request { key: key.clone(), address: ip.address() }).collect();
    let empty = Map::new();
    let args = Fields::unchecked(root.object("args")?.unwrap_or(&empty), "args");
    let cni = Fields::unchecked(args.object("cni")?.unwrap_or(&empty), "args.cni");
    for fields in [&cni, runtime] {
        for (i, item) in fields.list("ips", "a list of addresses in quotes")?.iter().enumerate() {
            let key = format!("{}[{i}]", fields.path_of("ips"));
            let Some(ip) = item.as_str().and_then(|text| text.parse::<RequestedIp>().ok()) else {
                let expected = "an IP address in quotes, with or without a prefix length";
                return Err(Invalid::new(key, Some(item), expected));
            };
            // The prefix length that counts is the subnet's.
            all.push(Request { key, address: ip.address() });
        }
    }
    Ok(all)
}

fn place_requests(sets: &mut [RangeSet], requests: &[Request]) -> Result<(), Invalid> {
    let gateways: Vec<IpAddr> =
        sets.iter().flat_map(|set| &set.ranges).map(AddressRange::gateway).collect();
    let ranges: Vec<String> =
        sets.iter().flat_map(|set| &set.ranges).map(ToString::to_string).collect();
    for Request { key, address } in requests {
        let shown = Value::String(address.to_string());
        let invalid = |expected: String| Err(Invalid::new(key.as_str(), Some(&shown), expected));
        if gateways.contains(address) {
            return invalid("another address than a gateway's".to_owned());
        }
        let Some(set) = sets.iter_mut().find(|set| set.range_of(*address).is_some()) else {
            return invalid(format!("an address in {}", ranges.join(" or ")));
        };
        match set.requested {
            Some(other) if other != *address => {
                return invalid(format!(
                    "one address for each set of ranges, and {other} is asked for already"
                ));
            }
            _ => set.requested = Some(*address),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "host_local_tests.rs"]
mod tests;
