//! Going on with the leases of an earlier run, however that ended.

use std::collections::HashSet;

use linkspan_dhcp::client::{Client, Event};
use linkspan_dhcp::moment::Moment;
use linkspan_types::MacAddr;

use super::{Daemon, now};
use crate::about::about;
use crate::lease_store::{Record, StoreError};
use crate::warm::Stage;

impl Daemon {
    /// Takes up all leases that are on disk.
    pub(crate) fn resume(&mut self) -> Result<(), StoreError> {
        let (found, lost): (Vec<_>, Vec<_>) =
            self.store.all()?.into_iter().partition(Result::is_ok);
        for error in lost.into_iter().filter_map(Result::err) {
            tracing::error!("a lease is lost: {:#}", anyhow::Error::new(error));
        }
        let (unused, of_pods): (Vec<Record>, Vec<Record>) =
            found.into_iter().flatten().partition(Record::is_unused);
        let taken: HashSet<MacAddr> = of_pods.iter().map(|record| record.holder.mac).collect();
        for record in of_pods {
            self.take_up(record);
        }
        for record in unused {
            // The run before was killed as it gave it to the pod.
            if taken.contains(&record.holder.mac) {
                self.unlist(&record.holder.key);
            } else {
                self.take_up(record);
            }
        }
        Ok(())
    }

    fn take_up(&mut self, record: Record) {
        let Record { holder, in_use, lease } = record;
        let client = match Client::new(holder.mac, holder.wishes.clone()) {
            Ok(client) => client,
            Err(error) => {
                about!(error, holder, "its lease is lost: {error}");
                return;
            }
        };
        let stage = holder.warm.as_ref().map(|warm| warm.stage);
        let id = self.insert(holder, client);
        match stage {
            // The pod's link may be there or not, as before.
            Some(Stage::Taken) => return self.settle_anew(id, &lease),
            Some(Stage::Ready) => {
                let is_due = now() >= lease.renews_at;
                self.step(id, if is_due { Event::Reboot(lease) } else { Event::Resume(lease) });
                return;
            }
            Some(Stage::Asked) | None => {}
        }
        if !in_use {
            // The run that asked for it has not told anybody, and nobody waits any more.
            self.step(id, Event::GiveBack(lease));
            return;
        }
        let Some(held) = self.held.get_mut(&id) else { return };
        held.in_use = true;
        let found = held.holder.interface(&self.home);
        match found.and_then(|mut interface| Ok(interface.has(lease.address)?)) {
            Err(error) if error.is_gone() => {
                self.gone(id, Event::GiveBack(lease));
            }
            Ok(false) => {
                held.restore = true;
                self.step(id, Event::Reboot(lease));
            }
            Ok(true) | Err(_) => {
                // Not before the lease is to be renewed: what is due since then is done in its turn.
                let due = Moment::from_millis(lease.renews_at.as_millis().saturating_sub(1));
                self.step_at(id, Event::Resume(lease), now().min(due));
            }
        }
    }
}
