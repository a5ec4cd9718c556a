//! The device plugin's list of resources, and those of macvtap-cni.

use linkspan_config::resource_list::{DuplicateName, Resource, ResourceList};
use serde_json::Value;

use super::{Finding, Text};
use crate::peers::RESOURCE_KEYS;

/// The prefix of resources that name none, unless the device plugin is told another.
const DEFAULT_PREFIX: &str = "linkspan.dev";

/// A `config.json`.
pub(super) fn check(text: &Text<'_>, root: &Value) -> Vec<Finding> {
    let list = match ResourceList::from_json(root) {
        Ok(list) => list,
        Err(invalid) => return vec![text.invalid("", &invalid)],
    };
    let mut findings = same_names(text, &list);
    if findings.is_empty() {
        findings.push(text.fine(format!("resources that work: {}", list.resources.len())));
    }
    let sections = root.get("resourceList").and_then(Value::as_array).into_iter().flatten();
    for (index, section) in sections.enumerate() {
        let keys = section.as_object().into_iter().flatten().map(|(key, _)| key);
        for key in keys.filter(|key| !RESOURCE_KEYS.iter().any(|k| k.eq_ignore_ascii_case(key))) {
            let said = "the sriov-network-device-plugin ignores this key without a word, Linkspan heeds it";
            findings.push(text.note(&format!("resourceList[{index}].{key}"), said));
        }
    }
    findings
}

/// What macvtap-cni has in `DP_MACVTAP_CONF`.
pub(super) fn check_macvtap_cni(text: &Text<'_>) -> Vec<Finding> {
    match Resource::of_macvtap_cni(text.json) {
        Ok(resources) if resources.is_empty() => {
            vec![text.fine("macvtap-cni's resources: one for each link of the node".to_owned())]
        }
        Ok(resources) => {
            vec![text.fine(format!("macvtap-cni's resources that work: {}", resources.len()))]
        }
        Err(invalid) => {
            // The list has no key of its own in this text: its variable's name stands for it.
            let mut finding = text.invalid("", &invalid);
            let path = invalid.key.strip_prefix("DP_MACVTAP_CONF").unwrap_or_default();
            finding.line = text.lines.line(path);
            vec![finding]
        }
    }
}

/// Resources of one name: the device plugin refuses the file.
fn same_names(text: &Text<'_>, list: &ResourceList) -> Vec<Finding> {
    // A constant that is a prefix.
    let Ok(prefix) = DEFAULT_PREFIX.parse() else { return Vec::new() };
    let finding = |DuplicateName { name, first, second }| {
        let path = format!("resourceList[{second}].resourceName");
        let line = text.lines.line(&format!("resourceList[{first}].resourceName"));
        let said =
            format!("`{path}` is {name} like that in line {line}, expected a name of its own");
        text.error(&path, said)
    };
    list.duplicates(&prefix).into_iter().map(finding).collect()
}
