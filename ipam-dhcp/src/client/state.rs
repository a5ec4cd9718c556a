//! Where a client is: the states of figure 5 of RFC 2131, with what is known in each.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::choice::Choice;
use super::times;
use crate::lease::Lease;
use crate::moment::Moment;

#[derive(Clone, Debug)]
pub(super) enum State {
    /// Nothing has happened yet.
    New,
    /// Waiting before the next DISCOVER, after a setback.
    Init { until: Moment },
    /// A DISCOVER is out.
    Selecting { exchange: Exchange, choice: Option<Choice> },
    /// A REQUEST for an offer is out, or is answered and the neighbours are being asked.
    Requesting { exchange: Exchange, wanted: Lease, probe: Option<Probing>, given: Option<Given> },
    /// A REQUEST for an earlier lease is out; its address may be in use until it expires.
    Rebooting { exchange: Exchange, lease: Lease },
    /// There is an address.
    Bound(Lease),
    /// The server is being asked for more time.
    Renewing { exchange: Exchange, lease: Lease },
    /// Any server is being asked for more time.
    Rebinding { exchange: Exchange, lease: Lease },
    /// Nothing will happen any more.
    Released,
}

/// A question to servers, and when it is asked again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    /// The transaction (xid) of the answer that is awaited.
    pub(super) transaction: u32,
    /// When it was asked first.
    pub(super) began: Moment,
    /// When it was asked last.
    pub(super) sent: Moment,
    /// How often it was asked.
    pub(super) tries: u32,
    pub(super) again_at: Moment,
    /// What the messages say of how long this has been tried.
    pub(super) secs: u16,
    /// Whether an answer is still awaited.
    pub(super) listens: bool,
}

/// That the neighbours are being asked for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probing {
    pub(super) address: Ipv4Addr,
    /// Whether nobody has it.
    pub(super) ended: bool,
}

/// A lease that a server has confirmed, and that waits for the neighbours.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) lease: Lease,
    /// When it is used though no neighbour said anything.
    pub(super) use_at: Moment,
}

impl Exchange {
    /// One whose first message goes out now, and again after a first wait.
    pub(super) fn new(now: Moment, random: u32) -> Self {
        let again_at = now.after(times::retransmit(1, random));
        let transaction = random;
        Self { transaction, began: now, sent: now, tries: 1, again_at, secs: 0, listens: true }
    }

    /// The message goes out again now.
    pub(super) fn again(&mut self, now: Moment, wait: Duration) {
        self.tries = self.tries.saturating_add(1);
        self.sent = now;
        self.again_at = now.after(wait);
        self.listens = true;
    }

    /// For how many seconds this has been tried.
    pub(super) fn elapsed(&self, now: Moment) -> u16 {
        u16::try_from(now.since(self.began).as_secs()).unwrap_or(u16::MAX)
    }

    /// When the answer to the last message is not waited for any more; only those who have an address do so.
    pub(super) fn quiet_at(&self) -> Moment {
        self.sent.after(times::LISTENING)
    }
}

impl State {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::New | Self::Init { .. } => "INIT",
            Self::Selecting { .. } => "SELECTING",
            Self::Requesting { .. } => "REQUESTING",
            Self::Rebooting { .. } => "REBOOTING",
            Self::Bound(_) => "BOUND",
            Self::Renewing { .. } => "RENEWING",
            Self::Rebinding { .. } => "REBINDING",
            Self::Released => "RELEASED",
        }
    }

    pub(super) fn wakes_at(&self) -> Option<Moment> {
        match self {
            Self::New | Self::Released => None,
            Self::Init { until } => Some(*until),
            Self::Selecting { exchange, choice } => {
                Some(choice.as_ref().map_or(exchange.again_at, |choice| choice.closes_at))
            }
            Self::Requesting { given: Some(given), .. } => Some(given.use_at),
            Self::Requesting { exchange, .. } => Some(exchange.again_at),
            Self::Rebooting { exchange, lease } => Some(exchange.again_at.min(lease.expires_at)),
            Self::Bound(lease) => Some(lease.renews_at.min(lease.expires_at)),
            Self::Renewing { exchange, lease } => {
                Some(quiet_or_again(exchange).min(lease.rebinds_at).min(lease.expires_at))
            }
            Self::Rebinding { exchange, lease } => {
                Some(quiet_or_again(exchange).min(lease.expires_at))
            }
        }
    }

    /// The exchange whose answer is awaited.
    pub(super) fn exchange(&self) -> Option<&Exchange> {
        match self {
            Self::Selecting { exchange, .. }
            | Self::Requesting { exchange, given: None, .. }
            | Self::Rebooting { exchange, .. }
            | Self::Renewing { exchange, .. }
            | Self::Rebinding { exchange, .. } => Some(exchange),
            _ => None,
        }
    }

    /// The lease whose address is in use.
    pub(super) fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Rebooting { lease, .. }
            | Self::Bound(lease)
            | Self::Renewing { lease, .. }
            | Self::Rebinding { lease, .. } => Some(lease),
            _ => None,
        }
    }

    /// The one server whose answer counts.
    pub(super) fn server(&self) -> Option<Ipv4Addr> {
        match self {
            Self::Requesting { wanted: lease, .. } | Self::Renewing { lease, .. } => {
                Some(lease.server)
            }
            _ => None,
        }
    }
}

fn quiet_or_again(exchange: &Exchange) -> Moment {
    if exchange.listens { exchange.quiet_at().min(exchange.again_at) } else { exchange.again_at }
}
