//! The keys that a network's configuration may have: those of any network, and those of each kind.

use serde_json::Value;

use super::ipam_call::IpamName;
use super::kind_name::{Chosen, KindName};
use super::{dhcp, host_local, route, statics, trunk};
use crate::Invalid;
use crate::fields::{Fields, says_nothing};

/// The keys that mean something in any network. Those of a list stay in a configuration that
/// Multus makes of a single plugin.
const COMMON: &[&str] = &[
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
    "ipam",
    "ipMasq",
    "dns",
    "deviceID",
    "pciBusID",
    "resourceName",
    "dad",
    "arpProbe",
    "logLevel",
    "logFile",
];

const SRIOV: &[&str] = &[
    "vlan",
    "vlanQoS",
    "vlanProto",
    "trunk",
    "mac",
    "mtu",
    "spoofchk",
    "trust",
    "link_state",
    "min_tx_rate",
    "max_tx_rate",
];

const PARENT: &[&str] = &["parent", "master", "linkInContainer", "vlan", "mtu"];
const MAC: &[&str] = &["mac", "macFrom"];
const SHARING: &[&str] = &["mode", "bcqueuelen", "sourceMacs"];
const IPVLAN: &[&str] = &["mode", "flag"];
const TAP: &[&str] = &["owner", "group", "promiscMode", "multiQueue", "queues"];

fn keys_of(kind: KindName) -> Vec<&'static str> {
    match kind {
        KindName::Sriov => SRIOV.to_vec(),
        KindName::Macvlan => [PARENT, MAC, SHARING].concat(),
        KindName::Ipvlan => [PARENT, IPVLAN].concat(),
        KindName::Macvtap => [PARENT, MAC, SHARING, TAP].concat(),
    }
}

/// The keys that mean something in a network of this kind.
#[must_use]
pub fn known_keys(kind: KindName) -> Vec<&'static str> {
    [COMMON, &keys_of(kind)].concat()
}

/// The keys that mean something in the section `ipam` of this type.
#[must_use]
pub fn known_ipam_keys(name: IpamName) -> &'static [&'static str] {
    match name {
        IpamName::HostLocal => &host_local::KEYS,
        IpamName::Static => statics::KEYS,
        IpamName::Dhcp => dhcp::KEYS,
    }
}

/// The keys of each object below a key of a network, or of its section `ipam`: alone, or in lists. Nothing where the
/// key has no objects, or those that others read.
#[must_use]
pub fn known_keys_below(key: &str) -> Option<&'static [&'static str]> {
    let below: [(&str, &'static [&'static str]); 7] = [
        ("addresses", statics::ADDRESS_KEYS),
        ("dns", route::DNS_KEYS),
        ("provide", dhcp::options::PROVIDE_KEYS),
        ("ranges", &host_local::ranges::RANGE_KEYS),
        ("request", dhcp::options::REQUEST_KEYS),
        ("routes", route::ROUTE_KEYS),
        ("trunk", trunk::KEYS),
    ];
    below.into_iter().find(|(of, _)| of.eq_ignore_ascii_case(key)).map(|(_, keys)| keys)
}

/// Every key that means something in some network.
#[cfg(test)]
pub(super) fn all() -> Vec<&'static str> {
    KindName::ALL.into_iter().flat_map(keys_of).chain(COMMON.iter().copied()).collect()
}

/// Refuses keys that can't be meant: near misses, and in our own style keys of another kind. All
/// others are ignored, as the peers ignore them.
pub(super) fn check(root: &Fields<'_>, chosen: Chosen) -> Result<(), Invalid> {
    let is_in = |keys: &[&str], key: &str| keys.iter().any(|k| k.eq_ignore_ascii_case(key));
    let mut known = known_keys(chosen.kind);
    if chosen.kind == KindName::Ipvlan {
        // They are refused there, with the reason.
        known.extend(MAC);
    }
    for (key, value) in root.entries().filter(|(key, _)| !is_in(&known, key)) {
        let owners: Vec<KindName> =
            KindName::ALL.into_iter().filter(|kind| is_in(&keys_of(*kind), key)).collect();
        if owners.is_empty() {
            root.refuse_near_miss(key, value, &known)?;
        } else if chosen.native && !says_nothing(value) {
            return Err(foreign(root, (key, value), chosen.kind, &owners));
        }
    }
    Ok(())
}

fn foreign(
    root: &Fields<'_>,
    (key, value): (&str, &Value),
    kind: KindName,
    owners: &[KindName],
) -> Invalid {
    let names: Vec<String> = owners.iter().map(ToString::to_string).collect();
    let owners = names.join(" or ");
    Invalid::new(root.path_of(key), Some(value), format!("a key of kind {kind}, not of {owners}"))
        .advise(format!("Remove `{key}`, or set `kind` to {owners}"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{kind_of, refused};
    use serde_json::json;

    #[test]
    fn a_key_of_another_kind_is_refused_in_our_own_style() {
        let table = [
            (
                "macvlan",
                json!({"vlanProto": "802.1q"}),
                "`vlanProto` is \"802.1q\", expected a key of kind macvlan, not of sriov",
                "Remove `vlanProto`, or set `kind` to sriov",
            ),
            (
                "macvlan",
                json!({"SpoofChk": "on"}),
                "`SpoofChk` is \"on\", expected a key of kind macvlan, not of sriov",
                "Remove `SpoofChk`, or set `kind` to sriov",
            ),
            (
                "sriov",
                json!({"mode": "bridge"}),
                "`mode` is \"bridge\", expected a key of kind sriov, not of macvlan or ipvlan or macvtap",
                "Remove `mode`, or set `kind` to macvlan or ipvlan or macvtap",
            ),
            (
                "sriov",
                json!({"macFrom": "ip"}),
                "`macFrom` is \"ip\", expected a key of kind sriov, not of macvlan or macvtap",
                "Remove `macFrom`, or set `kind` to macvlan or macvtap",
            ),
            (
                "ipvlan",
                json!({"bcqueuelen": 5}),
                "`bcqueuelen` is 5, expected a key of kind ipvlan, not of macvlan or macvtap",
                "Remove `bcqueuelen`, or set `kind` to macvlan or macvtap",
            ),
            (
                "macvtap",
                json!({"flag": "vepa"}),
                "`flag` is \"vepa\", expected a key of kind macvtap, not of ipvlan",
                "Remove `flag`, or set `kind` to ipvlan",
            ),
        ];
        for (kind, keys, message, advice) in table {
            refused(&json!({"type": "linkspan", "kind": kind}), [(keys.clone(), message, advice)]);
            refused(&json!({"type": kind, "kind": kind}), [(keys, message, advice)]);
        }
    }

    #[test]
    fn what_the_peer_ignores_is_ignored_in_its_style() {
        let strangers =
            json!({"vlanProto": "x", "queues": "x", "flag": 1, "subnet": [], "cni.dev/mode": 1});
        assert_eq!(
            kind_of(&json!({"type": "macvlan"}), strangers),
            kind_of(&json!({"type": "macvlan"}), json!({}))
        );
        // Nor does a key that says nothing make a network another kind's.
        let nothing = json!({"vlanProto": "", "queues": null, "multiQueue": false, "trunk": []});
        assert!(kind_of(&json!({"type": "linkspan", "kind": "macvlan"}), nothing).is_ok());
    }

    #[test]
    fn a_near_miss_of_the_kind_s_own_keys_is_refused_in_every_style() {
        let table = [
            ("macvlan", "masters", "master"),
            ("macvlan", "bcQueueLength", "bcqueuelen"),
            ("macvlan", "macfrom_", "macFrom"),
            ("ipvlan", "flags", "flag"),
            ("macvtap", "promisc_mode", "promiscMode"),
            ("macvtap", "multiqueues", "multiQueue"),
            ("sriov", "spoofcheck", "spoofchk"),
            ("macvlan", "arp_probe", "arpProbe"),
            ("sriov", "resource_name", "resourceName"),
        ];
        for (kind, key, meant) in table {
            for config in [json!({"type": kind}), json!({"type": "linkspan", "kind": kind})] {
                let error = kind_of(&config, json!({key: 1})).unwrap_err();
                assert_eq!(
                    error.to_string(),
                    format!("`{key}` is 1, expected a key that is known")
                );
                let advice = format!("Write `{meant}` if that is what `{key}` means");
                assert_eq!(error.advice.as_ref(), Some(&advice));
            }
        }
        // Where the key is no near miss of this kind's, it is a stranger.
        assert!(kind_of(&json!({"type": "macvlan"}), json!({"spoofcheck": "on"})).is_ok());
    }
}
