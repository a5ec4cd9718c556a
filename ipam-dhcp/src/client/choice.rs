//! The best offer, not the first.

use std::net::Ipv4Addr;

use crate::moment::Moment;
use crate::packet::{Server, Terms};

/// The best offer so far.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) server: Server,
    pub(super) terms: Terms,
    /// When it is taken.
    pub(super) closes_at: Moment,
}

/// How good an offer is, the most important first: it says what network its address is in, it has what was asked for,
/// its address is the one asked for, it lasts.
pub(super) fn rank(terms: &Terms, wanted: Option<Ipv4Addr>) -> (bool, usize, bool, u32) {
    let settings = &terms.settings;
    let has = [
        settings.gateway.is_some() || !settings.routes.is_empty(),
        !settings.name_servers.is_empty(),
        settings.domain.is_some() || !settings.search.is_empty(),
        settings.mtu.is_some(),
        !settings.time_servers.is_empty(),
    ];
    let has = has.into_iter().filter(|has| *has).count();
    (terms.prefix_length.is_some(), has, wanted == Some(terms.address), terms.lease_secs)
}
