//! What each pool offers to the kubelet now: looked up on the node, and passed to the pools' streams.

use std::io;
use std::sync::Arc;

use linkspan_linux::pci::Sysfs;
use tokio::sync::watch;

use crate::inventory::Inventory;
use crate::pools::{self, Member, Pool};
use crate::watch::NodeWatch;

/// The devices of all pools.
pub(crate) struct Offers {
    sysfs: Sysfs,
    pools: Vec<Pool>,
    /// One for each pool, in the same order.
    devices: Vec<watch::Sender<Vec<Member>>>,
}

impl Offers {
    /// Offers nothing before the first look.
    pub(crate) fn new(sysfs: Sysfs, pools: Vec<Pool>) -> Self {
        let devices = pools.iter().map(|_| watch::Sender::new(Vec::new())).collect();
        Self { sysfs, pools, devices }
    }

    /// Each pool, and what is to be told of its devices.
    pub(crate) fn subscribe(
        &self,
    ) -> impl Iterator<Item = (Arc<Pool>, watch::Receiver<Vec<Member>>)> {
        let devices = self.devices.iter().map(watch::Sender::subscribe);
        self.pools.iter().cloned().map(Arc::new).zip(devices)
    }

    /// Looks again whenever the node may have changed; returns only an error.
    pub(crate) async fn keep_looking(&self, mut node: NodeWatch) -> io::Result<()> {
        loop {
            node.changed().await?;
            self.look();
        }
    }

    /// Warns of pools without devices, once: a selector may be wrong, or VFs may still be made.
    pub(crate) fn warn_of_empty_pools(&self) {
        for (pool, devices) in self.pools.iter().zip(&self.devices) {
            if devices.borrow().is_empty() {
                tracing::warn!(
                    "{} has no devices: no VF of this node fits its selectors",
                    pool.name
                );
            }
        }
    }

    /// Looks at the node, and tells the pools whose devices have changed.
    pub(crate) fn look(&self) {
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
        for ((pool, devices), found) in self.pools.iter().zip(&self.devices).zip(found) {
            let count = found.len();
            let changed = devices.send_if_modified(|offered| {
                let changed = *offered != found;
                *offered = found;
                changed
            });
            if changed {
                tracing::info!("{} has {count} devices", pool.name);
            }
        }
    }
}
