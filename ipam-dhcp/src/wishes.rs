//! What a network wants of its leases.

use serde::{Deserialize, Serialize};

/// What is asked of a server, and how. As JSON it is a part of the lease store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wishes {
    /// Options by code, sent in every message that may carry them, in this order. They replace what the client would
    /// send under the same code; those by which the protocol itself works (50, 52, 53, 54) are left out.
    pub provide: Vec<(u8, Vec<u8>)>,
    /// The parameter request list (option 55).
    pub request: Vec<u8>,
    /// The client identifier (option 61), its type in the first byte; without one the server goes by the MAC.
    pub client_id: Vec<u8>,
    /// Ask for an address in two messages instead of four (RFC 4039).
    pub rapid_commit: bool,
    /// Ask for answers by broadcast: the link gets no frames of an address that it does not have.
    pub broadcast: bool,
    /// How an address is looked for among the neighbours before it is used.
    pub probe: Probe,
}

/// How an address is looked for among the neighbours (RFC 5227). One that is taken is declined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// For as long as the server needs to confirm it, and on after it is in use.
    #[default]
    Quick,
    /// Until nobody has answered for long enough.
    Thorough,
    /// Not at all.
    Never,
}
