//! A range of addresses of one subnet: what is in it, and what of it is given to pods.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::spans::{Span, Spans};

/// Addresses that may be given to pods: all of one subnet, from the first to the last, but for the
/// excluded ones.
///
/// Neither the subnet's lowest address (the IPv4 network, IPv6's anycast address of all routers,
/// RFC 4291 section 2.6.1) nor IPv4's broadcast address is ever in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRange {
    subnet: IpNet,
    span: Span,
    gateway: IpAddr,
    excluded: Spans,
}

/// Why a range can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RangeError {
    HostBits,
    TooSmall,
    StartOutside,
    EndOutside,
    EndBeforeStart,
    GatewayFamily,
}

impl AddressRange {
    /// Fills in what is left out as host-local does: the gateway is the subnet's first address, the
    /// range starts there too (whoever takes addresses skips gateways) and ends with the last one.
    pub(super) fn new(
        subnet: IpNet,
        start: Option<IpAddr>,
        end: Option<IpAddr>,
        gateway: Option<IpAddr>,
        excluded: Spans,
    ) -> Result<Self, RangeError> {
        if subnet.addr() != subnet.network() {
            return Err(RangeError::HostBits);
        }
        if subnet.prefix_len() + 2 > subnet.max_prefix_len() {
            return Err(RangeError::TooSmall);
        }
        let usable = usable(subnet);
        let (lowest, highest) = (usable.first(), usable.last());
        // `contains` also refuses an address of the other family.
        if start.is_some_and(|start| !subnet.contains(&start) || start > highest) {
            return Err(RangeError::StartOutside);
        }
        if end.is_some_and(|end| !subnet.contains(&end) || end < lowest) {
            return Err(RangeError::EndOutside);
        }
        let first = start.map_or(lowest, |start| start.max(lowest));
        let last = end.map_or(highest, |end| end.min(highest));
        let span = Span::new(first, last).ok_or(RangeError::EndBeforeStart)?;
        let gateway = gateway.unwrap_or(lowest);
        if gateway.is_ipv4() != lowest.is_ipv4() {
            return Err(RangeError::GatewayFamily);
        }
        Ok(Self { subnet, span, gateway, excluded })
    }

    /// The subnet that the addresses belong to, without host bits.
    #[must_use]
    pub fn subnet(&self) -> IpNet {
        self.subnet
    }

    /// The addresses from the first to the last, the excluded ones among them.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// The gateway of the subnet, which may lie outside the subnet (IPv6: `fe80::1`).
    #[must_use]
    pub fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// The addresses of the subnet that no pod is to have.
    #[must_use]
    pub fn excluded(&self) -> &Spans {
        &self.excluded
    }

    /// Whether the range holds addresses of IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.gateway.is_ipv4()
    }

    /// Whether an address is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.span.contains(address)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.span.fmt(f)
    }
}

/// What of a subnet of four or more addresses can be given to anybody.
fn usable(subnet: IpNet) -> Span {
    let (lowest, highest) = match subnet {
        IpNet::V4(net) => {
            let (network, broadcast) = (u32::from(net.network()), u32::from(net.broadcast()));
            (Ipv4Addr::from(network + 1).into(), Ipv4Addr::from(broadcast - 1).into())
        }
        IpNet::V6(net) => {
            (Ipv6Addr::from(u128::from(net.network()) + 1).into(), net.broadcast().into())
        }
    };
    Span::new(lowest, highest).unwrap_or_else(|| subnet.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(subnet: &str, start: &str, end: &str) -> Result<AddressRange, RangeError> {
        let subnet: IpNet = subnet.parse().unwrap();
        AddressRange::new(subnet, start.parse().ok(), end.parse().ok(), None, Spans::default())
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let table = [
            ("10.1.2.0/24", "", "", "10.1.2.1-10.1.2.254"),
            ("10.1.2.0/30", "", "", "10.1.2.1-10.1.2.2"),
            ("10.1.2.0/24", "10.1.2.9", "", "10.1.2.9-10.1.2.254"),
            ("10.1.2.0/24", "10.1.2.0", "10.1.2.255", "10.1.2.1-10.1.2.254"),
            ("fd00::/64", "", "", "fd00::1-fd00::ffff:ffff:ffff:ffff"),
            ("fd00::/126", "", "fd00::2", "fd00::1-fd00::2"),
            ("0.0.0.0/0", "", "", "0.0.0.1-255.255.255.254"),
            ("::/0", "", "", "::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ];
        for (subnet, start, end, shown) in table {
            assert_eq!(range(subnet, start, end).map(|r| r.to_string()), Ok(shown.to_owned()));
        }
        let gateway = range("10.1.2.0/24", "10.1.2.9", "").unwrap().gateway();
        assert_eq!(gateway.to_string(), "10.1.2.1");
    }

    #[test]
    fn what_makes_no_range() {
        let table = [
            ("10.1.2.3/24", "", "", RangeError::HostBits),
            ("10.1.2.0/31", "", "", RangeError::TooSmall),
            ("10.1.2.0/32", "", "", RangeError::TooSmall),
            ("fd00::/127", "", "", RangeError::TooSmall),
            ("fd00::/128", "", "", RangeError::TooSmall),
            ("10.1.2.0/24", "10.1.3.1", "", RangeError::StartOutside),
            ("10.1.2.0/24", "fd00::1", "", RangeError::StartOutside),
            ("10.1.2.0/24", "10.1.2.255", "10.1.2.255", RangeError::StartOutside),
            ("10.1.2.0/24", "", "10.1.3.1", RangeError::EndOutside),
            ("10.1.2.0/24", "", "10.1.2.0", RangeError::EndOutside),
            ("10.1.2.0/24", "10.1.2.9", "10.1.2.8", RangeError::EndBeforeStart),
        ];
        for (subnet, start, end, error) in table {
            assert_eq!(range(subnet, start, end), Err(error), "{subnet} {start} {end}");
        }
        let subnet = "10.1.2.0/24".parse().unwrap();
        let gateway = "fe80::1".parse().ok();
        let made = AddressRange::new(subnet, None, None, gateway, Spans::default());
        assert_eq!(made, Err(RangeError::GatewayFamily));
    }

    fn any_range() -> impl Strategy<Value = AddressRange> {
        let subnet = prop_oneof![
            (any::<u32>(), 0u8..=30).prop_map(|(a, len)| {
                IpNet::new(IpAddr::V4(Ipv4Addr::from(a)), len).unwrap().trunc()
            }),
            (any::<u128>(), 0u8..=126).prop_map(|(a, len)| {
                IpNet::new(IpAddr::V6(Ipv6Addr::from(a)), len).unwrap().trunc()
            }),
        ];
        subnet.prop_map(|subnet| {
            AddressRange::new(subnet, None, None, None, Spans::default()).unwrap()
        })
    }

    proptest! {
        #[test]
        fn a_range_is_all_of_its_subnet_but_the_ends_that_nobody_can_have(range in any_range()) {
            let all = Span::from(range.subnet());
            let ends = if range.is_ipv4() { 2 } else { 1 };
            // The number of all of IPv6 is one too large.
            let count = range.span().count().saturating_add(ends);
            prop_assert_eq!(count, all.count());
            prop_assert!(range.contains(range.gateway()) && !range.contains(all.first()));
            prop_assert_eq!(range.contains(all.last()), !range.is_ipv4());
        }
    }
}
