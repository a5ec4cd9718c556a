//! The client of one interface as a state machine (RFC 2131, section 4.4 and figure 5): [`step`] is told what happened
//! and when, and says what is to be done. It has no clock, no sockets and no randomness of its own.

mod acquire;
mod choice;
mod hold;
mod state;
#[cfg(test)]
mod tests;
mod times;

use std::net::Ipv4Addr;

use linkspan_types::MacAddr;

use crate::lease::Lease;
use crate::moment::Moment;
use crate::packet::{self, Asked, Ignored, Kind, Reply, Request};
use crate::wishes::Wishes;
use state::{Exchange, State};

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A lease is wanted. The first event, as are the next three.
    Start,
    /// The daemon is back, and the interface still has the address of this lease: goes on where it was.
    Resume(Lease),
    /// The daemon is back, or the link is, and whether the address still holds is to be asked (INIT-REBOOT). Also
    /// taken while an address is held.
    Reboot(Lease),
    /// The daemon is back, and nobody wants this lease any more: it is released.
    GiveBack(Lease),
    /// A server answered.
    Received(Reply),
    /// [`Client::wakes_at`] has come.
    Due,
    /// A neighbour has the address, or the probe that an [`Action::Probe`] began has ended without one.
    Probed {
        /// The address that was looked for.
        address: Ipv4Addr,
        /// The neighbour.
        taken_by: Option<MacAddr>,
    },
    /// The lease is not wanted any more.
    Release,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write this down before any message of this step goes out: the server may give the lease from now on, though
    /// [`Action::Bound`] has yet to say so.
    Keep(Lease),
    /// Send a message.
    Send {
        /// What follows the UDP header.
        message: Vec<u8>,
        /// Who gets it, and from which address.
        to: Destination,
    },
    /// Look for this address among the neighbours. The daemon answers with [`Event::Probed`], once for every neighbour
    /// that has it and once when it has looked for long enough.
    Probe(Ipv4Addr),
    /// The address is there to be used: a new one, or one with more time, or with other settings.
    Bound {
        /// What the interface is to have.
        lease: Lease,
        /// What it had.
        before: Option<Lease>,
    },
    /// The interface must have this address no longer; another is already being asked for.
    Lost(Lease, Why),
    /// There is nothing left to do: the client can be dropped, and what was written of it.
    Forget,
    /// A message was left alone; for the metrics.
    Ignored(Ignored),
}

/// Who gets a message. The ports are always those of RFC 2131: from 68 to 67.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Everybody on the link, from 0.0.0.0: there is no address yet.
    Broadcast,
    /// Everybody on the link, from the address that the interface has.
    BroadcastFrom(Ipv4Addr),
    /// One server.
    Unicast {
        /// The address of the lease; in a RELEASE the interface may never have had it.
        from: Ipv4Addr,
        /// The server's.
        server: Ipv4Addr,
        /// Where its last answer came from.
        server_mac: Option<MacAddr>,
    },
}

/// Why an address must not be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A server says that it is not ours (NAK).
    Refused,
    /// Its time is over, and no server has given more.
    Expired,
    /// This neighbour has it; the server was told (DECLINE).
    Taken(MacAddr),
}

/// The client of one interface.
#[derive(Clone, Debug)]
pub struct Client {
    mac: MacAddr,
    wishes: Wishes,
    state: State,
    /// The address to ask for first: the last one that there was.
    last_address: Option<Ipv4Addr>,
    /// How often a server took back or a neighbour had what was offered, since a lease was last renewed.
    setbacks: u32,
    /// The latest moment that was told: time does not run backwards, whoever tells it.
    told: Moment,
}

/// That what a network provides and requests has no room in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the options that are provided and requested have no room in a message of {} bytes; provide \
     fewer or shorter ones",
    packet::LARGEST
)]
pub struct TooMuchProvided;

/// Takes the client from one event to the next. `random` is to be a new number each time.
#[must_use]
pub fn step(client: &mut Client, event: Event, now: Moment, random: u32) -> Vec<Action> {
    client.told = client.told.max(now);
    let mut step = Step { now: client.told, random, actions: Vec::new() };
    if !matches!(event, Event::Release) {
        // What is over is over, whatever has happened since.
        client.expire(&mut step);
    }
    match event {
        Event::Start => client.start(&mut step),
        Event::Resume(lease) => client.resume(lease, &mut step),
        Event::Reboot(lease) => client.reboot(lease, &mut step),
        Event::GiveBack(lease) => client.give_back(lease, &mut step),
        Event::Received(reply) => {
            if let Err(ignored) = client.received(reply, &mut step) {
                step.actions.push(Action::Ignored(ignored));
            }
        }
        Event::Due => client.due(&mut step),
        Event::Probed { address, taken_by } => client.probed(address, taken_by, &mut step),
        Event::Release => client.release(&mut step),
    }
    step.actions
}

/// One step: when it is, and what came of it so far.
struct Step {
    now: Moment,
    random: u32,
    actions: Vec<Action>,
}

impl Client {
    /// The client of the interface with this MAC; its first event is yet to come.
    pub fn new(mac: MacAddr, mut wishes: Wishes) -> Result<Self, TooMuchProvided> {
        if !packet::fits(&wishes) {
            return Err(TooMuchProvided);
        }
        if let Some((_, id)) = wishes.provide.iter().rfind(|(code, _)| *code == 61) {
            wishes.client_id.clone_from(id);
        }
        Ok(Self {
            mac,
            wishes,
            state: State::New,
            last_address: None,
            setbacks: 0,
            told: Moment::from_millis(0),
        })
    }

    /// The MAC that its messages name.
    #[must_use]
    pub fn mac(&self) -> MacAddr {
        self.mac
    }

    /// What it asks of servers.
    #[must_use]
    pub fn wishes(&self) -> &Wishes {
        &self.wishes
    }

    /// When it wants an [`Event::Due`]; never where there is nothing to wait for: before its first event, after its
    /// last, with a lease without an end.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Moment> {
        self.state.wakes_at().filter(|moment| *moment != Moment::NEVER)
    }

    /// Whether an answer is awaited: a socket is needed for just as long.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.state.exchange().is_some_and(|exchange| exchange.listens)
    }

    /// The address in use, with what goes with it.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.state.lease()
    }

    /// The state, as figure 5 of RFC 2131 has it.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        self.state.name()
    }

    /// An answer: is it ours, and to what?
    fn received(&mut self, reply: Reply, step: &mut Step) -> Result<(), Ignored> {
        let id = &self.wishes.client_id;
        let other_id = |theirs: &Vec<u8>| !id.is_empty() && theirs != id;
        if reply.mac != self.mac || reply.client_id.as_ref().is_some_and(other_id) {
            return Err(Ignored::NotOurs);
        }
        let exchange = self.state.exchange().ok_or(Ignored::NotAwaited)?;
        if reply.transaction != exchange.transaction {
            return Err(Ignored::NotOurs);
        }
        if self.state.server().is_some_and(|server| server != reply.server.id) {
            return Err(Ignored::OtherServer);
        }
        let Reply { kind, server, .. } = reply;
        match (&self.state, kind) {
            (State::Selecting { .. }, Kind::Offer(terms)) => self.offered(server, terms, step),
            (State::Selecting { .. }, Kind::Ack { terms, rapid_commit: true })
                if self.wishes.rapid_commit =>
            {
                self.acknowledged(server, terms, step)
            }
            (State::Requesting { .. }, Kind::Ack { terms, .. }) => {
                self.acknowledged(server, terms, step)
            }
            (State::Selecting { .. }, _) | (_, Kind::Offer(_)) => Err(Ignored::NotAwaited),
            (_, Kind::Ack { terms, .. }) => self.extended(server, terms, step),
            (_, Kind::Nak) => {
                self.refused(step);
                Ok(())
            }
        }
    }

    /// [`Client::wakes_at`] has come, or something near it.
    fn due(&mut self, step: &mut Step) {
        match self.state {
            State::Init { until } if step.now >= until => self.discover(step),
            State::Selecting { .. } => self.go_on_selecting(step),
            State::Requesting { .. } => self.go_on_requesting(step),
            State::Rebooting { .. } => self.go_on_rebooting(step),
            State::Bound(_) | State::Renewing { .. } | State::Rebinding { .. } => self.keep(step),
            State::New | State::Init { .. } | State::Released => {}
        }
    }

    /// A neighbour has an address, or has it not.
    fn probed(&mut self, address: Ipv4Addr, taken_by: Option<MacAddr>, step: &mut Step) {
        // A switch may send our own question back to us.
        match taken_by.filter(|mac| *mac != self.mac) {
            Some(neighbour) => self.decline(address, neighbour, step),
            None if taken_by.is_none() => self.not_taken(address, step),
            None => {}
        }
    }

    /// The message that asks this, as part of an exchange.
    fn message(&self, asked: Asked, exchange: &Exchange) -> Vec<u8> {
        let Exchange { transaction, secs, .. } = *exchange;
        Request { asked, transaction, secs, mac: self.mac, wishes: &self.wishes }.bytes()
    }
}
