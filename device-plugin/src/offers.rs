//! What each pool offers to the kubelet now: looked up on the node, and passed to the pools' streams.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use linkspan_linux::HostLinks;
use linkspan_linux::pci::{Seen, Sysfs};
use linkspan_types::IfName;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::counts::NodeCounts;
use crate::health::Damper;
use crate::inventory::{Asked, DeviceId, Inventory, Profiles};
use crate::kept::{self, Kept, Known};
use crate::pools::{self, Division, Excluded, Health, Member, Pool, Reason};
use crate::shares::{self, left};

/// What a pool offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) pool: Arc<Pool>,
    pub(crate) members: Vec<Member>,
    /// Devices that pods hold, and that had gone before this program was started: nothing else is known of them.
    pub(crate) gone: BTreeSet<DeviceId>,
    /// How well the shares are that it has in place of members.
    pub(crate) shares: Option<Health>,
    /// Those of the members that the pool doesn't select any more: no other pod may get them.
    pub(crate) leaving: BTreeSet<DeviceId>,
}

impl Offer {
    /// Nothing of this pool.
    pub(crate) fn of(pool: Arc<Pool>) -> Self {
        let (members, gone, leaving) = Default::default();
        Self { pool, members, gone, shares: None, leaving }
    }
}

/// Hears of each new offer of one pool, and of the pool's end: then the sender is gone.
pub(crate) type Offered = watch::Receiver<Arc<Offer>>;

/// The offers of all pools.
pub(crate) struct Offers {
    sysfs: Sysfs,
    seen: Seen,
    profiles: Profiles,
    counts: Arc<NodeCounts>,
    pools: Vec<Pool>,
    /// One for each pool, in the same order.
    current: Vec<Current>,
    /// The last offers of pools that are not configured any more, some of whose devices may be held.
    ended: Vec<Arc<Offer>>,
    /// What was seen last.
    inventory: Inventory,
    /// Which of it is not offered though a pool selects it.
    excluded: watch::Sender<Vec<Excluded>>,
    /// The devices that are not where the selectors alone would have them.
    kept: Kept,
    /// Whether some of them were not kept before the last look.
    has_new: bool,
    /// Links of shares that no pool has.
    left: Vec<IfName>,
    /// When devices will be well again unless something happens.
    due: Option<Instant>,
}

/// What is told of one pool, and what has to be remembered for it.
struct Current {
    offer: watch::Sender<Arc<Offer>>,
    damper: Damper,
}

impl Offers {
    pub(crate) fn new(sysfs: Sysfs, counts: Arc<NodeCounts>) -> Self {
        Self {
            sysfs,
            seen: Seen::default(),
            profiles: Profiles::default(),
            counts,
            pools: Vec::new(),
            current: Vec::new(),
            ended: Vec::new(),
            inventory: Inventory::default(),
            excluded: watch::Sender::default(),
            kept: Kept::new(),
            has_new: false,
            left: Vec::new(),
            due: None,
        }
    }

    /// Puts these pools in the place of those that there were, and looks at the node for them.
    /// Returns the offers of those that are new. A pool that was there before, by its name, keeps
    /// its listeners; those of one that isn't there any more hear of an empty offer, and no more.
    pub(crate) fn configure(&mut self, pools: Vec<Pool>, known: Known<'_>) -> Vec<Offered> {
        let mut before: Vec<_> = self.current.drain(..).collect();
        let mut added = Vec::new();
        for pool in &pools {
            let known = before.iter().position(|c| c.offer.borrow().pool.name == pool.name);
            let current = known.map_or_else(
                || {
                    let offer = Offer::of(Arc::new(pool.clone()));
                    let (offer, receiver) = watch::channel(Arc::new(offer));
                    added.push(receiver);
                    Current { offer, damper: Damper::default() }
                },
                |known| before.swap_remove(known),
            );
            self.current.push(current);
        }
        for Current { offer, .. } in before {
            let pool = Arc::clone(&offer.borrow().pool);
            tracing::info!("{} is no longer configured", pool.name);
            self.ended.push(Arc::clone(&offer.borrow()));
            offer.send_replace(Arc::new(Offer::of(pool)));
        }
        let is_new = self.pools != pools;
        self.pools = pools;
        self.look(known);
        if is_new {
            self.warn_of_empty_pools();
        }
        added
    }

    /// Has the next look read everything anew.
    pub(crate) fn forget_seen(&mut self) {
        self.seen = Seen::default();
    }

    /// Looks at the node, and tells the pools whose devices have changed.
    pub(crate) fn look(&mut self, known: Known<'_>) {
        let now = Instant::now();
        self.look_at(now, known);
        self.counts.looks.add(now.elapsed());
    }

    fn look_at(&mut self, now: Instant, known: Known<'_>) {
        if let Err(error) = self.read_node() {
            tracing::error!("cannot look for devices: {error:#}");
            return;
        }
        let inventory = &self.inventory;
        let Division { members: mut found, excluded } = pools::divide(&self.pools, inventory);
        let told = self.excluded.send_replace(excluded);
        for new in self.excluded.borrow().iter().filter(|excluded| !told.contains(excluded)) {
            tracing::info!("{new}");
        }
        let before = self.current.iter().map(|current| Arc::clone(&current.offer.borrow()));
        let before: Vec<_> = before.chain(self.ended.iter().cloned()).collect();
        let kept = kept::keep(&self.pools, &before, &self.kept, inventory, &mut found, known);
        self.has_new = kept.keys().any(|id| !self.kept.contains_key(id));
        self.kept = kept;
        for offer in &mut self.ended {
            let (pool, mut members) = (Arc::clone(&offer.pool), offer.members.clone());
            members.retain(|member| self.kept.contains_key(&member.device.id));
            *offer = Arc::new(Offer { members, ..Offer::of(pool) });
        }
        self.ended.retain(|offer| !offer.members.is_empty());
        self.due = None;
        for ((pool, current), mut members) in self.pools.iter().zip(&mut self.current).zip(found) {
            let damping = pool.resource.health.damping;
            let due = current.damper.settle(&mut members, damping, now);
            self.due = [self.due, due].into_iter().flatten().min();
            let ids = members.iter().map(|member| &member.device.id);
            let leaving = ids.filter(|id| self.kept.contains_key(id)).cloned().collect();
            let gone = kept::gone(&self.kept, pool, &members);
            let shares = shares::health(pool, &self.inventory.interfaces);
            let new = Offer { members, gone, shares, leaving, ..Offer::of(Arc::new(pool.clone())) };
            current.offer.send_if_modified(|offered| tell(offered, new));
        }
    }

    fn read_node(&mut self) -> anyhow::Result<()> {
        let host = HostLinks::look()?;
        let asked = Asked::by(&self.pools);
        let (mut inventory, errors) = Inventory::read(&self.sysfs, &mut self.seen, asked, &host)?;
        for error in errors {
            tracing::warn!("a device is left out: {:#}", anyhow::Error::new(error));
        }
        if asked.ddp_profiles {
            for error in self.profiles.add_to(&mut inventory, &self.inventory) {
                tracing::warn!("a profile is taken to be as it was: {error}");
            }
        }
        self.left = left::left(&self.pools, &host.links);
        inventory.remember(&self.inventory);
        self.inventory = inventory;
        Ok(())
    }

    /// The pools that are in force.
    pub(crate) fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// The Ethernet links of devices that are in no pool, and bonds.
    pub(crate) fn free_wires(&self) -> Vec<IfName> {
        let offers: Vec<_> = self.current.iter().map(|current| current.offer.borrow()).collect();
        let members = offers.iter().flat_map(|offer| &offer.members);
        let taken: BTreeSet<&str> =
            members.flat_map(|member| &member.device.net_names).map(IfName::as_str).collect();
        let wires = self.inventory.interfaces.wires();
        wires.filter(|name| !taken.contains(name.as_str())).collect()
    }

    /// The devices that are not offered though a pool selects them, now and later.
    pub(crate) fn excluded(&self) -> watch::Receiver<Vec<Excluded>> {
        self.excluded.subscribe()
    }

    /// The links that pools have shares of.
    pub(crate) fn lower_devices(&self) -> Vec<IfName> {
        let shares = self.pools.iter().filter_map(|pool| pool.resource.shares.as_ref());
        shares.map(|shares| shares.lower_device.clone()).collect()
    }

    /// Whether devices are bound to another driver for as long as pods have them.
    pub(crate) fn binds_per_pod(&self) -> bool {
        self.pools.iter().any(Pool::binds_per_pod)
    }

    /// Links of shares that no pool has.
    pub(crate) fn left(&self) -> &[IfName] {
        &self.left
    }

    /// Whether some devices, or links of shares, wait for the kubelet's word that nobody holds them.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.kept.is_empty() || !self.left.is_empty()
    }

    /// Whether some of those have only just left their pools.
    pub(crate) fn has_new(&self) -> bool {
        self.has_new
    }

    /// Told when a device has answered that a look has not waited for.
    pub(crate) fn late_answer(&self) -> Arc<Notify> {
        self.profiles.late()
    }

    /// When to look again though nothing happens.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Warns of pools without devices: a selector may be wrong, or VFs may still be made.
    fn warn_of_empty_pools(&self) {
        for offer in self.current.iter().map(|current| current.offer.borrow()) {
            if offer.members.is_empty() && offer.shares.is_none() {
                let name = &offer.pool.name;
                tracing::warn!("{name} has no devices: no device of this node fits its selectors");
            }
        }
    }
}

/// Puts a new offer in the place of the old one, and says whether they differ.
fn tell(offered: &mut Arc<Offer>, new: Offer) -> bool {
    if **offered == new {
        return false;
    }
    let name = &new.pool.name;
    let (before, after) = (summary(offered), summary(&new));
    match (&new.pool.resource.shares, &new.shares) {
        (Some(all), Some(Health::Healthy)) => {
            tracing::info!("{name} has {} shares of {}", all.capacity, all.lower_device);
        }
        (Some(_), Some(Health::Unhealthy(reason))) => {
            tracing::warn!("{name}: all shares are unhealthy: {reason}");
        }
        _ if before != after => tracing::info!("{name} has {after}"),
        _ => {}
    }
    *offered = Arc::new(new);
    true
}

/// How many devices there are, and why how many of them are not healthy.
fn summary(offer: &Offer) -> String {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let members = offer.members.iter().filter_map(|member| match &member.health {
        Health::Unhealthy(reason) => Some(reason),
        Health::Healthy => None,
    });
    for reason in members.chain(offer.gone.iter().map(|_| &Reason::Gone)) {
        *reasons.entry(reason.to_string()).or_default() += 1;
    }
    let ill = reasons.into_iter().map(|(reason, count)| format!(", {count} unhealthy: {reason}"));
    let all = offer.members.len() + offer.gone.len();
    format!("{all} devices{}", ill.collect::<String>())
}
