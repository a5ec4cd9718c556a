//! Cases of the state machine: what a client does, told what servers and neighbours do.

mod acquire;
mod any_order;
mod hold;
mod lease_times;

use std::net::Ipv4Addr;
use std::time::Duration;

use linkspan_types::MacAddr;

use super::{Action, Client, Destination, Event, step};
use crate::lease::{Lease, Settings};
use crate::moment::Moment;
use crate::packet::{Kind, Reply, Server, Terms};
use crate::wishes::{Probe, Wishes};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xa]);
const NEIGHBOUR: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xb]);
const SERVER: Server = Server { id: Ipv4Addr::new(10, 0, 0, 1), mac: None };
const OTHER_SERVER: Server = Server { id: Ipv4Addr::new(10, 0, 0, 2), mac: None };
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);
const OTHER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 8);

/// A client, and the time that it is told. The numbers that it is given have no jitter in them.
struct Played {
    client: Client,
    now: Moment,
    random: u32,
}

/// What a message that a client sent says.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    /// As option 53 has it.
    kind: u8,
    in_use: Ipv4Addr,
    requested: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    to: Destination,
}

const DISCOVER: u8 = 1;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const RELEASE: u8 = 7;

impl Played {
    fn new(probe: Probe) -> Self {
        Self::wishing(Wishes { probe, client_id: b"\0id".to_vec(), ..Wishes::default() })
    }

    fn wishing(wishes: Wishes) -> Self {
        let client = Client::new(MAC, wishes).unwrap();
        Self { client, now: Moment::from_millis(1_000_000), random: 0 }
    }

    /// A client that has an address since now, for so many seconds.
    fn bound(probe: Probe, lease_secs: u32) -> Self {
        let mut played = Self::new(probe);
        played.tell(Event::Start);
        played.offer(SERVER, terms(ADDRESS, lease_secs));
        played.pass(Duration::from_millis(2));
        played.ack(SERVER, terms(ADDRESS, lease_secs));
        played.tell(Event::Probed { address: ADDRESS, taken_by: None });
        assert_eq!(played.client.state_name(), "BOUND");
        played
    }

    fn tell(&mut self, event: Event) -> Vec<Action> {
        // The jitter of a wait is this number modulo 2001, less 1000; that of T1, and of the wait after setbacks, is this number modulo 1000.
        self.random = self.random.wrapping_add(2_001_000);
        step(&mut self.client, event, self.now, self.random + 1_000)
    }

    /// Waits, and wakes the client whenever it wants to be.
    fn pass(&mut self, time: Duration) -> Vec<Action> {
        let end = self.now.after(time);
        let mut actions = Vec::new();
        while let Some(due) = self.client.wakes_at().filter(|due| *due <= end) {
            assert!(due > self.now || self.now == end, "{:?} does not wait", self.client);
            self.now = self.now.max(due);
            actions.extend(self.tell(Event::Due));
        }
        self.now = end;
        actions
    }

    fn reply(&self, server: Server, kind: Kind) -> Reply {
        let transaction = self.client.state.exchange().map_or(0, |exchange| exchange.transaction);
        Reply { kind, transaction, mac: MAC, client_id: None, server }
    }

    fn hear(&mut self, server: Server, kind: Kind) -> Vec<Action> {
        let reply = self.reply(server, kind);
        self.tell(Event::Received(reply))
    }

    fn offer(&mut self, server: Server, terms: Terms) -> Vec<Action> {
        self.hear(server, Kind::Offer(terms))
    }

    fn ack(&mut self, server: Server, terms: Terms) -> Vec<Action> {
        self.hear(server, Kind::Ack { terms, rapid_commit: false })
    }

    fn nak(&mut self, server: Server) -> Vec<Action> {
        self.hear(server, Kind::Nak)
    }

    fn taken(&mut self, address: Ipv4Addr) -> Vec<Action> {
        self.tell(Event::Probed { address, taken_by: Some(NEIGHBOUR) })
    }
}

fn terms(address: Ipv4Addr, lease_secs: u32) -> Terms {
    Terms {
        address,
        prefix_length: Some(24),
        lease_secs,
        renew_secs: None,
        rebind_secs: None,
        settings: Settings::default(),
    }
}

/// The lease of [`terms`], asked for at this moment.
fn lease(address: Ipv4Addr, server: Server, lease_secs: u64, asked: Moment) -> Lease {
    let at = |millis| asked.after(Duration::from_millis(millis));
    Lease {
        address,
        prefix_length: 24,
        server: server.id,
        server_mac: server.mac,
        renews_at: at(lease_secs * 500),
        rebinds_at: at(lease_secs * 875),
        expires_at: at(lease_secs * 1_000),
        settings: Settings::default(),
    }
}

/// The messages among actions.
fn sent(actions: &[Action]) -> Vec<Sent> {
    actions.iter().filter_map(read).collect()
}

fn kinds(actions: &[Action]) -> Vec<u8> {
    sent(actions).iter().map(|sent| sent.kind).collect()
}

fn read(action: &Action) -> Option<Sent> {
    let Action::Send { message, to } = action else { return None };
    let address = |bytes: &[u8]| Ipv4Addr::from(<[u8; 4]>::try_from(bytes).unwrap());
    let kind = option(message, 53).unwrap()[0];
    Some(Sent {
        kind,
        in_use: address(&message[12..16]),
        requested: option(message, 50).map(address),
        server: option(message, 54).map(address),
        to: *to,
    })
}

/// An option of a message that was written here: whole, and not twice.
fn option(message: &[u8], code: u8) -> Option<&[u8]> {
    let mut rest = &message[240..];
    loop {
        let (found, value) = (rest[0], &rest[1..]);
        if found == 255 {
            return None;
        }
        let (value, next) = value[1..].split_at(value[0].into());
        if found == code {
            return Some(value);
        }
        rest = next;
    }
}

fn bound(actions: &[Action]) -> Option<(&Lease, Option<&Lease>)> {
    actions.iter().find_map(|action| match action {
        Action::Bound { lease, before } => Some((lease, before.as_ref())),
        _ => None,
    })
}
