//! DHCP messages as bytes (RFC 2131, section 2; options: RFC 2132 and 3396).

use std::net::Ipv4Addr;

use linkspan_types::MacAddr;

use crate::lease::Settings;

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
    /// Who says it (option 54).
    pub server: Ipv4Addr,
    /// Where its frame came from, where that is known.
    pub server_mac: Option<MacAddr>,
    /// The address, in an OFFER or ACK (yiaddr).
    pub address: Ipv4Addr,
    /// That of the address's network: of option 1, or else the one that an address of its class has.
    pub prefix_length: u8,
    /// For how long, in seconds, in an OFFER or ACK (option 51).
    pub lease_secs: u32,
    /// When to renew, in seconds (option 58).
    pub renew_secs: Option<u32>,
    /// When to rebind, in seconds (option 59).
    pub rebind_secs: Option<u32>,
    /// Whether the lease is given already, without a REQUEST (option 80).
    pub rapid_commit: bool,
    /// What goes with the address.
    pub settings: Settings,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An address can be had.
    Offer,
    /// It is given.
    Ack,
    /// It is refused.
    Nak,
}

/// Why a message was left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ignored {
    /// It is no DHCP message of a server, or one that is cut off, too large or contradicts itself.
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
    pub fn parse(_payload: &[u8], _from: Option<MacAddr>) -> Result<Self, Ignored> {
        Err(Ignored::Malformed)
    }
}
