//! Devices that pods hold stay in the pool that gave them.  Pure: no I/O.
//!
//! A device that left its pool (another driver, another configuration) would else be offered by
//! another pool, to a second pod; and one that is gone from the bus would be missing from the count.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::holders::Holders;
use crate::inventory::{Device, DeviceId, Inventory};
use crate::offers::Offer;
use crate::pools::{Health, Member, Needs, Pool, PoolName, Reason};

/// What is known of who holds what.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Known<'a> {
    /// Nothing yet: the kubelet is about to be asked.
    NotYet,
    /// The kubelet's word.
    Holders(&'a Holders),
    /// Nothing, and nobody is there to ask.
    Never,
}

/// Puts devices that are held, or may be, back into the pools that offered them `before`; a pool
/// that is not configured any more has none, but its devices are nobody else's either. Returns which
/// devices are so kept, until nobody holds them.
pub(crate) fn keep(
    pools: &[Pool],
    before: &[Arc<Offer>],
    inventory: &Inventory,
    found: &mut [Vec<Member>],
    known: Known<'_>,
) -> BTreeSet<DeviceId> {
    let places = found.iter().enumerate();
    let places = places.flat_map(|(at, members)| members.iter().map(move |m| (&m.device.id, at)));
    let places: HashMap<&DeviceId, usize> = places.collect();
    let is_at_home =
        |name: &PoolName, id| places.get(id).is_some_and(|&at| pools[at].name == *name);
    let mut claims: Vec<Claim> = Vec::new();
    for offer in before {
        let name = &offer.pool.name;
        let left = offer.members.iter().filter(|member| !is_at_home(name, &member.device.id));
        let kept = left.filter(|member| may_be_held(name, &member.device, inventory, known));
        claims.extend(kept.map(|member| Claim {
            id: member.device.id.clone(),
            pool: pools.iter().position(|pool| pool.name == *name),
            last: Some(member.clone()),
        }));
    }
    // What a pod was given before this program was started, when the devices belonged elsewhere.
    if let Known::Holders(holders) = known {
        for (resource, id) in holders.devices() {
            let Ok(id) = id.parse::<DeviceId>() else { continue };
            let at = places.get(&id).copied();
            if at.is_none() && inventory.devices.iter().all(|device| device.id != id) {
                continue;
            }
            let pool = pools.iter().position(|pool| pool.name.to_string() == resource);
            if pool != at && claims.iter().all(|claim| claim.id != id) {
                claims.push(Claim { id, pool, last: None });
            }
        }
    }
    put_back(claims, inventory, found)
}

/// A device that is not to be where the selectors put it.
struct Claim {
    id: DeviceId,
    /// Nothing where the pool is not configured.
    pool: Option<usize>,
    last: Option<Member>,
}

fn put_back(
    claims: Vec<Claim>,
    inventory: &Inventory,
    found: &mut [Vec<Member>],
) -> BTreeSet<DeviceId> {
    let mut kept = BTreeSet::new();
    for Claim { id, pool, last } in claims {
        let is_it = |member: &Member| member.device.id == id;
        let elsewhere = found.iter_mut().find_map(|members| {
            let at = members.iter().position(is_it)?;
            Some(members.remove(at))
        });
        kept.insert(id.clone());
        let Some(members) = pool.map(|pool| &mut found[pool]) else { continue };
        let member = match (elsewhere, last) {
            (Some(member), Some(Member { needs, .. })) => Member { needs, ..member },
            (Some(member), None) => member,
            (None, Some(last)) => as_it_is(last, inventory),
            (None, None) => match inventory.devices.iter().find(|device| device.id == id) {
                // A NIC's name, by which the pool selects it, went into the pod with its interface.
                Some(device) => unselected(device.clone(), Needs::default()),
                None => continue,
            },
        };
        let at = members.partition_point(|other| other.device.id < member.device.id);
        members.insert(at, member);
    }
    kept
}

/// A member that no pool selects any more.
fn as_it_is(last: Member, inventory: &Inventory) -> Member {
    let device = inventory.devices.iter().find(|device| device.id == last.device.id);
    match device.cloned() {
        Some(device) => unselected(device, last.needs),
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
fn may_be_held(name: &PoolName, device: &Device, inventory: &Inventory, known: Known<'_>) -> bool {
    match known {
        Known::NotYet => true,
        Known::Holders(holders) => {
            holders.holder(&name.to_string(), &device.id.to_string()).is_some()
        }
        // A VF that was removed with others of its PF was meant to go; one that is alone was not.
        Known::Never => {
            let same_pf = |other: &Device| other.pf().address == device.pf().address;
            let higher = |other: &Device| other.index() > device.index();
            let is_there = inventory.devices.iter().any(|other| other.id == device.id);
            !is_there && inventory.devices.iter().any(|other| same_pf(other) && higher(other))
        }
    }
}
