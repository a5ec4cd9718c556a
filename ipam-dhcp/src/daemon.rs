//! The one task for all leases: it is told what happened, has the clients say what is to be done, and does it.
//!
//! Nothing of a pod is kept open. So nobody says when a pod's namespace has gone; it is noticed when something is to
//! be done for its lease: at a timer, at DEL, or when the runtime collects garbage.

mod asked;
mod given;
mod held;
mod messages;
mod restart;
mod warm;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use linkspan_config::NetworkName;
use linkspan_dhcp::client::{self, Action, Client, Event};
use linkspan_dhcp::lease::Lease;
use linkspan_dhcp::moment::Moment;
use linkspan_dhcp::packet::{Kind, Reply};
use linkspan_linux::{Alarm, Closer, Netns, random_number, since_boot};
use linkspan_types::MacAddr;
use tokio::sync::mpsc;

use crate::about::about;
use crate::key::Key;
use crate::lease_store::{LeaseStore, StoreError};
use crate::metrics::Counts;
use crate::turns::Turns;
use crate::wakes::Wakes;
use crate::warm::{Nursery, Prefetch};

pub(crate) use asked::{Ask, Refusal, Wanted};
use held::{Held, Holder};

/// How long it is until those are looked at again whose turn it was not, and how many of them at a time.
const APART: Duration = Duration::from_millis(16);
const TOGETHER: u32 = 16;

/// Which client: never that of another one, unlike a [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(crate) u64);

/// What the loop is told.
pub(crate) enum Input {
    /// Somebody wants something.
    Asked(Ask),
    /// Whoever wanted an address for this does not wait any more.
    HungUp(Key),
    /// A server answered, by the socket with this number.
    Received { id: Id, number: u64, reply: Box<Reply> },
    /// A socket hears nothing any more.
    Deaf { id: Id, number: u64 },
    /// As many leases as this are to be ready for pods of a network to come.
    Refill(NetworkName, Prefetch),
    /// What came of looking for an address among the neighbours.
    Probed { id: Id, address: Ipv4Addr, taken_by: Option<MacAddr> },
}

/// All leases.
pub(crate) struct Daemon {
    /// This thread's own namespace.
    home: Netns,
    closer: Closer,
    store: LeaseStore,
    counts: Arc<Counts>,
    /// How long a pod waits for its address.
    patience: Duration,
    inputs: mpsc::Sender<Input>,
    held: HashMap<Id, Held>,
    ids: HashMap<Key, Id>,
    wakes: Wakes,
    turns: Turns,
    /// Made when the first lease is to be ready before its pod.
    nursery: Option<Nursery>,
    /// Clients and their sockets are numbered alike.
    last_number: u64,
}

impl Daemon {
    pub(crate) fn new(
        store: LeaseStore,
        counts: Arc<Counts>,
        patience: Duration,
        inputs: mpsc::Sender<Input>,
    ) -> io::Result<Self> {
        Ok(Self {
            home: Netns::current()?,
            closer: Closer::start()?,
            store,
            counts,
            patience,
            inputs,
            held: HashMap::new(),
            ids: HashMap::new(),
            wakes: Wakes::default(),
            turns: Turns::default(),
            nursery: None,
            last_number: 0,
        })
    }

    /// Keeps leases for as long as it is polled. Those of pods are then left as they are: the pods live on, and so does
    /// what is on disk.
    pub(crate) async fn run(&mut self, mut told: mpsc::Receiver<Input>) -> io::Result<()> {
        let alarm = Alarm::new()?;
        let mut set = None;
        loop {
            let next = self.wakes.next();
            if next != set {
                alarm.set(next.map(|at| Duration::from_millis(at.as_millis())))?;
                set = next;
            }
            tokio::select! {
                Some(input) = told.recv() => self.take(input),
                rung = alarm.ring() => {
                    rung?;
                    set = None;
                    self.wake(now());
                }
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Asked(ask) => self.answer(ask),
            Input::HungUp(key) => self.hung_up(&key),
            Input::Received { id, number, reply } => {
                if self.held.get(&id).is_some_and(|held| held.hears_by(number)) {
                    self.received(id, *reply);
                }
            }
            Input::Deaf { id, number } => {
                if let Some(held) = self.held.get_mut(&id).filter(|held| held.hears_by(number)) {
                    // The next message opens another one.
                    held.exchange = None;
                }
            }
            Input::Refill(network, prefetch) => self.refill(&network, &prefetch),
            Input::Probed { id, address, taken_by } => {
                if let Some(held) = self.held.get_mut(&id).filter(|_| taken_by.is_none()) {
                    held.probe = None;
                }
                let state = |held: &HashMap<Id, Held>| held.get(&id).map(|h| h.client.state_name());
                let before = state(&self.held);
                self.step(id, Event::Probed { address, taken_by });
                if taken_by.is_some() && state(&self.held) != before {
                    self.counts.declines.add_one();
                }
            }
        }
    }

    fn received(&mut self, id: Id, reply: Reply) {
        let is_nak = matches!(reply.kind, Kind::Nak);
        let was_ignored = self.step(id, Event::Received(reply));
        if is_nak && !was_ignored {
            self.counts.naks.add_one();
        }
    }

    /// Does all that is due, but for what can wait where there is much of it: pods that wait for their address come
    /// first, and no server has room for a thousand renewals at once.
    fn wake(&mut self, now: Moment) {
        let mut late = 0;
        let mut due = Vec::new();
        while let Some(id) = self.wakes.due(now) {
            let Some(held) = self.held.get(&id) else { continue };
            if held.can_wait(now) && !self.turns.begin(id, now) {
                late += 1;
                self.wakes.set(id, Some(now.after(APART * (1 + late / TOGETHER))));
            } else if held.is_given_up(now) && !self.settled(id) {
                self.give_up(id);
            } else {
                due.push((id, self.look(id)));
            }
        }
        for (id, look) in due {
            match look {
                Look::Gone => self.gone(id, Event::Release),
                Look::Lost(lease) => drop(self.step(id, Event::Reboot(lease))),
                Look::Well => drop(self.step(id, Event::Due)),
            }
        }
    }

    /// Looks whether a pod that has its address still is there, and has it.
    fn look(&mut self, id: Id) -> Look {
        let Some(held) = self.held.get_mut(&id) else { return Look::Well };
        if !held.in_use {
            // Its own link is there only while a server is asked, and has no address to ask from: the server is asked
            // whether the lease holds, which gives it more time as well.
            let is_due =
                |lease: &&Lease| held.client.state_name() == "BOUND" && lease.renews_at <= now();
            return held.client.lease().filter(is_due).cloned().map_or(Look::Well, Look::Lost);
        }
        let has = match (held.holder.interface(&self.home), held.client.lease()) {
            (Ok(mut interface), Some(lease)) => {
                let has = interface.has(lease.address).unwrap_or(true);
                if let Some(mac) = lease.server_mac.filter(|_| has && held.exchange.is_none()) {
                    // Else both ask everybody for each other.
                    let _ = interface.meet(lease.server, mac);
                }
                has
            }
            (Err(error), _) if error.is_gone() => return Look::Gone,
            _ => true,
        };
        match held.client.lease() {
            // Once is enough: what comes of it puts the address back.
            Some(lease) if !has && !held.restore => {
                held.restore = true;
                Look::Lost(lease.clone())
            }
            _ => Look::Well,
        }
    }

    /// Takes one client a step further, and returns whether it left what it was told alone.
    fn step(&mut self, id: Id, event: Event) -> bool {
        self.step_at(id, event, now())
    }

    fn step_at(&mut self, id: Id, event: Event, now: Moment) -> bool {
        let Some(mut held) = self.held.remove(&id) else { return true };
        let (mut forgotten, mut ignored, mut unwanted) = (false, false, false);
        // Without random numbers, those of the clock have to do.
        let random = random_number().unwrap_or_else(|_| since_boot().subsec_nanos());
        for action in client::step(&mut held.client, event, now, random) {
            match action {
                Action::Keep(lease) => {
                    if let Err(error) = self.keep(&held, lease) {
                        held.refuse(Refusal::not_kept(error));
                        forgotten = true;
                        break;
                    }
                }
                Action::Send { message, to } => self.send(id, &mut held, &message, to),
                Action::Probe(address) => self.probe(id, &mut held, address),
                Action::Bound { lease, before } => {
                    unwanted |= !self.bound(&mut held, lease, before.as_ref());
                }
                Action::Lost(lease, why) => self.lost(&mut held, &lease, why),
                Action::Forget => forgotten = true,
                Action::Ignored(why) => {
                    ignored = true;
                    self.counts.ignored(why);
                }
            }
        }
        if forgotten {
            held.exchange = None;
            self.drop_link(&mut held);
            self.forget(id, &held);
        } else {
            if !held.client.listens() {
                held.exchange = None;
            }
            if held.exchange.is_none() && held.probe.is_none() {
                self.drop_link(&mut held);
            }
            if held.exchange.is_none() {
                self.turns.end(id);
            }
            self.wakes.set(id, held.wakes_at());
            self.held.insert(id, held);
        }
        if unwanted {
            self.step(id, Event::Release);
        }
        ignored
    }

    /// Writes a lease down that a server may give from now on.
    fn keep(&self, held: &Held, lease: Lease) -> Result<(), StoreError> {
        match self.store.write(&held.record(lease)) {
            // A pod that runs needs its address more than a restart of this program needs to know it.
            Err(error) if held.in_use => {
                let error = anyhow::Error::new(error);
                about!(error, held.holder, "a restart will not know its lease: {error:#}");
                Ok(())
            }
            kept => kept,
        }
    }

    /// A pod that has not given its lease back, which this event does where that is wanted.
    fn gone(&mut self, id: Id, give_back: Event) {
        let Some(held) = self.held.get(&id) else { return };
        self.counts.orphans.add_one();
        let holder = &held.holder;
        about!(info, *holder, "its pod is gone, and its lease is forgotten");
        if holder.release_when_gone {
            self.step(id, give_back);
        } else if let Some(held) = self.held.remove(&id) {
            self.forget(id, &held);
        }
    }

    fn forget(&mut self, id: Id, held: &Held) {
        let key = &held.holder.key;
        self.wakes.set(id, None);
        self.turns.end(id);
        // Another client may be this interface's by now.
        if self.ids.get(key) == Some(&id) {
            self.unlist(key);
        }
    }

    fn unlist(&mut self, key: &Key) {
        self.ids.remove(key);
        if let Err(error) = self.store.remove(key) {
            tracing::warn!("{key}: {:#}", anyhow::Error::new(error));
        }
    }

    fn states(&self) -> BTreeMap<&'static str, u64> {
        let mut states = BTreeMap::new();
        for held in self.held.values() {
            *states.entry(held.client.state_name()).or_default() += 1;
        }
        states
    }

    /// Puts a new client in.
    fn insert(&mut self, holder: Holder, client: Client) -> Id {
        self.last_number += 1;
        let id = Id(self.last_number);
        self.ids.insert(holder.key.clone(), id);
        self.held.insert(id, Held::new(holder, client));
        id
    }
}

/// What a look at a pod's interface has shown.
enum Look {
    Well,
    /// It does not have the address of this lease.
    Lost(Lease),
    /// There is no such interface.
    Gone,
}

pub(crate) fn now() -> Moment {
    Moment::from_millis(u64::try_from(since_boot().as_millis()).unwrap_or(u64::MAX))
}
