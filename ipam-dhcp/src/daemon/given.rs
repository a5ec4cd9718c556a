//! What a client's lease does to its pod: an address that is there to be used, changed, or there no longer.

use linkspan_dhcp::client::Why;
use linkspan_dhcp::lease::Lease;

use super::held::Held;
use super::{Daemon, now};
use crate::about::about;
use crate::interface;
use crate::warm::Stage;

impl Daemon {
    /// Tells the pod of its address, or changes its interface; returns whether anybody wants it.
    pub(super) fn bound(&mut self, held: &mut Held, lease: Lease, before: Option<&Lease>) -> bool {
        if let Some(asked_at) = held.asked_at.take() {
            self.counts.exchanges.add(now().since(asked_at));
        }
        // A lease that no pod has is ready now; one that a pod is being made for stays so.
        held.in_use = held.holder.warm.is_none();
        if held.is_unused() {
            held.set_stage(Stage::Ready);
            held.until = None;
        }
        if let Err(error) = self.keep(held, lease.clone()) {
            about!(error, held.holder, "its lease is given up: {error}");
            return false;
        }
        if let Some(waiting) = held.waiting.take() {
            about!(info, held.holder, address = %lease.address, server = %lease.server, "it has a lease");
            return waiting.reply.send(Ok((lease, held.client.mac()))).is_ok();
        }
        if !held.in_use {
            return true;
        }
        let is_same = before.is_some_and(|before| interface::is_alike(before, &lease));
        if !is_same || held.restore {
            self.change(held, &lease, before);
        }
        true
    }

    /// Makes a pod's interface as a lease has it now.
    fn change(&self, held: &mut Held, lease: &Lease, before: Option<&Lease>) {
        let given = held.holder.interface(&self.home).and_then(|mut interface| {
            // One that the plugin had yet to set when it was lost.
            if let Some(stale) = held.stale.take().filter(|stale| stale.address != lease.address) {
                interface.take(&stale, held.holder.route_metric)?;
            }
            Ok(interface.give(before, lease, &held.holder)?)
        });
        match given {
            Ok(()) => {
                held.restore = false;
                about!(info, held.holder, address = %lease.address, "its interface is as the lease has it now");
            }
            Err(error) => {
                // Tried again when the lease is looked at next.
                held.restore = true;
                let error = anyhow::Error::new(error);
                about!(error, held.holder, "it can't be given {}: {error:#}", lease.address);
            }
        }
    }

    pub(super) fn lost(&mut self, held: &mut Held, lease: &Lease, why: Why) {
        let (holder, address) = (&held.holder, lease.address);
        match why {
            Why::Refused => about!(warn, *holder, "the server has taken {address} back"),
            Why::Expired => {
                self.counts.expirations.add_one();
                about!(warn, *holder, "the time of {address} is over, and no server gave more");
            }
            Why::Taken(mac) => {
                about!(
                    warn,
                    *holder,
                    "{address} is in use by the host with MAC {mac}, and given up"
                );
            }
        }
        if held.is_unused() {
            held.set_stage(Stage::Asked);
            held.until = Some(now().after(self.patience));
        }
        if !held.in_use || held.waiting.is_some() {
            return;
        }
        let taken = held
            .holder
            .interface(&self.home)
            .and_then(|mut interface| Ok(interface.take(lease, held.holder.route_metric)?));
        if let Err(error) = taken {
            let error = anyhow::Error::new(error);
            about!(error, held.holder, "{address} can't be taken from it: {error:#}");
        }
        held.stale = Some(lease.clone());
    }
}
