//! The device plugin's list of resources, and those of macvtap-cni.

use linkspan_config::resource_list::{Resource, ResourceList};
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
    let mut findings = same_names(text, &list.resources);
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

/// Two resources of one name: the device plugin refuses the file.
fn same_names(text: &Text<'_>, resources: &[Resource]) -> Vec<Finding> {
    let whole = |resource: &Resource| {
        let prefix =
            resource.prefix.as_ref().map_or(DEFAULT_PREFIX.to_owned(), ToString::to_string);
        format!("{prefix}/{}", resource.name)
    };
    // Links of shares are called after the resource alone.
    let collide = |one: &Resource, other: &Resource| {
        let have_shares = one.shares.is_some() && other.shares.is_some();
        whole(one) == whole(other) || (have_shares && one.name == other.name)
    };
    let mut findings = Vec::new();
    for (second, resource) in resources.iter().enumerate() {
        if let Some(first) = resources[..second].iter().position(|other| collide(other, resource)) {
            let path = format!("resourceList[{second}].resourceName");
            let line = text.lines.line(&format!("resourceList[{first}].resourceName"));
            let said = format!(
                "`{path}` is {} like that in line {line}, expected a name of its own",
                whole(resource)
            );
            findings.push(text.error(&path, said));
        }
    }
    findings
}
