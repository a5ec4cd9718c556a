//! `trunk`: the VLANs that a VF may tag its own frames with.

use linkspan_types::VlanId;

use crate::Invalid;
use crate::fields::Fields;

/// VLANs in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanRange {
    /// The first; never 0.
    pub first: VlanId,
    /// The last; not before the first.
    pub last: VlanId,
}

/// How many entries a list may have.
const MAX_RANGES: usize = 64;

/// Parses the list, which is accelerated-bridge-cni's; the ranges rise, and no two share a VLAN.
pub(super) fn parse(root: &Fields<'_>) -> Result<Vec<VlanRange>, Invalid> {
    const LIST: &str = "a list of VLANs such as [{\"id\": 100}, {\"minID\": 200, \"maxID\": 299}]";
    let entries = root.sections("trunk", LIST)?;
    if entries.len() > MAX_RANGES {
        let error = root.invalid("trunk", format!("at most {MAX_RANGES} entries"));
        return Err(
            error.advise("Join those that are neighbours: {\"minID\": 200, \"maxID\": 299}")
        );
    }
    let mut ranges: Vec<VlanRange> = Vec::new();
    for entry in &entries {
        let (key, range) = parse_range(entry)?;
        let overlaps = |other: &&VlanRange| range.first <= other.last && other.first <= range.last;
        if let Some(VlanRange { first, last }) = ranges.iter().find(overlaps) {
            let expected = format!("no VLAN that is there already, as part of {first}-{last}");
            return Err(entry.invalid(key, expected));
        }
        ranges.push(range);
    }
    ranges.sort_by_key(|range| range.first);
    if !ranges.is_empty() && root.is_set("vlan") {
        return Err(root
            .invalid("trunk", "no such key where `vlan` is set")
            .advise("Remove `vlan`: the pod tags its frames itself, or the PF does"));
    }
    Ok(ranges)
}

/// One entry, and the key that says where it begins.
fn parse_range(entry: &Fields<'_>) -> Result<(&'static str, VlanRange), Invalid> {
    const ID: &str = "a VLAN ID from 1 to 4094";
    entry.refuse_near_misses(&["id", "minID", "maxID"])?;
    let vlan = |key| match entry.number::<u16, VlanId>(key, ID)? {
        Some(vlan) if vlan == VlanId::default() => Err(entry.invalid(key, ID)),
        vlan => Ok(vlan),
    };
    match (vlan("id")?, vlan("minID")?, vlan("maxID")?) {
        (Some(id), None, None) => Ok(("id", VlanRange { first: id, last: id })),
        (None, Some(first), Some(last)) if first <= last => {
            Ok(("minID", VlanRange { first, last }))
        }
        (None, Some(first), Some(_)) => {
            Err(entry.invalid("maxID", format!("a VLAN ID not below `minID`, which is {first}")))
        }
        (Some(_), _, _) => Err(entry.invalid("id", "no such key beside `minID` and `maxID`")),
        (None, Some(_), None) => Err(entry.invalid("maxID", ID)),
        (None, None, Some(_)) => Err(entry.invalid("minID", ID)),
        (None, None, None) => Err(entry.invalid("id", ID)),
    }
}
