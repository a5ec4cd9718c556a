//! DHCP messages as bytes (RFC 2131, section 2; options: RFC 2132 and 3396). What comes in is anybody's: every field
//! is checked here, and what is read is never checked again. The crate `dhcproto` is seen by this module alone.

mod options;
mod settings;
#[cfg(test)]
mod tests;
mod write;

use std::net::Ipv4Addr;

use dhcproto::v4::borrowed::Message;
use dhcproto::v4::{HType, MAGIC, Opcode};
use linkspan_types::MacAddr;

use crate::lease::Settings;
use options::Options;
pub(crate) use settings::class_prefix;
pub(crate) use write::{Asked, Request, fits};

/// The largest message that is read or written, as a UDP payload: that of a packet of 1500 bytes.
pub const LARGEST: usize = 1472;

/// A server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What it says.
    pub kind: Kind,
    /// The transaction (xid).
    pub transaction: u32,
    /// Whom it is for (chaddr).
    pub mac: MacAddr,
    /// Whom it is for (option 61), where the server says so (RFC 6842).
    pub client_id: Option<Vec<u8>>,
    /// Who says it.
    pub server: Server,
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// The server's identifier, one of its addresses (option 54).
    pub id: Ipv4Addr,
    /// Where its frame came from, where that is known: the server, or a relay agent on this link.
    pub mac: Option<MacAddr>,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An address can be had.
    Offer(Terms),
    /// It is given.
    Ack {
        /// What is given.
        terms: Terms,
        /// Whether no REQUEST was needed (option 80).
        rapid_commit: bool,
    },
    /// It is refused.
    Nak,
}

/// What a server gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The address (yiaddr): one that a host can have.
    pub address: Ipv4Addr,
    /// That of the address's network (option 1).
    pub prefix_length: Option<u8>,
    /// For how many seconds (option 51); not 0, and [`FOREVER`] for a lease without an end.
    pub lease_secs: u32,
    /// When to renew, in seconds (T1, option 58).
    pub renew_secs: Option<u32>,
    /// When to rebind, in seconds (T2, option 59).
    pub rebind_secs: Option<u32>,
    /// What goes with the address.
    pub settings: Settings,
}

/// The lease time that means no end.
pub const FOREVER: u32 = u32::MAX;

/// Why a message was left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ignored {
    /// It is no DHCP message of a server, or one that is cut off, too large, or without what it has to have.
    Malformed,
    /// It is for another client, or of another transaction.
    NotOurs,
    /// It is not from the server that was asked.
    OtherServer,
    /// It is no answer to what was asked last, if anything was.
    NotAwaited,
}

impl Ignored {
    /// All there are.
    pub const ALL: [Self; 4] =
        [Self::Malformed, Self::NotOurs, Self::OtherServer, Self::NotAwaited];

    /// As metrics call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NotOurs => "not_ours",
            Self::OtherServer => "other_server",
            Self::NotAwaited => "not_awaited",
        }
    }
}

impl Reply {
    /// Reads what followed the UDP header; `from` is the MAC that its frame came from.
    pub fn parse(payload: &[u8], from: Option<MacAddr>) -> Result<Self, Ignored> {
        read(payload, from).ok_or(Ignored::Malformed)
    }
}

fn read(payload: &[u8], from: Option<MacAddr>) -> Option<Reply> {
    if payload.len() > LARGEST {
        return None;
    }
    let message = Message::new(payload).ok()?;
    let ours = message.opcode() == Opcode::BootReply
        && message.htype() == HType::Eth
        // Asked before `chaddr`, which trusts it.
        && message.hlen() == 6;
    if !ours || payload.get(236..240)? != MAGIC {
        return None;
    }
    let options = Options::gather(payload)?;
    let kind = match options.get(53)? {
        [2] => Kind::Offer(terms(&message, &options)?),
        [5] => {
            Kind::Ack { terms: terms(&message, &options)?, rapid_commit: options.get(80).is_some() }
        }
        [6] => Kind::Nak,
        _ => return None,
    };
    let server = Server {
        id: options.address(54).filter(|id| is_host(*id))?,
        mac: from.filter(|mac| mac.is_assignable()),
    };
    Some(Reply {
        kind,
        transaction: message.xid(),
        mac: MacAddr(message.chaddr().try_into().ok()?),
        client_id: options.get(61).map(<[u8]>::to_vec),
        server,
    })
}

fn terms(message: &Message<'_>, options: &Options) -> Option<Terms> {
    Some(Terms {
        address: Some(message.yiaddr()).filter(|address| is_host(*address))?,
        prefix_length: options.address(1).and_then(settings::prefix_length),
        lease_secs: options.number(51).filter(|secs| *secs > 0)?,
        renew_secs: options.number(58),
        rebind_secs: options.number(59),
        settings: settings::read(options),
    })
}

/// Whether a host can have this address.
fn is_host(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    (1..224).contains(&first) && first != 127
}
