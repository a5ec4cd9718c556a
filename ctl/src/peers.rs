//! What the programs that Linkspan can stand in for read of a configuration, so that it can be said what each of
//! them passes over.

use linkspan_config::net_conf::{
    IpamName, KindName, known_ipam_keys, known_keys, known_keys_below,
};
use serde_json::{Map, Value};

/// A key that some program passes over without a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ignored {
    /// Where the key is.
    pub(super) path: String,
    /// Who ignores it, as a sentence.
    pub(super) text: String,
    /// Whether Linkspan reads it: then a change of program is a change of what the pod gets.
    pub(super) is_ours: bool,
}

/// The keys of the specification and of Multus, which no plugin is known to trip over.
const EVERYBODYS: [&str; 17] = [
    "cniVersion",
    "cniVersions",
    "name",
    "type",
    "kind",
    "plugins",
    "disableCheck",
    "disableGC",
    "loadOnlyInlinedPlugins",
    "capabilities",
    "args",
    "runtimeConfig",
    "prevResult",
    "dns",
    "ipMasq",
    "pciBusID",
    "resourceName",
];

/// The keys of one resource that the sriov-network-device-plugin reads.
pub(super) const RESOURCE_KEYS: [&str; 6] = [
    "resourceName",
    "resourcePrefix",
    "deviceType",
    "excludeTopology",
    "selectors",
    "additionalInfo",
];

/// The program that a kind stands in for.
pub(super) fn main_peer(kind: KindName) -> &'static str {
    match kind {
        KindName::Sriov => "sriov-cni",
        KindName::Macvlan => "the reference plugin macvlan",
        KindName::Ipvlan => "the reference plugin ipvlan",
        KindName::Macvtap => "macvtap-cni",
    }
}

fn main_keys(kind: KindName) -> &'static [&'static str] {
    match kind {
        KindName::Sriov => &[
            "deviceID",
            "vlan",
            "vlanQoS",
            "vlanProto",
            "mac",
            "spoofchk",
            "trust",
            "link_state",
            "min_tx_rate",
            "max_tx_rate",
            "logLevel",
            "logFile",
            "ipam",
        ],
        KindName::Macvlan => {
            &["master", "mode", "mtu", "mac", "linkInContainer", "bcqueuelen", "ipam", "deviceID"]
        }
        KindName::Ipvlan => &["master", "mode", "mtu", "linkInContainer", "ipam", "deviceID"],
        // Its README tells of `mac`, which the program does not read.
        KindName::Macvtap => &["deviceID", "mtu", "promiscMode", "owner", "group"],
    }
}

fn ipam_keys(name: IpamName) -> &'static [&'static str] {
    match name {
        IpamName::HostLocal => &[
            "type",
            "ranges",
            "subnet",
            "rangeStart",
            "rangeEnd",
            "gateway",
            "routes",
            "dataDir",
            "resolvConf",
        ],
        IpamName::Static => &["type", "addresses", "routes", "dns"],
        IpamName::Dhcp => &["type", "daemonSocketPath", "provide", "request", "priority"],
    }
}

/// Of the keys below those of a section, what no peer reads.
const OURS_BELOW: [&str; 1] = ["exclude"];

/// The keys of a network that Linkspan or, where it is written in a peer's style, that peer ignores.
pub(super) fn ignored(config: &Map<String, Value>, kind: KindName) -> Vec<Ignored> {
    let is_peers = config.get("type").and_then(Value::as_str) == Some(kind.to_string().as_str())
        && !config.contains_key("kind");
    let ours = known_keys(kind);
    let theirs = [&EVERYBODYS[..], main_keys(kind)].concat();
    let peer = is_peers.then(|| (main_peer(kind), theirs));
    let mut all =
        ignored_in("", config, &ours, peer.as_ref().map(|(name, keys)| (*name, &keys[..])));
    all.extend(ignored_below("", config, is_peers.then(|| main_peer(kind))));
    if let Some((name, section)) = ipam_of(config) {
        let reference = format!("the reference plugin {name}");
        let peer = is_peers.then_some((reference.as_str(), ipam_keys(name)));
        all.extend(ignored_in("ipam.", section, known_ipam_keys(name), peer));
        all.extend(ignored_below("ipam.", section, peer.map(|(name, _)| name)));
    }
    all
}

/// The section of an IPAM plugin that Linkspan can stand in for.
pub(super) fn ipam_of(config: &Map<String, Value>) -> Option<(IpamName, &Map<String, Value>)> {
    let section = config.get("ipam")?.as_object()?;
    let name = section.get("type")?.as_str()?.parse().ok()?;
    Some((name, section))
}

/// The same of the objects below a section's keys: ranges, routes, resolvers' settings.
fn ignored_below(place: &str, section: &Map<String, Value>, peer: Option<&str>) -> Vec<Ignored> {
    let mut all = Vec::new();
    for (key, value) in section {
        let Some(known) = known_keys_below(key) else { continue };
        let theirs: Vec<&str> =
            known.iter().copied().filter(|key| !OURS_BELOW.contains(key)).collect();
        let mut objects = Vec::new();
        objects_of(format!("{place}{key}"), value, &mut objects);
        for (path, object) in objects {
            let peer = peer.map(|name| (name, &theirs[..]));
            all.extend(ignored_in(&format!("{path}."), object, known, peer));
        }
    }
    all
}

/// The objects that a value is, or has in its lists, each with its path.
fn objects_of<'a>(
    path: String,
    value: &'a Value,
    found: &mut Vec<(String, &'a Map<String, Value>)>,
) {
    match value {
        Value::Object(object) => found.push((path, object)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                objects_of(format!("{path}[{index}]"), item, found);
            }
        }
        _ => {}
    }
}

fn ignored_in(
    place: &str,
    object: &Map<String, Value>,
    ours: &[&str],
    peer: Option<(&str, &[&str])>,
) -> Vec<Ignored> {
    let is_in = |keys: &[&str], key: &str| keys.iter().any(|known| known.eq_ignore_ascii_case(key));
    // A key under a domain, like `cni.dev/attachments`, belongs to that domain's owner.
    let keys = object.iter().filter(|(key, value)| !key.contains('/') && !value.is_null());
    let said = keys.filter_map(|(key, _)| {
        let is_ours = is_in(ours, key);
        let text = match peer {
            Some((name, theirs)) if !is_in(theirs, key) && is_ours => {
                format!("{name} ignores this key without a word, Linkspan heeds it")
            }
            Some((name, theirs)) if !is_in(theirs, key) => {
                format!("Linkspan and {name} both ignore this key without a word")
            }
            Some((name, _)) if !is_ours => {
                format!("Linkspan ignores this key without a word, {name} heeds it")
            }
            None if !is_ours => "Linkspan ignores this key".to_owned(),
            _ => return None,
        };
        Some(Ignored { path: format!("{place}{key}"), text, is_ours })
    });
    said.collect()
}

/// What a peer makes of a value that Linkspan refuses.
pub(super) fn taken_by_peer(kind: KindName, key: &str) -> Option<&'static str> {
    match (kind, key) {
        (KindName::Sriov, "spoofchk" | "trust") => {
            Some("sriov-cni takes anything but \"on\" for off")
        }
        (KindName::Sriov, "min_tx_rate") => Some("sriov-cni does not compare the two rates"),
        (KindName::Ipvlan, "mtu") => Some("the reference plugin ipvlan does not check it"),
        (KindName::Ipvlan, "mac") => Some("the reference plugin ipvlan ignores it"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(config: Value, kind: &str) -> Vec<String> {
        let config = serde_json::from_value(config).unwrap();
        let ignored = ignored(&config, kind.parse().unwrap());
        ignored.into_iter().map(|key| format!("{}: {}", key.path, key.text)).collect()
    }

    #[test]
    fn it_is_said_who_ignores_a_key() {
        let table = [
            (
                json!({"name": "a", "type": "sriov", "mtu": 9000, "colour": 1, "vlan": 5}),
                "sriov",
                vec![
                    "colour: Linkspan and sriov-cni both ignore this key without a word",
                    "mtu: sriov-cni ignores this key without a word, Linkspan heeds it",
                ],
            ),
            (
                json!({"name": "a", "type": "macvlan", "parent": "eth0", "x.y/z": 1,
                       "ipam": {"type": "host-local", "exclude": [], "ranges": []}}),
                "macvlan",
                vec![
                    "parent: the reference plugin macvlan ignores this key without a word, Linkspan heeds it",
                    "ipam.exclude: the reference plugin host-local ignores this key without a word, Linkspan heeds it",
                ],
            ),
            (
                json!({"name": "a", "type": "linkspan", "kind": "sriov", "mtu": 9000, "colour": 1}),
                "sriov",
                vec!["colour: Linkspan ignores this key"],
            ),
            (
                json!({"name": "a", "type": "macvtap", "mac": "02:00:00:00:00:01", "ipam": {"type": "whereabouts", "x": 1}}),
                "macvtap",
                vec![
                    "ipam: macvtap-cni ignores this key without a word, Linkspan heeds it",
                    "mac: macvtap-cni ignores this key without a word, Linkspan heeds it",
                ],
            ),
        ];
        for (config, kind, expected) in table {
            assert_eq!(said(config, kind), expected);
        }
    }

    #[test]
    fn every_key_of_a_peer_is_one_that_linkspan_knows() {
        for kind in KindName::ALL {
            for key in [&EVERYBODYS[..], main_keys(kind)].concat() {
                assert!(known_keys(kind).contains(&key), "{kind}: {key}");
            }
        }
        for name in [IpamName::HostLocal, IpamName::Static, IpamName::Dhcp] {
            for key in ipam_keys(name) {
                assert!(known_ipam_keys(name).contains(key), "{name}: {key}");
            }
        }
    }
}
