//! Devices that a pool selects and does not offer, because the host needs them.

use std::fmt;

use linkspan_types::IfName;

use super::{Pool, PoolName};
use crate::inventory::{Device, DeviceId, HostUse, Interfaces, Place};

/// A device that is not offered, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excluded {
    pub(crate) device: DeviceId,
    /// The device's vendor, and that one's number for it.
    pub(crate) model: (u16, u16),
    pub(crate) reason: Exclusion,
}

/// Why a device is not offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exclusion {
    /// It has VFs or sub-functions, which are set up through it.
    Divided(usize),
    /// It could have VFs and has none, now: a selector that fits it may be meant for them.
    Undivided,
    /// The host uses this interface of it.
    InUse(IfName, HostUse),
    /// A pool offers shares of this interface of it.
    Shared(IfName, PoolName),
    /// What this interface of it is used for can't be known: it is not in this network namespace.
    Elsewhere(IfName),
}

/// The pools, and what they have to know of the host's links.
pub(super) struct Host<'a> {
    pub(super) pools: &'a [Pool],
    pub(super) interfaces: &'a Interfaces,
}

impl Host<'_> {
    /// Why a pool that selects a device can't have it.
    pub(super) fn excludes(&self, device: &Device, pool: &Pool) -> Option<Exclusion> {
        match device.place {
            Place::Whole { parts, .. } if parts > 0 => Some(Exclusion::Divided(parts)),
            Place::Whole { can_have_vfs: true, .. } if !pool.means(device) => {
                Some(Exclusion::Undivided)
            }
            _ => device
                .net_names
                .iter()
                .filter(|name| !pool.resource.allow_in_use.contains(name))
                .find_map(|name| self.needs(device, name)),
        }
    }

    fn needs(&self, device: &Device, name: &IfName) -> Option<Exclusion> {
        let lower = |pool: &&Pool| {
            let shares = pool.resource.shares.as_ref().filter(|_| !pool.is_of_any_link);
            shares.is_some_and(|shares| shares.lower_device == *name)
        };
        if let Some(pool) = self.pools.iter().find(lower) {
            return Some(Exclusion::Shared(name.clone(), pool.name.clone()));
        }
        match self.interfaces.get(name) {
            Some(interface) => {
                let host_use = interface.host_use.clone()?;
                Some(Exclusion::InUse(name.clone(), host_use))
            }
            // VFs are there to be given away; of another NIC it has to be known.
            None => matches!(device.place, Place::Whole { .. })
                .then(|| Exclusion::Elsewhere(name.clone())),
        }
    }
}

impl Exclusion {
    /// The reason in one word that stays the same, for metrics.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Divided(_) => "divided",
            Self::Undivided => "undivided",
            Self::InUse(_, HostUse::DefaultRoute) => "default_route",
            Self::InUse(_, HostUse::MemberOf(_)) => "member",
            Self::InUse(_, HostUse::Carries(_)) => "carries",
            Self::InUse(_, HostUse::TakesFramesFor(_)) => "takes_frames",
            Self::InUse(_, HostUse::Address(_)) => "address",
            Self::Shared(..) => "shared",
            Self::Elsewhere(_) => "elsewhere",
        }
    }
}

impl fmt::Display for Excluded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not offered: {}", self.device, self.reason)
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Divided(parts) => write!(f, "it has {parts} VFs or sub-functions"),
            Self::Undivided => f.write_str(
                "it has no VFs, for which the selectors may be meant; write its address into `pciAddresses`, or its number into `devices`, if it is to be offered itself",
            ),
            Self::InUse(interface, host_use) => {
                write!(
                    f,
                    "it is {interface}, and {host_use}; write {interface} into `allowInUse` if it is to be offered nevertheless"
                )
            }
            Self::Shared(interface, pool) => {
                write!(f, "it is {interface}, of which {pool} offers shares")
            }
            Self::Elsewhere(interface) => write!(
                f,
                "its interface {interface} is not in this network namespace, so that its use can't be known; run the device plugin in the host's (hostNetwork: true)"
            ),
        }
    }
}
