//! The way to an address: DISCOVER, the best offer, REQUEST, and what the neighbours say to it.

use std::net::Ipv4Addr;

use linkspan_types::MacAddr;

use super::choice::{Choice, rank};
use super::state::{Exchange, Given, Probing, State};
use super::{Action, Client, Destination, Step, Why, times};
use crate::lease::Lease;
use crate::packet::{Asked, Ignored, Server, Terms};
use crate::wishes::Probe;

impl Client {
    pub(super) fn start(&mut self, step: &mut Step) {
        if matches!(self.state, State::New) {
            self.discover(step);
        }
    }

    pub(super) fn discover(&mut self, step: &mut Step) {
        let exchange = Exchange::new(step.now, step.random);
        self.ask_everybody(Asked::Any(self.last_address), &exchange, step);
        self.state = State::Selecting { exchange, choice: None };
    }

    /// Begins anew, at once or after a while: a server or a neighbour did not let us have an address.
    pub(super) fn set_back(&mut self, step: &mut Step) {
        self.last_address = None;
        self.setbacks = self.setbacks.saturating_add(1);
        let wait = times::setback(self.setbacks, step.random);
        if wait.is_zero() {
            self.discover(step);
        } else {
            self.state = State::Init { until: step.now.after(wait) };
        }
    }

    pub(super) fn offered(
        &mut self,
        server: Server,
        terms: Terms,
        step: &mut Step,
    ) -> Result<(), Ignored> {
        let State::Selecting { choice, .. } = &mut self.state else {
            return Err(Ignored::NotAwaited);
        };
        let rank = |terms| rank(terms, self.last_address);
        let closes_at = match choice {
            Some(best) if rank(&best.terms) >= rank(&terms) => return Ok(()),
            Some(best) => best.closes_at,
            None => step.now.after(times::OFFERS_COME_WITHIN),
        };
        *choice = Some(Choice { server, terms, closes_at });
        Ok(())
    }

    pub(super) fn go_on_selecting(&mut self, step: &mut Step) {
        let State::Selecting { exchange, choice } = &mut self.state else { return };
        if let Some(choice) = choice.take_if(|choice| step.now >= choice.closes_at) {
            let discover = *exchange;
            self.request(choice, &discover, step);
        } else if choice.is_none() && step.now >= exchange.again_at {
            exchange.again(step.now, times::retransmit(exchange.tries + 1, step.random));
            exchange.secs = exchange.elapsed(step.now);
            let exchange = *exchange;
            self.ask_everybody(Asked::Any(self.last_address), &exchange, step);
        }
    }

    /// Requests what is offered, and asks the neighbours meanwhile. The transaction and `secs` stay those of the
    /// DISCOVER (RFC 2131, section 4.4.1).
    fn request(&mut self, choice: Choice, discover: &Exchange, step: &mut Step) {
        let wanted = times::lease(choice.server, choice.terms, step.now, step.random, None);
        let Exchange { transaction, secs, .. } = *discover;
        let exchange = Exchange { transaction, secs, ..Exchange::new(step.now, step.random) };
        let Lease { address, server, .. } = wanted;
        step.actions.push(Action::Keep(wanted.clone()));
        self.ask_everybody(Asked::Selected { address, server }, &exchange, step);
        let probe = (self.wishes.probe != Probe::Never).then(|| probe(address, step));
        self.state = State::Requesting { exchange, wanted, probe, given: None };
    }

    pub(super) fn go_on_requesting(&mut self, step: &mut Step) {
        let State::Requesting { exchange, wanted, given, .. } = &mut self.state else { return };
        if let Some(given) = given {
            if step.now >= given.use_at {
                let lease = given.lease.clone();
                self.bind(lease, step);
            }
        } else if step.now >= exchange.again_at && exchange.tries < times::REQUESTS {
            exchange.again(step.now, times::retransmit(exchange.tries + 1, step.random));
            let (exchange, Lease { address, server, .. }) = (*exchange, wanted.clone());
            self.ask_everybody(Asked::Selected { address, server }, &exchange, step);
        } else if step.now >= exchange.again_at {
            self.last_address = Some(wanted.address);
            self.discover(step);
        }
    }

    /// An ACK to a REQUEST, or to a DISCOVER that asked for rapid commit.
    pub(super) fn acknowledged(
        &mut self,
        server: Server,
        terms: Terms,
        step: &mut Step,
    ) -> Result<(), Ignored> {
        let (exchange, asked, known, probing) = match &self.state {
            State::Requesting { exchange, wanted, probe, given: None } => {
                (*exchange, exchange.began, Some(wanted), *probe)
            }
            State::Selecting { exchange, .. } => (*exchange, exchange.sent, None, None),
            _ => return Err(Ignored::NotAwaited),
        };
        let lease = times::lease(server, terms, asked, step.random, known);
        if lease.expires_at <= step.now {
            return Err(Ignored::NotAwaited);
        }
        let known = known.is_some_and(|known| known.address == lease.address);
        let probing = probing.filter(|probing| probing.address == lease.address);
        if self.wishes.probe == Probe::Never || probing.is_some_and(|probing| probing.ended) {
            self.bind(lease, step);
            return Ok(());
        }
        if !known {
            step.actions.push(Action::Keep(lease.clone()));
        }
        let patience = match self.wishes.probe {
            Probe::Thorough => times::THOROUGH_PROBE,
            Probe::Quick | Probe::Never => times::QUICK_PROBE,
        };
        let use_at = step.now.after(patience);
        let probe = Some(probing.unwrap_or_else(|| probe(lease.address, step)));
        let given = Some(Given { lease: lease.clone(), use_at });
        self.state = State::Requesting { exchange, wanted: lease, probe, given };
        Ok(())
    }

    /// No neighbour has this address.
    pub(super) fn not_taken(&mut self, address: Ipv4Addr, step: &mut Step) {
        let State::Requesting { probe: Some(probe), given, .. } = &mut self.state else { return };
        if probe.address == address {
            probe.ended = true;
            if let Some(given) = given.take() {
                self.bind(given.lease, step);
            }
        }
    }

    /// A neighbour has this address: if it is ours, it is so no longer.
    pub(super) fn decline(&mut self, address: Ipv4Addr, neighbour: MacAddr, step: &mut Step) {
        let (lease, in_use) = match &self.state {
            State::Requesting { wanted, .. } => (wanted.clone(), false),
            state => match state.lease() {
                Some(lease) => (lease.clone(), true),
                None => return,
            },
        };
        if lease.address != address {
            return;
        }
        let server = lease.server;
        if in_use {
            step.actions.push(Action::Lost(lease, Why::Taken(neighbour)));
        }
        // Another transaction than that of the DISCOVER which may follow in this step.
        let exchange = Exchange::new(step.now, !step.random);
        self.ask_everybody(Asked::Declined { address, server }, &exchange, step);
        self.set_back(step);
    }

    fn bind(&mut self, lease: Lease, step: &mut Step) {
        if lease.expires_at <= step.now {
            // The neighbours took longer than the server gives.
            self.discover(step);
            return;
        }
        self.last_address = Some(lease.address);
        self.state = State::Bound(lease.clone());
        step.actions.push(Action::Bound { lease, before: None });
    }

    /// Sends a message to everybody, from no address.
    pub(super) fn ask_everybody(&self, asked: Asked, exchange: &Exchange, step: &mut Step) {
        let message = self.message(asked, exchange);
        step.actions.push(Action::Send { message, to: Destination::Broadcast });
    }
}

/// Has the neighbours asked.
fn probe(address: Ipv4Addr, step: &mut Step) -> Probing {
    step.actions.push(Action::Probe(address));
    Probing { address, ended: false }
}
