//! A network's configuration: whether ADD would take it, and what a peer would pass over.

use linkspan_config::Invalid;
use linkspan_config::net_conf::{IpamCall, KindName, StatusConf};
use serde_json::{Map, Value};

use super::{Finding, Text};
use crate::peers;

/// One plugin's configuration, and what is said of it.
enum Checked {
    /// It is ours to take.
    Own(Box<StatusConf>),
    /// Another's, whose addresses we might give.
    Other,
}

/// A configuration of a single plugin.
pub(super) fn check_single(text: &Text<'_>, config: &Map<String, Value>) -> Vec<Finding> {
    let (checked, mut findings) = check_plugin(text, "", &with_name(config, text.default_name));
    match checked {
        Some(Checked::Own(conf)) => {
            findings.push(
                text.fine(format!("network {} of kind {}, which works", conf.name, conf.kind)),
            );
        }
        Some(Checked::Other) => {
            findings.push(
                text.fine(
                    "a network of somebody else's plugin, which was not looked at".to_owned(),
                ),
            );
        }
        None => {}
    }
    findings
}

/// Each plugin of a list gets the list's name and version (CNI 1.1.0, section 3).
pub(super) fn check_chain(text: &Text<'_>, list: &Map<String, Value>) -> Vec<Finding> {
    let Some(plugins) = list.get("plugins").and_then(Value::as_array) else {
        return vec![
            text.error("plugins", "`plugins` is no list, expected a list of plugins".to_owned()),
        ];
    };
    let list = with_name(list, text.default_name);
    let (mut own, mut findings) = (0, Vec::new());
    for (index, plugin) in plugins.iter().enumerate() {
        let place = format!("plugins[{index}]");
        let Some(plugin) = plugin.as_object() else {
            findings.push(text.error(&place, format!("`{place}` is {plugin}, expected an object")));
            continue;
        };
        let mut config = plugin.clone();
        for key in ["name", "cniVersion"] {
            if let Some(value) = list.get(key) {
                config.insert(key.to_owned(), value.clone());
            }
        }
        let (checked, said) = check_plugin(text, &place, &config);
        own += usize::from(matches!(checked, Some(Checked::Own(_))));
        findings.extend(said);
        if own > 0 && plugin.get("type").and_then(Value::as_str) == Some("bandwidth") {
            let said =
                "the plugin bandwidth works on veth links only, and fails behind this network's";
            findings.push(text.note(&format!("{place}.type"), said));
        }
    }
    if findings.iter().all(|finding| finding.verdict < super::Verdict::Error) {
        let others = plugins.len() - own;
        findings.push(
            text.fine(format!("plugins that work: {own}; of others, not looked at: {others}")),
        );
    }
    findings
}

fn with_name(config: &Map<String, Value>, name: Option<&str>) -> Map<String, Value> {
    let mut config = config.clone();
    if let (None | Some(""), Some(name)) = (config.get("name").and_then(Value::as_str), name) {
        config.insert("name".to_owned(), name.into());
    }
    config
}

fn check_plugin(
    text: &Text<'_>,
    place: &str,
    config: &Map<String, Value>,
) -> (Option<Checked>, Vec<Finding>) {
    let path = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match check_network(config) {
        None => {
            let refused = check_ipam(config).map(|(name, invalid)| {
                let said = format!("{invalid}; under the name {name} Linkspan would refuse it");
                text.note(&path(&invalid.key), &said)
            });
            (Some(Checked::Other), refused.into_iter().collect())
        }
        Some(Err(invalid)) => {
            let mut finding = text.invalid(place, &invalid);
            let kind = kind_of(config);
            if let Some(said) = kind.and_then(|kind| peers::taken_by_peer(kind, &invalid.key)) {
                finding.text = format!("{} ({said})", finding.text);
            }
            (None, vec![finding])
        }
        Some(Ok(conf)) => {
            let ignored = peers::ignored(config, conf.kind);
            let mut notes: Vec<Finding> =
                ignored.iter().map(|key| text.note(&path(&key.path), &key.text)).collect();
            let named = ["deviceID", "resourceName"].iter().any(|key| config.contains_key(*key));
            if conf.kind == KindName::Sriov && !named && !text.has_resource {
                let said = "nobody says which VF: set it, or let Multus: by the annotation \
                            k8s.v1.cni.cncf.io/resourceName of the NetworkAttachmentDefinition";
                notes.push(text.note(&path("resourceName"), said));
            }
            (Some(Checked::Own(conf.into())), notes)
        }
    }
}

/// Checks what ADD would check; nothing where it is another plugin that is called.
pub(crate) fn check_network(config: &Map<String, Value>) -> Option<Result<StatusConf, Invalid>> {
    let name = config.get("type").and_then(Value::as_str).unwrap_or_default();
    let called_as: Option<KindName> = name.parse().ok();
    (called_as.is_some() || name == "linkspan").then(|| StatusConf::parse(config, called_as))
}

/// What Linkspan would refuse where it is called as the IPAM plugin of another's network.
fn check_ipam(config: &Map<String, Value>) -> Option<(String, Invalid)> {
    let (name, _) = peers::ipam_of(config)?;
    let refused = IpamCall::parse_for_status(config, name).err()?;
    Some((name.to_string(), refused))
}

fn kind_of(config: &Map<String, Value>) -> Option<KindName> {
    let text = |key| config.get(key).and_then(Value::as_str);
    text("kind").or_else(|| text("type"))?.parse().ok()
}
