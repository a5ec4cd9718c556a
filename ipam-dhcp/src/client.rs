//! The client of one interface as a state machine (RFC 2131, section 4.4 and figure 5): [`step`] is told what happened
//! and when, and says what is to be done. It has no clock, no sockets and no randomness of its own.

use std::net::Ipv4Addr;

use linkspan_types::MacAddr;

use crate::lease::Lease;
use crate::moment::Moment;
use crate::packet::{Ignored, Reply};
use crate::wishes::Wishes;

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
}

/// Takes the client from one event to the next. `random` is to be a new number each time.
#[must_use]
pub fn step(_client: &mut Client, _event: Event, _now: Moment, _random: u32) -> Vec<Action> {
    Vec::new()
}

impl Client {
    /// The client of the interface with this MAC; its first event is yet to come.
    #[must_use]
    pub fn new(mac: MacAddr, wishes: Wishes) -> Self {
        Self { mac, wishes }
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

    /// When it wants an [`Event::Due`]; never where it waits for nothing or for an event alone.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Moment> {
        None
    }

    /// Whether an answer is awaited: a socket is needed for just as long.
    #[must_use]
    pub fn listens(&self) -> bool {
        false
    }

    /// The address in use, with what goes with it.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        None
    }

    /// The state, as figure 5 of RFC 2131 has it.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        "INIT"
    }
}
