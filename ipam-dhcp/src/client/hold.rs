//! Having an address: more time for it, its end, and its way back to the server.

use super::state::{Exchange, State};
use super::{Action, Client, Destination, Step, Why, times};
use crate::lease::Lease;
use crate::packet::{Asked, Ignored, Server, Terms};
use crate::wishes::Probe;

impl Client {
    pub(super) fn resume(&mut self, lease: Lease, step: &mut Step) {
        if matches!(self.state, State::New) {
            self.hold(lease);
            self.expire(step);
            self.keep(step);
        }
    }

    pub(super) fn reboot(&mut self, lease: Lease, step: &mut Step) {
        match &self.state {
            State::New => {
                self.hold(lease);
                self.expire(step);
            }
            State::Bound(_) | State::Renewing { .. } | State::Rebinding { .. } => {}
            _ => return,
        }
        if let Some(lease) = self.state.lease().cloned() {
            let exchange = Exchange::new(step.now, step.random);
            self.ask_everybody(Asked::Known(lease.address), &exchange, step);
            self.state = State::Rebooting { exchange, lease };
        }
    }

    pub(super) fn go_on_rebooting(&mut self, step: &mut Step) {
        let State::Rebooting { exchange, lease } = &mut self.state else { return };
        if step.now < exchange.again_at {
            return;
        }
        if exchange.tries < times::REQUESTS {
            exchange.again(step.now, times::retransmit(exchange.tries + 1, step.random));
            exchange.secs = exchange.elapsed(step.now);
            let (exchange, address) = (*exchange, lease.address);
            self.ask_everybody(Asked::Known(address), &exchange, step);
        } else {
            // Nobody says that it does not hold, so it does while it lasts (RFC 2131, section 3.2).
            let lease = lease.clone();
            self.hold(lease.clone());
            step.actions.push(Action::Bound { before: Some(lease.clone()), lease });
            self.keep(step);
        }
    }

    /// Asks for more time when that is due.
    pub(super) fn keep(&mut self, step: &mut Step) {
        let Some(lease) = self.state.lease() else { return };
        let rebinds = step.now >= lease.rebinds_at;
        let again = match &mut self.state {
            State::Bound(lease) => step.now >= lease.renews_at,
            State::Renewing { exchange, .. } => step.now >= exchange.again_at || rebinds,
            State::Rebinding { exchange, .. } => step.now >= exchange.again_at,
            _ => return,
        };
        if again {
            self.ask_for_more_time(rebinds, step);
        } else if let State::Renewing { exchange, .. } | State::Rebinding { exchange, .. } =
            &mut self.state
        {
            exchange.listens &= step.now < exchange.quiet_at();
        }
    }

    /// Sends a REQUEST for more time, each in a transaction of its own: it is then known which one was answered, and from
    /// when the server counts.
    fn ask_for_more_time(&mut self, rebinds: bool, step: &mut Step) {
        let Some(lease) = self.state.lease().cloned() else { return };
        self.setbacks = 0;
        let until = if rebinds { lease.expires_at } else { lease.rebinds_at };
        let wait = times::ask_for_more_time(until.since(step.now));
        let mut exchange = match (&self.state, rebinds) {
            (State::Renewing { exchange, .. }, false) | (State::Rebinding { exchange, .. }, _) => {
                *exchange
            }
            _ => Exchange::new(step.now, step.random),
        };
        exchange.transaction = step.random;
        exchange.again(step.now, wait);
        exchange.secs = exchange.elapsed(step.now);
        let message = self.message(Asked::MoreTime(lease.address), &exchange);
        if rebinds {
            let to = Destination::BroadcastFrom(lease.address);
            step.actions.push(Action::Send { message, to });
            self.state = State::Rebinding { exchange, lease };
        } else {
            step.actions.push(Action::Send { message, to: to_server(&lease) });
            self.state = State::Renewing { exchange, lease };
        }
    }

    /// An ACK to one who has an address. The server may have changed its mind about it.
    pub(super) fn extended(
        &mut self,
        server: Server,
        terms: Terms,
        step: &mut Step,
    ) -> Result<(), Ignored> {
        let (asked, before) = match &self.state {
            State::Rebooting { exchange, lease } => (exchange.began, lease.clone()),
            State::Renewing { exchange, lease } | State::Rebinding { exchange, lease } => {
                (exchange.sent, lease.clone())
            }
            _ => return Err(Ignored::NotAwaited),
        };
        let lease = times::lease(server, terms, asked, step.random, Some(&before));
        if lease.expires_at <= step.now {
            return Err(Ignored::NotAwaited);
        }
        self.hold(lease.clone());
        let other_address = lease.address != before.address;
        step.actions.push(Action::Bound { lease: lease.clone(), before: Some(before) });
        if other_address && self.wishes.probe != Probe::Never {
            step.actions.push(Action::Probe(lease.address));
        }
        Ok(())
    }

    /// A NAK: what was requested, and what is in use, is not ours.
    pub(super) fn refused(&mut self, step: &mut Step) {
        if let Some(lease) = self.state.lease() {
            step.actions.push(Action::Lost(lease.clone(), Why::Refused));
        }
        self.set_back(step);
    }

    /// Lets go of an address whose time is over, and asks for it, or another one.
    pub(super) fn expire(&mut self, step: &mut Step) {
        let over = self.state.lease().filter(|lease| step.now >= lease.expires_at);
        if let Some(lease) = over.cloned() {
            self.last_address = Some(lease.address);
            step.actions.push(Action::Lost(lease, Why::Expired));
            self.discover(step);
        }
    }

    pub(super) fn give_back(&mut self, lease: Lease, step: &mut Step) {
        if matches!(self.state, State::New) {
            self.hold(lease);
            self.release(step);
        }
    }

    /// Gives back what there is, or may be: what was requested is given from then on, answered or not.
    pub(super) fn release(&mut self, step: &mut Step) {
        let lease = match &self.state {
            State::Released => return,
            State::Requesting { wanted, .. } => Some(wanted.clone()),
            state => state.lease().cloned(),
        };
        match lease {
            Some(lease) if step.now < lease.expires_at => {
                let exchange = Exchange::new(step.now, step.random);
                let asked = Asked::Released { address: lease.address, server: lease.server };
                let message = self.message(asked, &exchange);
                step.actions.push(Action::Send { message, to: to_server(&lease) });
            }
            _ => {}
        }
        step.actions.push(Action::Forget);
        self.state = State::Released;
    }

    fn hold(&mut self, lease: Lease) {
        self.last_address = Some(lease.address);
        self.state = State::Bound(lease);
    }
}

fn to_server(lease: &Lease) -> Destination {
    let Lease { address: from, server, server_mac, .. } = *lease;
    Destination::Unicast { from, server, server_mac }
}
