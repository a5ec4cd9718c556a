//! The keys that a network's configuration may have: those of any network, and those of each kind.

use serde_json::Value;

use super::kind_name::{Chosen, KindName};
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

const MACVLAN: &[&str] = &[
    "parent",
    "master",
    "linkInContainer",
    "vlan",
    "mtu",
    "mac",
    "macFrom",
    "mode",
    "bcqueuelen",
    "sourceMacs",
];

/// `mac` and `macFrom` are known to be refused with the reason.
const IPVLAN: &[&str] =
    &["parent", "master", "linkInContainer", "vlan", "mtu", "mac", "macFrom", "mode", "flag"];

const MACVTAP: &[&str] = &[
    "parent",
    "master",
    "linkInContainer",
    "vlan",
    "mtu",
    "mac",
    "macFrom",
    "mode",
    "bcqueuelen",
    "sourceMacs",
    "owner",
    "group",
    "promiscMode",
    "multiQueue",
    "queues",
];

fn keys_of(kind: KindName) -> &'static [&'static str] {
    match kind {
        KindName::Sriov => SRIOV,
        KindName::Macvlan => MACVLAN,
        KindName::Ipvlan => IPVLAN,
        KindName::Macvtap => MACVTAP,
    }
}

/// Refuses keys that can't be meant: near misses, and in our own style keys of another kind. All
/// others are ignored, as the peers ignore them.
pub(super) fn check(root: &Fields<'_>, chosen: Chosen) -> Result<(), Invalid> {
    let is_in = |keys: &[&str], key: &str| keys.iter().any(|k| k.eq_ignore_ascii_case(key));
    let known = [COMMON, keys_of(chosen.kind)].concat();
    for (key, value) in root.entries().filter(|(key, _)| !is_in(&known, key)) {
        let owners: Vec<KindName> =
            KindName::ALL.into_iter().filter(|kind| is_in(keys_of(*kind), key)).collect();
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
