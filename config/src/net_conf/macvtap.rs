//! The keys of kind `macvtap`, which are macvtap-cni's and those of kind `macvlan`.

use std::num::NonZero;
use std::thread::available_parallelism;

use linkspan_types::{Mtu, PciAddress};

use super::ipam::IpamConf;
use super::mac::MacChoice;
use super::macvlan::MacvlanSharing;
use super::parent::ParentConf;
use super::sources::Sources;
use crate::Invalid;
use crate::fields::Fields;

/// What an attachment of kind `macvtap` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacvtapConf {
    /// Where the link comes from.
    pub source: MacvtapSource,
    /// The MAC of the link.
    pub mac: MacChoice,
    /// The owner of `/dev/tapN`, a user's number.
    pub owner: u32,
    /// The group of `/dev/tapN`.
    pub group: u32,
    /// Whether the link takes frames for any MAC.
    pub promiscuous: bool,
}

/// Where a macvtap link comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MacvtapSource {
    /// It is made for the attachment.
    Parent {
        /// What it rides on.
        parent: ParentConf,
        /// How it shares its parent.
        sharing: MacvlanSharing,
        /// How many pairs of queues it has, 1 to 256; none leaves it to the kernel.
        queues: Option<u32>,
    },
    /// A device plugin has made it, for this device of a macvtap pool.
    Pool {
        /// The device's ID as the kubelet knows it: not a PCI address.
        device: String,
        /// The MTU to give it; none leaves it as it is.
        mtu: Option<Mtu>,
    },
}

/// The user and the group that own the link where the configuration names none, as in macvtap-cni:
/// those of QEMU in `KubeVirt`'s images.
const QEMU: u32 = 107;

/// How many pairs of queues the kernel gives a macvtap link (`MAX_TAP_QUEUES` in `if_tap.h`).
const MAX_QUEUES: u32 = 256;

/// The keys that say how a link is made, and so have no meaning for one that is there already.
const MAKING: [&str; 9] = [
    "parent",
    "master",
    "linkInContainer",
    "vlan",
    "mode",
    "bcqueuelen",
    "sourceMacs",
    "multiQueue",
    "queues",
];

impl MacvtapConf {
    pub(super) fn parse(sources: &Sources<'_>, ipam: &IpamConf) -> Result<Self, Invalid> {
        Ok(Self {
            source: MacvtapSource::parse(sources)?,
            mac: MacChoice::parse(sources, ipam)?,
            owner: id(&sources.root, "owner")?,
            group: id(&sources.root, "group")?,
            promiscuous: sources.root.boolean("promiscMode")?,
        })
    }
}

impl MacvtapSource {
    fn parse(sources: &Sources<'_>) -> Result<Self, Invalid> {
        const DEVICE: &str = "the PCI address of a VF, or the ID of a device of a macvtap pool";
        let root = &sources.root;
        match sources.device(DEVICE)? {
            Some((place, text)) if text.parse::<PciAddress>().is_err() => {
                if !(text.len() <= 253 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/')) {
                    return Err(place.invalid("deviceID", DEVICE));
                }
                if let Some(key) = MAKING.into_iter().find(|key| root.is_set(key))
                    && sources.native
                {
                    return Err(root
                        .invalid(key, "no such key where the device is one of a macvtap pool")
                        .advise(format!("Remove `{key}`: the pool says how its links are made")));
                }
                Ok(Self::Pool { device: text.to_owned(), mtu: sources.mtu()? })
            }
            _ => Ok(Self::Parent {
                parent: ParentConf::parse(sources)?,
                sharing: MacvlanSharing::parse(root)?,
                queues: queues(root)?,
            }),
        }
    }
}

/// The number of a user or of a group. The highest is no number: to the kernel it means "as it is".
fn id(root: &Fields<'_>, key: &str) -> Result<u32, Invalid> {
    const EXPECTED: &str = "a number from 0 to 4294967294";
    match root.number::<u32, u32>(key, EXPECTED)? {
        None => Ok(QEMU),
        Some(u32::MAX) => Err(root.invalid(key, EXPECTED)),
        Some(id) => Ok(id),
    }
}

fn queues(root: &Fields<'_>) -> Result<Option<u32>, Invalid> {
    const EXPECTED: &str = "a number of pairs of queues from 1 to 256";
    let queues = root.number::<u32, u32>("queues", EXPECTED)?;
    if queues.is_some_and(|queues| !(1..=MAX_QUEUES).contains(&queues)) {
        return Err(root.invalid("queues", EXPECTED));
    }
    match (queues, root.boolean("multiQueue")?) {
        (queues, false) => Ok(queues),
        (None, true) => {
            let cpus = available_parallelism().map_or(1, NonZero::get);
            Ok(Some(u32::try_from(cpus).map_or(MAX_QUEUES, |cpus| cpus.min(MAX_QUEUES))))
        }
        (Some(_), true) => Err(root
            .invalid("queues", "no such key where `multiQueue` is true")
            .advise("Remove one of the two: `multiQueue` is a pair of queues for each CPU")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{kind_of, refused};
    use super::*;
    use crate::net_conf::{KindConf, ParentLink};
    use serde_json::{Value, json};

    fn native() -> Value {
        json!({"type": "linkspan", "kind": "macvtap"})
    }

    fn macvtap(base: &Value, keys: Value) -> MacvtapConf {
        match kind_of(base, keys).unwrap() {
            KindConf::Macvtap(conf) => conf,
            other => panic!("another kind: {other:?}"),
        }
    }

    #[test]
    fn the_peer_s_configuration_is_read_unchanged() {
        let keys = json!({
            "deviceID": "dataplaneMvp47", "mtu": 1400, "promiscMode": true, "owner": 0, "group": 1000,
            // The peer passes over these.
            "mode": "bridge", "master": "eth0", "queues": 4,
        });
        let expected = MacvtapConf {
            source: MacvtapSource::Pool {
                device: "dataplaneMvp47".into(),
                mtu: 1400.try_into().ok(),
            },
            mac: MacChoice::Any,
            owner: 0,
            group: 1000,
            promiscuous: true,
        };
        assert_eq!(macvtap(&json!({"type": "macvtap"}), keys), expected);
    }

    #[test]
    fn what_is_not_written_is_as_the_peer_has_it() {
        let conf = macvtap(&native(), json!({"runtimeConfig": {"deviceID": "a-1"}}));
        assert_eq!((conf.owner, conf.group, conf.promiscuous), (107, 107, false));
        assert_eq!(conf.source, MacvtapSource::Pool { device: "a-1".into(), mtu: None });
    }

    #[test]
    fn a_link_may_be_made_for_the_attachment() {
        let source = |keys| match macvtap(&native(), keys).source {
            MacvtapSource::Parent { parent, sharing, queues } => {
                (parent.link, sharing.broadcast_queue, queues)
            }
            pool @ MacvtapSource::Pool { .. } => panic!("{pool:?}"),
        };
        assert_eq!(source(json!({})), (ParentLink::DefaultRoute, None, None));
        let vf = ParentLink::Device("0000:3b:02.1".parse().unwrap());
        let keys = json!({"deviceID": "0000:3b:02.1", "bcqueuelen": 5, "queues": 256});
        assert_eq!(source(keys), (vf, Some(5), Some(256)));
        let cpus = u32::try_from(available_parallelism().unwrap().get()).unwrap();
        assert_eq!(source(json!({"multiQueue": true})).2, Some(cpus.min(256)));
        assert_eq!(source(json!({"multiQueue": false, "queues": 1})).2, Some(1));
    }

    #[test]
    fn what_is_refused() {
        const ID: &str = "expected a number from 0 to 4294967294";
        refused(
            &native(),
            [
                (
                    json!({"queues": 0}),
                    "`queues` is 0, expected a number of pairs of queues from 1 to 256",
                    "",
                ),
                (
                    json!({"queues": 257}),
                    "`queues` is 257, expected a number of pairs of queues from 1 to 256",
                    "",
                ),
                (
                    json!({"queues": 2, "multiQueue": true}),
                    "`queues` is 2, expected no such key where `multiQueue` is true",
                    "Remove one of the two: `multiQueue` is a pair of queues for each CPU",
                ),
                (json!({"multiQueue": 4}), "`multiQueue` is 4, expected true or false", ""),
                (
                    json!({"promiscMode": "false"}),
                    "`promiscMode` is \"false\", expected true or false",
                    "Write false without quotes",
                ),
                (
                    json!({"deviceID": "a/b"}),
                    "`deviceID` is \"a/b\", expected the PCI address of a VF, or the ID of a device of a macvtap pool",
                    "",
                ),
                (
                    json!({"deviceID": "a b"}),
                    "`deviceID` is \"a b\", expected the PCI address of a VF, or the ID of a device of a macvtap pool",
                    "",
                ),
            ],
        );
        for (key, value) in
            [("owner", json!(-1)), ("owner", json!(4_294_967_295_u32)), ("group", json!("kvm"))]
        {
            let error = kind_of(&native(), json!({key: value})).unwrap_err();
            assert_eq!(error.to_string(), format!("`{key}` is {value}, {ID}"));
        }
    }

    #[test]
    fn a_pool_says_how_its_links_are_made() {
        let keys = json!({
            "parent": "eth0", "master": "eth0", "linkInContainer": true, "vlan": 5, "mode": "vepa",
            "bcqueuelen": 5, "sourceMacs": ["02:00:00:00:00:01"], "multiQueue": true, "queues": 2,
        });
        for (key, value) in keys.as_object().unwrap() {
            let error = kind_of(&native(), json!({"deviceID": "a-1", key: value})).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "`{key}` is {value}, expected no such key where the device is one of a macvtap pool"
                )
            );
            let advice = format!("Remove `{key}`: the pool says how its links are made");
            assert_eq!(error.advice, Some(advice));
        }
        assert_eq!(keys.as_object().unwrap().len(), MAKING.len());
    }
}
