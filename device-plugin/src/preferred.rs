//! Which of a pool's free devices a container had best get.  Pure: no I/O.
//!
//! Devices are put together by what they share, a PF or a NUMA node. To pack is to touch as few of
//! these groups as can be; to balance is to leave all with as many free devices as can be.

use std::collections::{BTreeMap, BTreeSet};

use linkspan_config::resource_list::AllocationPolicy;
use linkspan_types::{PciAddress, PcieRoot};

use crate::inventory::Device;
use crate::pools::{Health, Member};

/// What the kubelet asks: `size` of the available devices, `included` among them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) available: &'a [String],
    pub(crate) included: &'a [String],
    pub(crate) size: usize,
}

/// The devices to take, those that must be included first. Nothing where the kubelet asks for what
/// can't be: then it is left to choose itself, and to say what is wrong.
pub(crate) fn prefer(
    policy: AllocationPolicy,
    members: &[Member],
    wanted: Wanted<'_>,
) -> Option<Vec<String>> {
    let included: BTreeSet<&str> = wanted.included.iter().map(String::as_str).collect();
    let available: BTreeSet<&str> = wanted.available.iter().map(String::as_str).collect();
    let missing = wanted.size.checked_sub(included.len())?;
    if !included.is_subset(&available) || available.len() < wanted.size {
        return None;
    }
    let node = Node::new(members, &available, &included);
    let chosen = match policy {
        AllocationPolicy::Packed => node.pack(&node.free, missing),
        AllocationPolicy::Balanced => node.balance(missing),
        AllocationPolicy::Numa => node.align(missing),
        AllocationPolicy::NearRoot(root) => node.approach(root, missing),
    };
    let chosen = included.into_iter().chain(chosen.into_iter().map(|free| free.id));
    Some(chosen.map(str::to_owned).collect())
}

/// A device that may be taken, and what it is; nothing where it has left the pool, or is unhealthy.
#[derive(Clone, Copy, Debug)]
struct Free<'a> {
    id: &'a str,
    device: Option<&'a Device>,
}

/// The pool's devices, as far as this choice is concerned.
struct Node<'a> {
    /// Those that may be taken, in the pool's order; those that must be are not among them.
    free: Vec<Free<'a>>,
    /// Those that must be taken.
    included: Vec<&'a Device>,
    /// Those that other containers have.
    used: Vec<&'a Device>,
}

fn pf(device: &Device) -> PciAddress {
    device.pf().address
}

fn numa(device: &Device) -> Option<u32> {
    device.numa_node
}

impl<'a> Node<'a> {
    fn new(
        members: &'a [Member],
        available: &BTreeSet<&'a str>,
        included: &BTreeSet<&'a str>,
    ) -> Self {
        let mut node = Self { free: Vec::new(), included: Vec::new(), used: Vec::new() };
        let mut unknown: BTreeSet<&str> = available.difference(included).copied().collect();
        for Member { device, health, .. } in members {
            let id = device.id.to_string();
            if included.contains(id.as_str()) {
                node.included.push(device);
            } else if *health != Health::Healthy {
                // What the kubelet does not know yet: such a device is taken last.
            } else if let Some(id) = unknown.take(id.as_str()) {
                node.free.push(Free { id, device: Some(device) });
            } else {
                node.used.push(device);
            }
        }
        node.free.extend(unknown.into_iter().map(|id| Free { id, device: None }));
        node
    }

    /// From as few PFs as can be, and of these from the one that is used most: whole PFs stay free.
    fn pack(&self, free: &[Free<'a>], count: usize) -> Vec<Free<'a>> {
        let shares = self.share_out(free, count, pf);
        shares.into_iter().flat_map(|(group, share)| group.into_iter().take(share)).collect()
    }

    /// One by one from the PF that has the most left.
    fn balance(&self, count: usize) -> Vec<Free<'a>> {
        let mut groups = grouped(&self.free, pf);
        let mut chosen = Vec::new();
        for _ in 0..count {
            // Of equal ones the first: the order of addresses.
            let most = groups
                .iter_mut()
                .rev()
                .max_by_key(|((unknown, _), group)| (!unknown && !group.is_empty(), group.len()));
            // From the front, so that the pool's order stays.
            chosen.extend(
                most.filter(|(_, group)| !group.is_empty()).map(|(_, group)| group.remove(0)),
            );
        }
        chosen
    }

    /// From as few NUMA nodes as can be, and packed within each.
    fn align(&self, count: usize) -> Vec<Free<'a>> {
        let shares = self.share_out(&self.free, count, numa);
        shares.into_iter().flat_map(|(group, share)| self.pack(&group, share)).collect()
    }

    /// First what is below the root, then what is on its NUMA node, then the rest; packed within each.
    fn approach(&self, root: PcieRoot, mut count: usize) -> Vec<Free<'a>> {
        let known = self.free.iter().filter_map(|free| free.device);
        let mut known = known.chain(self.included.iter().chain(&self.used).copied());
        let node = known.find(|device| device.root == Some(root)).and_then(numa);
        let distance = |device: &Device| match device {
            device if device.root == Some(root) => 0,
            device if node.is_some() && numa(device) == node => 1,
            _ => 2,
        };
        let mut chosen = Vec::new();
        for (_, group) in grouped(&self.free, distance) {
            let share = count.min(group.len());
            count -= share;
            chosen.extend(self.pack(&group, share));
        }
        chosen
    }

    /// Divides devices into groups, and says how many to take of each, so that the fewest groups are
    /// touched beside those that the included devices are of.
    fn share_out<K: Ord + Copy>(
        &self,
        free: &[Free<'a>],
        mut count: usize,
        key: impl Fn(&Device) -> K,
    ) -> Vec<(Vec<Free<'a>>, usize)> {
        let number = |devices: &[&Device], wanted: Option<K>| {
            devices.iter().filter(|device| Some(key(device)) == wanted).count()
        };
        let mut groups: Vec<_> = grouped(free, &key)
            .into_iter()
            .map(|((unknown, key), group)| {
                (number(&self.included, key) > 0, !unknown, number(&self.used, key), group)
            })
            .collect();
        let mut shares = Vec::new();
        while count > 0 && !groups.is_empty() {
            // A group that is touched anyway; else one that is enough, and of these the one that is
            // used most and has the fewest left; else the largest, so that the fewest others follow.
            let rank = |(touched, known, used, group): &(bool, bool, usize, Vec<_>)| {
                let enough = group.len() >= count;
                let left = if enough { usize::MAX - group.len() } else { group.len() };
                let (first, second) = if enough { (*used, left) } else { (left, *used) };
                (*touched, *known, enough, first, second)
            };
            // Of equal ones the first: the order of addresses.
            let best = (0..groups.len()).rev().max_by_key(|&index| rank(&groups[index]));
            let Some(best) = best else { break };
            let (_, _, _, group) = groups.remove(best);
            let share = count.min(group.len());
            count -= share;
            shares.push((group, share));
        }
        shares
    }
}

/// Devices by what they share, each group in the pool's order; those of which it isn't known last.
fn grouped<'a, K: Ord>(
    free: &[Free<'a>],
    key: impl Fn(&Device) -> K,
) -> BTreeMap<(bool, Option<K>), Vec<Free<'a>>> {
    let mut groups: BTreeMap<_, Vec<Free<'a>>> = BTreeMap::new();
    for free in free {
        let key = free.device.map(&key);
        groups.entry((key.is_none(), key)).or_default().push(*free);
    }
    groups
}

#[cfg(test)]
mod tests;
