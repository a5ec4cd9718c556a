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
