//! The link that a macvlan, ipvlan or macvtap child rides on, and what is between the two.

use linkspan_types::{IfName, Mtu, PciAddress, VlanId};

use super::sources::Sources;
use crate::Invalid;
use crate::fields::Fields;

/// The link that a child rides on, and what is between the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentConf {
    /// The link.
    pub link: ParentLink,
    /// Whether the link is looked up in the pod's namespace instead of the host's.
    pub in_container: bool,
    /// The VLAN of the parent that the child belongs to, never 0; none for what the parent itself
    /// sends and gets.
    pub vlan: Option<VlanId>,
    /// The MTU of the child; none inherits the parent's.
    pub mtu: Option<Mtu>,
}

/// Which link is the parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParentLink {
    /// The one with this name.
    Named(IfName),
    /// The netdev of this PCI device, a VF that the attachment holds for itself.
    Device(PciAddress),
    /// The one that the default route goes by.
    DefaultRoute,
}

impl ParentConf {
    pub(super) fn parse(sources: &Sources<'_>) -> Result<Self, Invalid> {
        const VLAN: &str = "a VLAN ID from 1 to 4094, or 0 for none";
        let root = &sources.root;
        let link = ParentLink::parse(sources)?;
        let in_container = root.boolean("linkInContainer")?;
        if in_container && matches!(link, ParentLink::Device(_)) {
            return Err(root.invalid("linkInContainer", "false where `deviceID` is the parent"));
        }
        let vlan = root.number::<u16, VlanId>("vlan", VLAN)?;
        let vlan = vlan.filter(|vlan| *vlan != VlanId::default());
        if in_container && vlan.is_some() {
            return Err(root
                .invalid("vlan", "no such key where `linkInContainer` is true")
                .advise("Put the plugin vlan into the chain, and name its link as the parent"));
        }
        Ok(Self { link, in_container, vlan, mtu: sources.mtu()? })
    }
}

impl ParentLink {
    fn parse(sources: &Sources<'_>) -> Result<Self, Invalid> {
        let root = &sources.root;
        match (named(root)?, device(sources)?) {
            (Some((key, _)), Some(_)) if sources.native => Err(root
                .invalid(key, "no such key where a device is the parent")
                .advise(format!("Remove `{key}`, or the device: `deviceID` and `resourceName`"))),
            (Some((_, name)), _) => Ok(Self::Named(name)),
            (None, Some(device)) => Ok(Self::Device(device)),
            (None, None) if root.is_set("resourceName") => {
                Err(root.invalid("deviceID", "the device of `resourceName`"))
            }
            (None, None) => Ok(Self::DefaultRoute),
        }
    }
}

/// The name of the parent: `parent`, which the peers call `master`.
fn named(root: &Fields<'_>) -> Result<Option<(&'static str, IfName)>, Invalid> {
    const EXPECTED: &str = "the name of a network interface";
    let parent = root.parsed::<IfName>("parent", EXPECTED)?;
    let master = root.parsed::<IfName>("master", EXPECTED)?;
    match (parent, master) {
        (Some(parent), Some(master)) if parent != master => Err(root
            .invalid("master", format!("the same as `parent`, which is {parent}"))
            .advise("Remove one of the two")),
        (Some(parent), _) => Ok(Some(("parent", parent))),
        (None, master) => Ok(master.map(|master| ("master", master))),
    }
}

/// The VF that is the parent. A peer's configuration may have another device, which the peer ignores.
fn device(sources: &Sources<'_>) -> Result<Option<PciAddress>, Invalid> {
    const EXPECTED: &str = "the PCI address of the VF that is the parent, such as 0000:3b:02.1";
    let Some((place, text)) = sources.device(EXPECTED)? else { return Ok(None) };
    match text.parse() {
        Ok(device) => Ok(Some(device)),
        Err(_) if sources.native => Err(place.invalid("deviceID", EXPECTED)),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{kind_of, refused};
    use super::*;
    use crate::net_conf::KindConf;
    use serde_json::{Value, json};

    fn native() -> Value {
        json!({"type": "linkspan", "kind": "macvlan"})
    }

    fn parent(base: &Value, keys: Value) -> ParentConf {
        match kind_of(base, keys).unwrap() {
            KindConf::Macvlan(conf) => conf.parent,
            other => panic!("another kind: {other:?}"),
        }
    }

    #[test]
    fn the_parent_has_a_name_or_is_a_vf_or_the_default_routes() {
        let named = ParentLink::Named("eth0".parse().unwrap());
        let device = ParentLink::Device("0000:3b:02.1".parse().unwrap());
        let of_runtime = json!({"deviceID": "0000:3b:02.1"});
        let peer = json!({"type": "macvlan"});
        let table = [
            (native(), json!({"parent": "eth0"}), &named),
            (native(), json!({"master": "eth0"}), &named),
            (native(), json!({"parent": "eth0", "master": "eth0"}), &named),
            (native(), json!({}), &ParentLink::DefaultRoute),
            (native(), json!({"parent": "", "master": null}), &ParentLink::DefaultRoute),
            (native(), json!({"deviceID": "0000:3b:02.1"}), &device),
            (native(), json!({"runtimeConfig": of_runtime}), &device),
            (
                native(),
                json!({"deviceID": "0000:3b:02.1", "runtimeConfig": {"deviceID": "?"}}),
                &device,
            ),
            (peer.clone(), json!({"master": "eth0"}), &named),
            (peer.clone(), json!({"parent": "eth0"}), &named),
            (peer.clone(), json!({"deviceID": "0000:3b:02.1"}), &device),
            (peer.clone(), json!({"master": "eth0", "deviceID": "0000:3b:02.1"}), &named),
            (peer, json!({"deviceID": "some-device"}), &ParentLink::DefaultRoute),
        ];
        for (base, keys, link) in table {
            assert_eq!(parent(&base, keys.clone()).link, *link, "{keys}");
        }
    }

    #[test]
    fn what_is_between_the_two_is_read() {
        assert!(parent(&native(), json!({"linkInContainer": true})).in_container);
        let conf = parent(&native(), json!({"vlan": 4094, "mtu": 1400}));
        assert_eq!(conf.vlan.map(u16::from), Some(4094));
        assert_eq!(conf.mtu.map(u32::from), Some(1400));
        let conf = parent(&native(), json!({"linkInContainer": false, "vlan": 0, "mtu": 0}));
        assert_eq!((conf.in_container, conf.vlan, conf.mtu), (false, None, None));
    }

    #[test]
    fn what_is_refused() {
        const NAME: &str =
            "an interface name of 1 to 15 characters without '/', ':', '%' or white space";
        let device = "0000:3b:02.1";
        refused(
            &native(),
            [
                (
                    json!({"parent": "eth0", "master": "eth1"}),
                    "`master` is \"eth1\", expected the same as `parent`, which is eth0",
                    "Remove one of the two",
                ),
                (
                    json!({"parent": "eth0", "deviceID": device}),
                    "`parent` is \"eth0\", expected no such key where a device is the parent",
                    "Remove `parent`, or the device: `deviceID` and `resourceName`",
                ),
                (
                    json!({"master": "eth0", "deviceID": device}),
                    "`master` is \"eth0\", expected no such key where a device is the parent",
                    "Remove `master`, or the device: `deviceID` and `resourceName`",
                ),
                (
                    json!({"deviceID": "ens1f0v0"}),
                    "`deviceID` is \"ens1f0v0\", expected the PCI address of the VF that is the parent, such as 0000:3b:02.1",
                    "",
                ),
                (
                    json!({"runtimeConfig": {"deviceID": 1}}),
                    "`runtimeConfig.deviceID` is 1, expected the PCI address of the VF that is the parent, such as 0000:3b:02.1",
                    "",
                ),
                (
                    json!({"resourceName": "linkspan.dev/fast"}),
                    "`deviceID` is nothing, expected the device of `resourceName`",
                    "",
                ),
                (
                    json!({"deviceID": device, "linkInContainer": true}),
                    "`linkInContainer` is true, expected false where `deviceID` is the parent",
                    "",
                ),
                (
                    json!({"linkInContainer": true, "vlan": 5}),
                    "`vlan` is 5, expected no such key where `linkInContainer` is true",
                    "Put the plugin vlan into the chain, and name its link as the parent",
                ),
                (
                    json!({"parent": 1}),
                    "`parent` is 1, expected the name of a network interface",
                    "",
                ),
                (
                    json!({"linkInContainer": "true"}),
                    "`linkInContainer` is \"true\", expected true or false",
                    "Write true without quotes",
                ),
                (
                    json!({"linkInContainer": 1}),
                    "`linkInContainer` is 1, expected true or false",
                    "",
                ),
                (
                    json!({"vlan": 4095}),
                    "`vlan` is 4095, expected a VLAN ID from 1 to 4094, or 0 for none",
                    "",
                ),
                (
                    json!({"vlan": "100"}),
                    "`vlan` is \"100\", expected a VLAN ID from 1 to 4094, or 0 for none",
                    "Write the number without quotes",
                ),
                (json!({"mtu": 67}), "`mtu` is 67, expected an MTU from 68 to 65535", ""),
                (json!({"mtu": 65536}), "`mtu` is 65536, expected an MTU from 68 to 65535", ""),
                (json!({"mtu": -1}), "`mtu` is -1, expected an MTU from 68 to 65535", ""),
                (json!({"mtu": 1500.0}), "`mtu` is 1500.0, expected an MTU from 68 to 65535", ""),
            ],
        );
        for (key, text) in [("parent", "a/b"), ("master", "sixteen-chars-xy")] {
            let error = kind_of(&native(), json!({key: text})).unwrap_err();
            assert_eq!(error.to_string(), format!("`{key}` is \"{text}\", expected {NAME}"));
        }
    }
}
