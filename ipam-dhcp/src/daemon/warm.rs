//! Leases that are ready before their pods come. Each is kept by a client like a pod's, with a MAC of its own, until a
//! pod's link gets that MAC.

use std::time::Duration;

use linkspan_config::NetworkName;
use linkspan_dhcp::client::{Client, Event};
use linkspan_dhcp::lease::Lease;
use linkspan_linux::random_mac;
use linkspan_proto::dhcp::Attachment;
use linkspan_types::MacAddr;

use super::held::{Held, Holder};
use super::messages::SendError;
use super::{Daemon, Id, Wanted, now};
use crate::about::about;
use crate::interface::Interface;
use crate::key::Key;
use crate::warm::{Nursery, Prefetch, Stage, Warm, client_id, digits, of_nobody};

/// How long it may take until a pod has the address that it was told of.
const SETTLING: Duration = Duration::from_secs(3);

impl Daemon {
    /// Takes a lease for a pod to come, and says which MAC its link is to have.
    pub(super) fn take_warm(&mut self, key: &Key, prefetch: &Prefetch) -> Option<MacAddr> {
        if let Some(id) = self.ids.get(key) {
            // The pod is asked for again, or has been there before.
            let earlier = self.held.get(id)?;
            return earlier.is_at(Stage::Taken).then_some(earlier.holder.mac);
        }
        let until = now().after(self.patience);
        let lasts = |lease: &Lease| lease.expires_at > until && lease.renews_at > now();
        let ready = self.held.iter().filter(|(_, held)| {
            held.is_for(prefetch)
                && held.is_at(Stage::Ready)
                && held.client.state_name() == "BOUND"
                && held.client.lease().is_some_and(lasts)
        });
        let id = ready.map(|(id, _)| *id).min()?;
        let mut held = self.held.remove(&id)?;
        held.exchange = None;
        held.probe = None;
        self.drop_link(&mut held);
        let before = std::mem::replace(&mut held.holder.key, key.clone());
        held.set_stage(Stage::Taken);
        held.until = Some(until);
        let mac = held.holder.mac;
        let lease = held.client.lease().cloned()?;
        if let Err(error) = self.keep(&held, lease) {
            about!(error, held.holder, "it can't have the lease that is ready: {error}");
            held.holder.key = before;
            held.set_stage(Stage::Ready);
            held.until = None;
            self.held.insert(id, held);
            return None;
        }
        self.unlist(&before);
        self.ids.insert(key.clone(), id);
        self.wakes.set(id, held.wakes_at());
        self.held.insert(id, held);
        Some(mac)
    }

    /// Gives a pod the lease that was taken for it, if its link has that lease's MAC. It need not be up: no server is
    /// asked over it now.
    pub(super) fn adopt(&mut self, wanted: &Wanted) -> Option<(Lease, MacAddr)> {
        let id = *self.ids.get(&wanted.key)?;
        let held = self.held.get(&id).filter(|held| held.is_at(Stage::Taken))?;
        let (mac, mut lease) = (held.holder.mac, held.client.lease().cloned()?);
        let interface = Interface::find(&self.home, &wanted.netns, &wanted.key.interface).ok()?;
        if interface.mac() != mac {
            return None;
        }
        drop(interface);
        // Asked for more time from an address that the pod does not have yet, a server would answer nobody.
        let settled = now().after(SETTLING);
        lease.renews_at = lease.renews_at.max(settled);
        lease.rebinds_at = lease.rebinds_at.max(settled);
        let mut holder = wanted.holder(mac);
        holder.wishes.client_id = client_id(mac);
        let client = Client::new(mac, holder.wishes.clone()).ok()?;
        let mut adopted = Held::new(holder, client);
        adopted.in_use = true;
        // It is in use: no error comes of that.
        let _ = self.keep(&adopted, lease.clone());
        self.held.insert(id, adopted);
        self.step(id, Event::Resume(lease.clone()));
        Some((lease, mac))
    }

    /// Has as many leases ready for pods to come as a network wants, and no more.
    pub(super) fn refill(&mut self, network: &NetworkName, prefetch: &Prefetch) {
        // All of them would have one name to the server, and one address.
        if prefetch.wishes.provide.iter().any(|(code, _)| *code == 61) {
            return;
        }
        let unused =
            self.held.iter().filter(|(_, held)| held.is_for(prefetch) && !held.is_at(Stage::Taken));
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
            warm: Some(warm),
        };
        let id = self.insert(holder, client);
        if let Some(held) = self.held.get_mut(&id) {
            held.until = Some(now().after(self.patience));
        }
        self.step(id, Event::Start);
    }

    /// Gives back what no pod has: the daemon ends.
    pub(crate) fn end(&mut self) {
        let unused = self.held.iter().filter(|(_, held)| held.holder.warm.is_some());
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
