//! What each pool offers to the kubelet now: looked up on the node, and passed to the pools' streams.

use std::sync::Arc;

use linkspan_linux::pci::Sysfs;
use tokio::sync::watch;

use crate::inventory::Inventory;
use crate::pools::{self, Member, Pool};

/// What a pool offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) pool: Arc<Pool>,
    pub(crate) members: Vec<Member>,
}

/// Hears of each new offer of one pool, and of the pool's end: then the sender is gone.
pub(crate) type Offered = watch::Receiver<Arc<Offer>>;

/// The offers of all pools.
pub(crate) struct Offers {
    sysfs: Sysfs,
    pools: Vec<Pool>,
    /// One for each pool, in the same order.
    current: Vec<watch::Sender<Arc<Offer>>>,
}

impl Offers {
    pub(crate) fn new(sysfs: Sysfs) -> Self {
        Self { sysfs, pools: Vec::new(), current: Vec::new() }
    }

    /// Puts these pools in the place of those that there were, and looks at the node for them.
    /// Returns the offers of those that are new. A pool that was there before, by its name, keeps
    /// its listeners; those of one that isn't there any more hear of an empty offer, and no more.
    pub(crate) fn configure(&mut self, pools: Vec<Pool>) -> Vec<Offered> {
        let mut before: Vec<_> = self.current.drain(..).collect();
        let mut added = Vec::new();
        for pool in &pools {
            let known = before.iter().position(|offer| offer.borrow().pool.name == pool.name);
            let offer = known.map_or_else(
                || {
                    let offer = Offer { pool: Arc::new(pool.clone()), members: Vec::new() };
                    let (sender, receiver) = watch::channel(Arc::new(offer));
                    added.push(receiver);
                    sender
                },
                |known| before.swap_remove(known),
            );
            self.current.push(offer);
        }
        for removed in before {
            let pool = Arc::clone(&removed.borrow().pool);
            tracing::info!("{} is no longer configured", pool.name);
            removed.send_replace(Arc::new(Offer { pool, members: Vec::new() }));
        }
        let is_new = self.pools != pools;
        self.pools = pools;
        self.look();
        if is_new {
            self.warn_of_empty_pools();
        }
        added
    }

    /// Looks at the node, and tells the pools whose devices have changed.
    pub(crate) fn look(&mut self) {
        let inventory = match Inventory::read(&self.sysfs) {
            Ok((inventory, errors)) => {
                for error in errors {
                    tracing::warn!("a device is left out: {:#}", anyhow::Error::new(error));
                }
                inventory
            }
            Err(error) => {
                tracing::error!("cannot look for devices: {:#}", anyhow::Error::new(error));
                return;
            }
        };
        let found = pools::divide(&self.pools, &inventory);
        for ((pool, offer), members) in self.pools.iter().zip(&self.current).zip(found) {
            offer.send_if_modified(|offered| tell(offered, pool, members));
        }
    }

    /// Warns of pools without devices: a selector may be wrong, or VFs may still be made.
    fn warn_of_empty_pools(&self) {
        for offer in self.current.iter().map(watch::Sender::borrow) {
            if offer.members.is_empty() {
                let name = &offer.pool.name;
                tracing::warn!("{name} has no devices: no VF of this node fits its selectors");
            }
        }
    }
}

/// Puts a new offer in the place of the old one, and says whether they differ.
fn tell(offered: &mut Arc<Offer>, pool: &Pool, members: Vec<Member>) -> bool {
    let same_pool = *offered.pool == *pool;
    if same_pool && offered.members == members {
        return false;
    }
    if offered.members != members {
        tracing::info!("{} has {} devices", pool.name, members.len());
    }
    let pool = if same_pool { Arc::clone(&offered.pool) } else { Arc::new(pool.clone()) };
    *offered = Arc::new(Offer { pool, members });
    true
}
