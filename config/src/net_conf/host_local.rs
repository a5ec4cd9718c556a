//! `ipam` of type host-local: sets of address ranges, each of which gives one address to a pod.

pub(super) mod ranges;

use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::range::AddressRange;
use super::route::{Route, parse_routes};
use super::runtime::{RequestedIp, RuntimeInputs};
use super::spans::Spans;
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
    /// The address that was asked for; it is in one of the ranges, no gateway and not excluded.
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

pub(super) const KEYS: [&str; 10] = [
    "type",
    "ranges",
    "subnet",
    "rangeStart",
    "rangeEnd",
    "gateway",
    "exclude",
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
        let ranges = ranges::parse(&fields, runtime)?;
        let set = |ranges| RangeSet { ranges, requested: None };
        let mut conf = Self {
            data_dir: data_dir(&fields)?,
            sets: ranges.into_iter().map(set).collect(),
            routes: parse_routes(&fields)?,
            resolv_conf: fields.absolute_path("resolvConf")?,
        };
        conf.place(&requests(root, runtime, inputs)?)?;
        Ok(conf)
    }

    /// The addresses that no pod gets, whichever range they are in: every gateway, and what is
    /// excluded.
    #[must_use]
    pub fn withheld(&self) -> Spans {
        let mut withheld = Spans::default();
        for range in self.ranges() {
            withheld.extend(range.excluded().iter());
            withheld.insert(range.gateway());
        }
        withheld
    }

    /// Notes what is asked for with the sets that it is asked of.
    fn place(&mut self, requests: &[Request]) -> Result<(), Invalid> {
        for Request { key, address } in requests {
            let shown = Value::String(address.to_string());
            let invalid = |expected: &str| Invalid::new(key.as_str(), Some(&shown), expected);
            if self.ranges().any(|range| range.gateway() == *address) {
                return Err(invalid("another address than a gateway's"));
            }
            if self.ranges().any(|range| range.excluded().contains(*address)) {
                return Err(invalid("an address that no range excludes")
                    .advise("Ask for another address, or take this one out of `exclude`"));
            }
            let Some(set) = self.sets.iter_mut().find(|set| set.range_of(*address).is_some())
            else {
                return Err(invalid(&format!("an address in {}", listed(self.ranges()))));
            };
            match set.requested {
                Some(other) if other != *address => {
                    return Err(invalid(&format!(
                        "one address for each set of ranges, and {other} is asked for already"
                    )));
                }
                _ => set.requested = Some(*address),
            }
        }
        Ok(())
    }

    fn ranges(&self) -> impl Iterator<Item = &AddressRange> {
        self.sets.iter().flat_map(|set| &set.ranges)
    }
}

/// The ranges for a message, but not very many of them.
fn listed<'a>(ranges: impl Iterator<Item = &'a AddressRange>) -> String {
    let mut texts: Vec<String> = ranges.map(ToString::to_string).collect();
    if texts.len() > 8 {
        let more = texts.split_off(7).len();
        texts.push(format!("one of {more} other ranges"));
    }
    texts.join(" or ")
}

/// The directory of the reservations.
pub(super) fn data_dir(ipam: &Fields<'_>) -> Result<PathBuf, Invalid> {
    Ok(ipam.absolute_path("dataDir")?.unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR)))
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

#[cfg(test)]
#[path = "host_local_tests.rs"]
mod tests;
