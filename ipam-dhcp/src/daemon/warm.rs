//! Leases that are ready before their pods come. Each is kept by a client like a pod's, with a MAC of its own, until a
//! pod's link gets that MAC.

use std::time::Duration;

use linkspan_config::NetworkName;
use linkspan_dhcp::client::{Client, Event};
use linkspan_dhcp::lease::Lease;
use linkspan_dhcp::moment::Moment;
use linkspan_linux::random_mac;
use linkspan_proto::dhcp::Attachment;
use linkspan_types::MacAddr;

use super::held::{Held, Holder};
use super::messages::SendError;
use super::{Daemon, Id, Wanted, now};
use crate::about::about;
use crate::key::Key;
use crate::warm::{Nursery, Prefetch, Stage, Warm, client_id, digits, of_nobody};

/// How long it may take until the pod's link is there for which a lease was taken.
const SETTLING: Duration = Duration::from_secs(10);

/// A lease that was ready, and is a pod's once its link is there.
pub(crate) struct Taken {
    pub(crate) lease: Lease,
    pub(crate) mac: MacAddr,
    /// When the link has to be there.
    pub(crate) until: Moment,
}

impl Daemon {
    /// Takes a lease for a pod to come, whose link is to have its MAC. Nothing is heard of the pod from then on: that its
    /// link is there makes the lease its own.
    pub(super) fn take_warm(&mut self, wanted: &Wanted, prefetch: &Prefetch) -> Option<Taken> {
        if let Some(id) = self.ids.get(&wanted.key) {
            // The pod is asked for again, or has been there before.
            let earlier = self.held.get(id).filter(|earlier| earlier.is_taken())?;
            let lease = earlier.client.lease().filter(|_| earlier.holder.netns == wanted.netns)?;
            return Some(Taken {
                lease: lease.clone(),
                mac: earlier.holder.mac,
                until: earlier.until?,
            });
        }
        let until = now().after(SETTLING);
        let lasts = |lease: &Lease| lease.expires_at > until && lease.renews_at > now();
        let ready = self.held.iter().filter(|(_, held)| {
            held.is_for(prefetch)
                && held.is_at(Stage::Ready)
                && held.client.state_name() == "BOUND"
                && held.client.lease().is_some_and(lasts)
        });
        let id = ready.map(|(id, _)| *id).min()?;
        let ready = self.held.get_mut(&id)?;
        let (mac, lease) = (ready.holder.mac, settling(ready.client.lease()?, until));
        let mut holder = wanted.holder(mac);
        holder.wishes.client_id = client_id(mac);
        holder.warm = Some(Warm { place: prefetch.place.clone(), stage: Stage::Taken });
        let client = Client::new(mac, holder.wishes.clone()).ok()?;
        let taken = Held::new(holder, client);
        if let Err(error) = self.store.write(&taken.record(lease.clone())) {
            let error = anyhow::Error::new(error);
            about!(error, taken.holder, "it can't have the lease that is ready: {error:#}");
            return None;
        }
        let mut ready = self.held.insert(id, taken)?;
        ready.exchange = None;
        ready.probe = None;
        self.drop_link(&mut ready);
        self.unlist(&ready.holder.key);
        self.ids.insert(wanted.key.clone(), id);
        self.settle_until(id, until, &lease);
        Some(Taken { lease, mac, until })
    }

    /// Goes on waiting for the link of a pod that an earlier run has told of a lease.
    pub(super) fn settle_anew(&mut self, id: Id, lease: &Lease) {
        // The plugin was told of a time before the lease's end.
        let until = now().after(SETTLING).min(lease.expires_at);
        self.settle_until(id, until, lease);
    }

    /// Holds a lease for a pod until its link has to be there.
    fn settle_until(&mut self, id: Id, until: Moment, lease: &Lease) {
        if let Some(held) = self.held.get_mut(&id) {
            held.until = Some(until);
        }
        self.step(id, Event::Resume(settling(lease, until)));
    }

    /// Whether a lease that was taken has its pod's link, which makes it the pod's own.
    pub(super) fn has_come(&mut self, id: Id) -> bool {
        let Some(held) = self.held.get_mut(&id).filter(|held| held.is_taken()) else {
            return false;
        };
        if held.holder.interface(&self.home).is_err_and(|error| error.is_gone()) {
            return false;
        }
        held.holder.warm = None;
        held.in_use = true;
        held.until = None;
        true
    }

    /// The same, also for the next run.
    pub(super) fn settled(&mut self, id: Id) -> bool {
        let has_come = self.has_come(id);
        if let Some(held) = self.held.get(&id).filter(|_| has_come)
            && let Some(lease) = held.client.lease()
        {
            // It is in use: no error comes of that.
            let _ = self.keep(held, lease.clone());
        }
        has_come
    }

    /// Gives a lease back.
    pub(super) fn release(&mut self, id: Id) {
        if let Some(taken) = self.held.get(&id).filter(|held| held.is_taken()) {
            // Nothing is sent over a link that is down, beside which another one may have its MAC.
            if taken.holder.interface(&self.home).is_ok_and(|interface| interface.is_up()) {
                self.has_come(id);
            } else {
                self.put_back(id);
            }
        }
        self.step(id, Event::Release);
    }

    /// Makes a lease that was taken one that no pod has: its link would have the name that another one's has, too.
    fn put_back(&mut self, id: Id) {
        let Some(held) = self.held.get_mut(&id) else { return };
        let Some(unused) = key(&held.holder.key.network, held.holder.mac) else { return };
        let taken = std::mem::replace(&mut held.holder.key, unused.clone());
        held.set_stage(Stage::Ready);
        let record = held.client.lease().map(|lease| held.record(lease.clone()));
        if let Some(Err(error)) = record.map(|record| self.store.write(&record)) {
            tracing::warn!("{unused}: {:#}", anyhow::Error::new(error));
        }
        self.unlist(&taken);
        self.ids.insert(unused, id);
    }

    /// Has as many leases ready for pods to come as a network wants, and no more.
    pub(super) fn refill(&mut self, network: &NetworkName, prefetch: &Prefetch) {
        // All of them would have one name to the server, and one address.
        if prefetch.wishes.provide.iter().any(|(code, _)| *code == 61) {
            return;
        }
        let unused = self.held.iter().filter(|(_, held)| held.is_for(prefetch) && !held.is_taken());
        let mut unused: Vec<Id> = unused.map(|(id, _)| *id).collect();
        unused.sort_unstable();
        for id in unused.iter().skip(prefetch.leases) {
            self.step(*id, Event::Release);
        }
        for _ in unused.len()..prefetch.leases {
            self.prepare(network, prefetch);
        }
    }

    /// Asks for one more lease.
    fn prepare(&mut self, network: &NetworkName, prefetch: &Prefetch) {
        let made = random_mac().ok().and_then(|mac| Some((mac, key(network, mac)?)));
        let Some((mac, key)) = made else { return };
        let mut wishes = of_nobody(&prefetch.wishes);
        wishes.client_id = client_id(mac);
        let Ok(client) = Client::new(mac, wishes.clone()) else { return };
        let warm = Warm { place: prefetch.place.clone(), stage: Stage::Asked };
        let holder = Holder {
            key,
            pod: String::new(),
            netns: std::path::PathBuf::new(),
            mac,
            wishes,
            release_when_gone: true,
            route_metric: None,
            keeps_mtu: false,
            warm: Some(warm),
        };
        let id = self.insert(holder, client);
        if let Some(held) = self.held.get_mut(&id) {
            held.until = Some(now().after(self.patience));
        }
        self.step(id, Event::Start);
    }

    /// Gives back what no pod has, and none will: the daemon ends. One that is being made has its lease from the next run.
    pub(crate) fn end(&mut self) {
        let unused = self.held.iter().filter(|(_, held)| held.is_unused());
        let unused: Vec<Id> = unused.map(|(id, _)| *id).collect();
        for id in unused {
            self.step(id, Event::Release);
        }
    }

    /// Makes the link of a lease that no pod has, for as long as messages are exchanged.
    pub(super) fn make_link(&mut self, held: &mut Held) -> Result<(), SendError> {
        let Some(warm) = &held.holder.warm else { return Ok(()) };
        if held.link.is_some() {
            return Ok(());
        }
        let nursery = match &mut self.nursery {
            Some(nursery) => nursery,
            none => none.insert(Nursery::new(&self.home)?),
        };
        let Holder { key, mac, .. } = &held.holder;
        held.link = Some(nursery.make(&self.home, &warm.place, &key.interface, *mac)?);
        nursery.path().clone_into(&mut held.holder.netns);
        Ok(())
    }

    /// Deletes it when none are.
    pub(super) fn drop_link(&self, held: &mut Held) {
        let (Some(nursery), Some(index)) = (&self.nursery, held.link.take()) else { return };
        if let Err(error) = nursery.delete(&self.home, index) {
            let error = anyhow::Error::new(error);
            about!(warn, held.holder, "its link stays: {error:#}");
        }
    }
}

impl Held {
    fn is_at(&self, stage: Stage) -> bool {
        self.holder.warm.as_ref().is_some_and(|warm| warm.stage == stage)
    }

    /// Whether a pod is to come for it.
    pub(super) fn is_taken(&self) -> bool {
        self.is_at(Stage::Taken)
    }

    /// Whether no pod has it or is about to.
    pub(super) fn is_unused(&self) -> bool {
        self.is_at(Stage::Asked) || self.is_at(Stage::Ready)
    }

    pub(super) fn set_stage(&mut self, stage: Stage) {
        if let Some(warm) = &mut self.holder.warm {
            warm.stage = stage;
        }
    }

    fn is_for(&self, prefetch: &Prefetch) -> bool {
        self.holder.warm.as_ref().is_some_and(|warm| warm.place == prefetch.place)
            && of_nobody(&self.holder.wishes) == of_nobody(&prefetch.wishes)
    }
}

/// A lease with nothing to be asked for it until a pod's link is there: from an address that the pod does not have yet,
/// a server would be asked in vain.
fn settling(lease: &Lease, until: Moment) -> Lease {
    Lease {
        renews_at: lease.renews_at.max(until),
        rebinds_at: lease.rebinds_at.max(until),
        ..lease.clone()
    }
}

/// What a lease is called that no pod has.
fn key(network: &NetworkName, mac: MacAddr) -> Option<Key> {
    let digits = digits(mac);
    Key::try_from(&Attachment {
        network: network.to_string(),
        container_id: format!("warm-{digits}"),
        if_name: format!("w{digits}"),
    })
    .ok()
}
