//! How long a client waits, and how long a lease lasts.

use std::time::Duration;

use crate::lease::Lease;
use crate::moment::Moment;
use crate::packet::{FOREVER, Server, Terms, class_prefix};

/// How long after the first offer another may still be the better one.
pub(super) const OFFERS_COME_WITHIN: Duration = Duration::from_millis(2);
/// How long after its confirmation an address is still not used, for a neighbour to answer a quick probe.
pub(super) const QUICK_PROBE: Duration = Duration::from_millis(2);
/// The most that a thorough probe can take (RFC 5227, section 1.1: 1 s, three probes 2 s apart, 2 s), and some more.
pub(super) const THOROUGH_PROBE: Duration = Duration::from_secs(10);
/// For how long an answer to a RENEWING or REBINDING client is awaited: its socket is open so long.
pub(super) const LISTENING: Duration = Duration::from_secs(10);
/// How often a REQUEST goes out before something else is tried: for about a minute (RFC 2131, section 3.1.5).
pub(super) const REQUESTS: u32 = 4;

/// The wait after the `tries`-th message: 4, 8, 16, 32, then 64 s, each up to a second more or less (RFC 2131, section
/// 4.1).
pub(super) fn retransmit(tries: u32, random: u32) -> Duration {
    let base: u64 = 4_000 << tries.saturating_sub(1).min(4);
    Duration::from_millis(base - 1_000 + u64::from(random % 2_001))
}

/// The wait after a message that asks for more time, while there are `left` of it: half of that, but not less than a
/// minute (RFC 2131, section 4.4.5).
pub(super) fn ask_for_more_time(left: Duration) -> Duration {
    (left / 2).max(Duration::from_mins(1))
}

/// The wait before all is begun anew, after so many setbacks in a row. The first is nobody's habit; what repeats itself
/// waits ten seconds (RFC 2131, section 3.1.5) and more. Up to half of that is added at random: two clients to which a
/// server offers one address would meet again and again.
pub(super) fn setback(count: u32, random: u32) -> Duration {
    let base: u64 = match count {
        0 | 1 => return Duration::ZERO,
        count => (10_000 << (count - 2).min(3)).min(64_000),
    };
    Duration::from_millis(base + base / 2 * u64::from(random % 1_000) / 1_000)
}

/// What a server gave, counted from when it was `asked`: it began to count later. `known` is what was known of the
/// lease before.
pub(super) fn lease(
    server: Server,
    terms: Terms,
    asked: Moment,
    random: u32,
    known: Option<&Lease>,
) -> Lease {
    let (renew, rebind, expire) = spans(&terms, random);
    let at = |millis: Option<u64>| {
        millis.map_or(Moment::NEVER, |m| asked.after(Duration::from_millis(m)))
    };
    let same_address = known.filter(|known| known.address == terms.address);
    let same_server = known.filter(|known| known.server == server.id);
    Lease {
        address: terms.address,
        prefix_length: terms
            .prefix_length
            .or(same_address.map(|known| known.prefix_length))
            .unwrap_or_else(|| class_prefix(terms.address)),
        server: server.id,
        server_mac: server.mac.or(same_server.and_then(|known| known.server_mac)),
        renews_at: at(renew),
        rebinds_at: at(rebind),
        expires_at: at(expire),
        settings: terms.settings,
    }
}

/// T1, T2 and the end, in milliseconds. T1 < T2 < the end, whatever the server says; where it says nothing that can be
/// so, they are a half and seven eighths (RFC 2131, section 4.4.5).
fn spans(terms: &Terms, random: u32) -> (Option<u64>, Option<u64>, Option<u64>) {
    if terms.lease_secs == FOREVER {
        return (None, None, None);
    }
    let expire = u64::from(terms.lease_secs) * 1_000;
    let within = |secs: Option<u32>, limit: u64| {
        secs.map(|secs| u64::from(secs) * 1_000).filter(|millis| (1..limit).contains(millis))
    };
    let rebind = within(terms.rebind_secs, expire).unwrap_or(expire / 8 * 7);
    let renew = within(terms.renew_secs, rebind).unwrap_or((expire / 2).min(rebind / 7 * 4));
    // A little earlier at random: pods that started together need not renew together for ever.
    let renew = renew - u64::from(random % 1_000) * (renew / 20) / 1_000;
    (Some(renew), Some(rebind), Some(expire))
}
