//! Devices that pods hold stay in the pool that gave them.  Pure: no I/O.
//!
//! A device that left its pool (another driver, another configuration) would else be offered by
//! another pool, to a second pod; and one that is gone from the bus would be missing from the count.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::holders::Holders;
use crate::inventory::{Device, DeviceId, Inventory};
use crate::offers::Offer;
use crate::pools::{Health, Member, Needs, Pool, Reason};

/// What is known of who holds what.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Known<'a> {
    /// Nothing yet: the kubelet is about to be asked.
    NotYet,
    /// The kubelet's word, which it gave after the last look.
    Holders(&'a Holders),
    /// Nothing, and nobody is there to ask.
    Never,
}

/// Devices that are kept, and the resource as which pods have them.
pub(crate) type Kept = BTreeMap<DeviceId, String>;

/// Puts devices that are held, or may be, back into the pools that offered them `before`; a pool
/// that is not configured any more has none, but its devices are nobody else's either. Returns which
/// devices are so kept, until nobody holds them. One that has gone before this program was started is
/// among these, and in no pool: [`gone`].
pub(crate) fn keep(
    pools: &[Pool],
    before: &[Arc<Offer>],
    kept_before: &Kept,
    inventory: &Inventory,
    found: &mut [Vec<Member>],
    known: Known<'_>,
) -> Kept {
    let places = found.iter().enumerate();
    let places = places.flat_map(|(at, members)| members.iter().map(move |m| (&m.device.id, at)));
    let places: HashMap<&DeviceId, usize> = places.collect();
    let position = |resource: &str| pools.iter().position(|p| p.name.to_string() == resource);
    let mut claims: BTreeMap<DeviceId, Claim> = BTreeMap::new();
    for offer in before {
        let resource = offer.pool.name.to_string();
        let pool = position(&resource);
        for member in &offer.members {
            let device = &member.device;
            let is_at_home = pool.is_some() && places.get(&device.id).copied() == pool;
            // What has only just left was not asked about yet.
            let known = match known {
                Known::Holders(_) if !kept_before.contains_key(&device.id) => Known::NotYet,
                known => known,
            };
            if !is_at_home && may_be_held(&resource, device, inventory, known) {
                let (resource, last) = (resource.clone(), Some(member.clone()));
                claims.insert(device.id.clone(), Claim { resource, pool, last });
            }
        }
    }
    // What pods were given before this program was started, when the devices belonged elsewhere.
    let held: Vec<(&str, DeviceId)> = match known {
        Known::Holders(holders) => {
            let devices = holders.devices();
            devices.filter_map(|(resource, id)| Some((resource, id.parse().ok()?))).collect()
        }
        Known::NotYet => kept_before.iter().map(|(id, name)| (name.as_str(), id.clone())).collect(),
        Known::Never => Vec::new(),
    };
    for (resource, id) in held {
        let at = places.get(&id).copied();
        let pool = position(resource);
        let is_there = at.is_some() || inventory.device(&id).is_some();
        // One that is not is missing from its pool only: another plugin's, say, is none of ours.
        if !is_there && pool.is_none_or(|pool| pools[pool].resource.shares.is_some()) {
            continue;
        }
        if pool != at && !claims.contains_key(&id) {
            let resource = resource.to_owned();
            claims.insert(id, Claim { pool, resource, last: None });
        }
    }
    put_back(claims, inventory, found)
}

/// The devices that are kept for a pool, and of which nothing is known but that.
pub(crate) fn gone(kept: &Kept, pool: &Pool, members: &[Member]) -> BTreeSet<DeviceId> {
    let resource = pool.name.to_string();
    let is_known =
        |id: &DeviceId| members.binary_search_by(|member| member.device.id.cmp(id)).is_ok();
    let of_pool = kept.iter().filter(|(id, kept_for)| **kept_for == resource && !is_known(id));
    of_pool.map(|(id, _)| id.clone()).collect()
}

/// A device that is not to be where the selectors put it.
struct Claim {
    resource: String,
    /// Nothing where it is not configured.
    pool: Option<usize>,
    last: Option<Member>,
}

fn put_back(
    claims: BTreeMap<DeviceId, Claim>,
    inventory: &Inventory,
    found: &mut [Vec<Member>],
) -> Kept {
    let mut elsewhere: HashMap<DeviceId, Member> = HashMap::new();
    for members in found.iter_mut() {
        let claimed = members.extract_if(.., |member| claims.contains_key(&member.device.id));
        elsewhere.extend(claimed.map(|member| (member.device.id.clone(), member)));
    }
    let mut kept = Kept::new();
    for (id, Claim { pool, resource, last }) in claims {
        let elsewhere = elsewhere.remove(&id);
        kept.insert(id.clone(), resource);
        let Some(members) = pool.map(|pool| &mut found[pool]) else { continue };
        let member = match (elsewhere, last) {
            (Some(member), Some(Member { needs, .. })) => Member { needs, ..member },
            (Some(member), None) => member,
            (None, Some(last)) => as_it_is(last, inventory),
            (None, None) => match inventory.device(&id) {
                // A NIC's name, by which the pool selects it, went into the pod with its interface.
                Some(device) => unselected(device.clone(), Needs::default()),
                // Nothing is known of it but who has it.
                None => continue,
            },
        };
        members.push(member);
    }
    for members in found {
        members.sort_by(|a, b| a.device.id.cmp(&b.device.id));
    }
    kept
}

/// A member that no pool selects any more.
fn as_it_is(last: Member, inventory: &Inventory) -> Member {
    match inventory.device(&last.device.id) {
        Some(device) => unselected(device.clone(), last.needs),
        None => Member { health: Health::Unhealthy(Reason::Gone), ..last },
    }
}

fn unselected(device: Device, needs: Needs) -> Member {
    let health = match device.driver {
        Some(_) => Health::Healthy,
        None => Health::Unhealthy(Reason::NoDriver),
    };
    Member { device, health, needs }
}

/// Whether a device that left a pool may be in a pod.
fn may_be_held(resource: &str, device: &Device, inventory: &Inventory, known: Known<'_>) -> bool {
    match known {
        Known::NotYet => true,
        Known::Holders(holders) => holders.holder(resource, &device.id.to_string()).is_some(),
        // A VF that was removed with others of its PF was meant to go; one that is alone was not.
        Known::Never => {
            let same_pf = |other: &Device| other.pf().address == device.pf().address;
            let higher = |other: &Device| other.index() > device.index();
            let is_there = inventory.device(&device.id).is_some();
            !is_there && inventory.devices.iter().any(|other| same_pf(other) && higher(other))
        }
    }
}

#[cfg(test)]
mod tests;
