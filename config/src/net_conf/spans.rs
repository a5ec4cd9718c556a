//! Sets of addresses, kept as spans, so that the size of a set costs nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use linkspan_types::ParseError;

use crate::names::parse_error;

/// All addresses from a first to a last one of the same family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    first: IpAddr,
    last: IpAddr,
}

impl Span {
    /// The span from `first` to `last`; none where they are of two families, or `last` comes first.
    #[must_use]
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last })
    }

    /// The first address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The last address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// Whether an address is in the span.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        // The order of `IpAddr` puts all of IPv4 before all of IPv6.
        self.first <= address && address <= self.last
    }

    /// Whether an address is in both spans.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// What of the span comes after an address, which is not before its first one.
    #[must_use]
    pub fn after(&self, address: IpAddr) -> Option<Self> {
        Self::new(next(address)?, self.last)
    }

    /// The addresses, from the first to the last.
    pub fn addresses(self) -> impl Iterator<Item = IpAddr> {
        std::iter::successors(Some(self.first), move |&a| next(a).filter(|&a| a <= self.last))
    }

    /// How many addresses there are; one less for all of IPv6, whose number is one too large.
    #[must_use]
    pub fn count(&self) -> u128 {
        (number(self.last) - number(self.first)).saturating_add(1)
    }
}

impl From<IpAddr> for Span {
    fn from(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }
}

impl From<IpNet> for Span {
    fn from(net: IpNet) -> Self {
        Self { first: net.network(), last: net.broadcast() }
    }
}

impl FromStr for Span {
    type Err = ParseError;

    /// Reads an address, a subnet without host bits, or two addresses with a `-` between them.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        const EXPECTED: &str = "an address, a subnet without host bits, or a first and a last \
                                address such as 10.1.2.10-10.1.2.20";
        let of_net = |net: IpNet| (net == net.trunc()).then(|| net.into());
        let span = if let Some((first, last)) = text.split_once('-') {
            let address = |text: &str| text.trim().parse().ok();
            address(first).zip(address(last)).and_then(|(first, last)| Self::new(first, last))
        } else if text.contains('/') {
            text.parse().ok().and_then(of_net)
        } else {
            text.parse::<IpAddr>().ok().map(Self::from)
        };
        span.ok_or_else(|| parse_error(text, EXPECTED))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// A set of addresses, of either family or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// In order; no two of them overlap or touch.
    spans: Vec<Span>,
}

impl Spans {
    /// The spans in order, none of which overlaps or touches another.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Span> {
        self.spans.iter().copied()
    }

    /// Whether an address is in the set.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.spans[self.before(address)..].first().is_some_and(|span| span.contains(address))
    }

    /// Adds addresses, some or all of which may be there already.
    pub fn insert(&mut self, added: impl Into<Span>) {
        let added = added.into();
        let touches = |last: IpAddr, first| last >= first || next(last) == Some(first);
        let from = self.spans.partition_point(|span| !touches(span.last, added.first));
        let to = self.spans.partition_point(|span| touches(added.last, span.first));
        let joined = &self.spans[from..to];
        let first = joined.first().map_or(added.first, |span| span.first.min(added.first));
        let last = joined.last().map_or(added.last, |span| span.last.max(added.last));
        self.spans.splice(from..to, [Span { first, last }]);
    }

    /// Takes addresses out, some or all of which may not be there.
    pub fn remove(&mut self, removed: impl Into<Span>) {
        let removed = removed.into();
        let (from, to) = (self.before(removed.first), self.up_to(removed.last));
        let cut = &self.spans[from..to];
        let left = cut.first().and_then(|span| Span::new(span.first, previous(removed.first)?));
        let right = cut.last().and_then(|span| span.after(removed.last));
        self.spans.splice(from..to, left.into_iter().chain(right));
    }

    /// What of `whole` is not in the set, in order.
    pub fn gaps(&self, whole: Span) -> impl Iterator<Item = Span> {
        let mut taken = self.spans[self.before(whole.first)..self.up_to(whole.last)].iter();
        let mut rest = Some(whole);
        std::iter::from_fn(move || {
            for span in taken.by_ref() {
                let before = rest?;
                rest = before.after(span.last);
                if let Some(gap) =
                    previous(span.first).and_then(|last| Span::new(before.first, last))
                {
                    return Some(gap);
                }
            }
            rest.take()
        })
    }

    /// How many spans lie wholly before an address.
    fn before(&self, address: IpAddr) -> usize {
        self.spans.partition_point(|span| span.last < address)
    }

    /// How many spans begin before an address, or with it.
    fn up_to(&self, address: IpAddr) -> usize {
        self.spans.partition_point(|span| span.first <= address)
    }
}

impl<T: Into<Span>> Extend<T> for Spans {
    fn extend<I: IntoIterator<Item = T>>(&mut self, added: I) {
        added.into_iter().for_each(|span| self.insert(span));
    }
}

impl<T: Into<Span>> FromIterator<T> for Spans {
    fn from_iter<I: IntoIterator<Item = T>>(added: I) -> Self {
        let mut spans = Self::default();
        spans.extend(added);
        spans
    }
}

/// The address after this one; none after its family's last.
fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => Some(IpAddr::V4(Ipv4Addr::from(u32::from(v4).checked_add(1)?))),
        IpAddr::V6(v6) => Some(IpAddr::V6(Ipv6Addr::from(u128::from(v6).checked_add(1)?))),
    }
}

/// The address before this one; none before its family's first.
fn previous(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => Some(IpAddr::V4(Ipv4Addr::from(u32::from(v4).checked_sub(1)?))),
        IpAddr::V6(v6) => Some(IpAddr::V6(Ipv6Addr::from(u128::from(v6).checked_sub(1)?))),
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

#[cfg(test)]
#[path = "spans_tests.rs"]
mod tests;
