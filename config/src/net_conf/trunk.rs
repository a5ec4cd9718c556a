//! `trunk`: the VLANs that a VF may tag its own frames with.

use linkspan_types::{VlanId, VlanRange};

use crate::Invalid;
use crate::fields::Fields;

/// How many entries a list may have.
const MAX_RANGES: usize = 64;

/// The keys of an entry.
pub(super) const KEYS: &[&str] = &["id", "minID", "maxID"];

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
        let overlaps = |other: &&VlanRange| range.overlaps(**other);
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
    entry.refuse_near_misses(KEYS)?;
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

#[cfg(test)]
mod tests {
    use super::super::testing::{kind_of, refused};
    use crate::net_conf::KindConf;
    use serde_json::{Value, json};

    fn sriov() -> Value {
        json!({"type": "sriov", "deviceID": "0000:3b:02.1"})
    }

    fn trunk(keys: Value) -> Vec<(u16, u16)> {
        let KindConf::Sriov(conf) = kind_of(&sriov(), keys).unwrap() else {
            panic!("another kind")
        };
        conf.trunk.iter().map(|range| (range.first.into(), range.last.into())).collect()
    }

    #[test]
    fn vlans_come_alone_and_in_rows_and_rise() {
        let list = json!([{"minID": 200, "maxID": 299}, {"id": 100}, {"minID": 4094, "maxID": 4094}, {"id": 1}]);
        assert_eq!(
            trunk(json!({"trunk": list, "vlan": 0})),
            [(1, 1), (100, 100), (200, 299), (4094, 4094)]
        );
        assert_eq!(trunk(json!({"trunk": []})), []);
        assert_eq!(trunk(json!({"trunk": [], "vlan": 5})), []);
        let all: Vec<Value> = (1..=64).map(|id| json!({"id": 2 * id})).collect();
        assert_eq!(trunk(json!({"trunk": all})).len(), 64);
    }

    #[test]
    fn what_is_refused() {
        refused(
            &sriov(),
            [
                (
                    json!({"trunk": {"id": 1}}),
                    "`trunk` is {\"id\":1}, expected a list of VLANs such as [{\"id\": 100}, {\"minID\": 200, \"maxID\": 299}]",
                    "",
                ),
                (json!({"trunk": [100]}), "`trunk[0]` is 100, expected an object", ""),
                (
                    json!({"trunk": [{}]}),
                    "`trunk[0].id` is nothing, expected a VLAN ID from 1 to 4094",
                    "",
                ),
                (
                    json!({"trunk": [{"id": 5}, {"id": 0}]}),
                    "`trunk[1].id` is 0, expected a VLAN ID from 1 to 4094",
                    "",
                ),
                (
                    json!({"trunk": [{"id": 4095}]}),
                    "`trunk[0].id` is 4095, expected a VLAN ID from 1 to 4094",
                    "",
                ),
                (
                    json!({"trunk": [{"minID": 5}]}),
                    "`trunk[0].maxID` is nothing, expected a VLAN ID from 1 to 4094",
                    "",
                ),
                (
                    json!({"trunk": [{"maxID": 5}]}),
                    "`trunk[0].minID` is nothing, expected a VLAN ID from 1 to 4094",
                    "",
                ),
                (
                    json!({"trunk": [{"minID": 6, "maxID": 5}]}),
                    "`trunk[0].maxID` is 5, expected a VLAN ID not below `minID`, which is 6",
                    "",
                ),
                (
                    json!({"trunk": [{"id": 6, "minID": 6}]}),
                    "`trunk[0].id` is 6, expected no such key beside `minID` and `maxID`",
                    "",
                ),
                (
                    json!({"trunk": [{"ids": 6}]}),
                    "`trunk[0].ids` is 6, expected a key that is known",
                    "Write `id` if that is what `ids` means",
                ),
                (
                    json!({"trunk": [{"minID": 10, "maxID": 20}, {"id": 20}]}),
                    "`trunk[1].id` is 20, expected no VLAN that is there already, as part of 10-20",
                    "",
                ),
                (
                    json!({"trunk": [{"id": 10}, {"minID": 1, "maxID": 99}]}),
                    "`trunk[1].minID` is 1, expected no VLAN that is there already, as part of 10-10",
                    "",
                ),
                (
                    json!({"trunk": [{"id": 10}], "vlan": 5}),
                    "`trunk` is [{\"id\":10}], expected no such key where `vlan` is set",
                    "Remove `vlan`: the pod tags its frames itself, or the PF does",
                ),
            ],
        );
        let many: Vec<Value> = (1..=65).map(|id| json!({"id": id})).collect();
        let error = kind_of(&sriov(), json!({"trunk": many})).unwrap_err();
        assert!(error.to_string().ends_with("expected at most 64 entries"), "{error}");
        assert_eq!(
            error.advice.as_deref(),
            Some("Join those that are neighbours: {\"minID\": 200, \"maxID\": 299}")
        );
    }
}
