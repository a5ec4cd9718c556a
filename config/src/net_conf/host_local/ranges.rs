//! The sets of ranges, wherever they are written: in `ipam` itself, in its `ranges`, or in the
//! runtime's `ipRanges`.

use ipnet::IpNet;
use linkspan_types::ParseError;
use serde_json::Value;

use super::super::range::{AddressRange, RangeError};
use super::super::route::parse_address;
use super::super::spans::{Span, Spans};
use crate::Invalid;
use crate::fields::Fields;

pub(in super::super) const RANGE_KEYS: [&str; 5] =
    ["subnet", "rangeStart", "rangeEnd", "gateway", "exclude"];

/// Every set in the order in which the reservation files number them.
pub(super) fn parse(
    fields: &Fields<'_>,
    runtime: &Fields<'_>,
) -> Result<Vec<Vec<AddressRange>>, Invalid> {
    let mut sets = parse_sets(runtime, "ipRanges")?;
    sets.extend(parse_top_level(fields)?);
    sets.extend(parse_sets(fields, "ranges")?);
    if sets.is_empty() {
        const EXPECTED: &str =
            "at least one set of ranges, such as [[{\"subnet\": \"10.1.2.0/24\"}]]";
        return Err(fields.invalid("ranges", EXPECTED));
    }
    refuse_overlap(&sets)?;
    refuse_wholly_excluded(&sets)?;
    let strip = |set: Vec<Placed>| set.into_iter().map(|placed| placed.range).collect();
    Ok(sets.into_iter().map(strip).collect())
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
    let excluded = parse_exclude(fields, subnet)?;
    AddressRange::new(subnet, start, end, gateway, excluded).map_err(|error| match error {
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

/// What is excluded may go beyond the range and its subnet, but not lie outside altogether.
fn parse_exclude(fields: &Fields<'_>, subnet: IpNet) -> Result<Spans, Invalid> {
    const EXPECTED: &str = "a list of addresses, subnets and spans: [\"10.1.2.5\", \"10.1.2.64/28\", \"10.1.2.10-10.1.2.20\"]";
    let mut excluded = Spans::default();
    for (i, item) in fields.list("exclude", EXPECTED)?.iter().enumerate() {
        let invalid = |expected: &str| {
            Invalid::new(format!("{}[{i}]", fields.path_of("exclude")), Some(item), expected)
        };
        let span: Result<Span, ParseError> = item.as_str().unwrap_or_default().parse();
        let span = span.map_err(|e| invalid(e.expected))?;
        if !span.overlaps(&subnet.into()) {
            return Err(invalid(&format!("addresses of {subnet}")));
        }
        excluded.insert(span);
    }
    Ok(excluded)
}

fn refuse_overlap(sets: &[Vec<Placed>]) -> Result<(), Invalid> {
    let all: Vec<&Placed> = sets.iter().flatten().collect();
    for (i, second) in all.iter().enumerate() {
        if let Some(first) =
            all[..i].iter().find(|first| first.range.span().overlaps(&second.range.span()))
        {
            let shown = Value::String(second.range.to_string());
            let expected =
                format!("a range that shares no address with `{}`, {}", first.path, first.range);
            return Err(Invalid::new(second.path.as_str(), Some(&shown), expected)
                .advise("Set `rangeStart` and `rangeEnd` so that the two are apart"));
        }
    }
    Ok(())
}

/// A range that only has a gateway is the peer's to take; where excluding has left no more of one,
/// it is a mistake.
fn refuse_wholly_excluded(sets: &[Vec<Placed>]) -> Result<(), Invalid> {
    let all = || sets.iter().flatten();
    let excluded: Spans = all().flat_map(|placed| placed.range.excluded().iter()).collect();
    let mut withheld = excluded.clone();
    withheld.extend(all().map(|placed| placed.range.gateway()));
    let is_emptied = |range: &AddressRange| {
        let span = range.span();
        excluded.gaps(span).next() != Some(span) && withheld.gaps(span).next().is_none()
    };
    let Some(placed) = all().find(|placed| is_emptied(&placed.range)) else { return Ok(()) };
    let shown = Value::String(placed.range.to_string());
    let expected = "a range of which `exclude` and the gateways leave an address";
    Err(Invalid::new(placed.path.as_str(), Some(&shown), expected))
}
