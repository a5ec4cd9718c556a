//! A range of addresses of one subnet: what is in it, and whether two share an address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Addresses that may be given to pods: all of one subnet, from the first to the last.
///
/// Neither the subnet's lowest address (the IPv4 network, IPv6's anycast address of all routers,
/// RFC 4291 section 2.6.1) nor IPv4's broadcast address is ever in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRange {
    subnet: IpNet,
    first: IpAddr,
    last: IpAddr,
    gateway: IpAddr,
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
    ) -> Result<Self, RangeError> {
        if subnet.addr() != subnet.network() {
            return Err(RangeError::HostBits);
        }
        if subnet.prefix_len() + 2 > subnet.max_prefix_len() {
            return Err(RangeError::TooSmall);
        }
        let lowest = plus(subnet.network(), 1);
        let highest = match subnet {
            IpNet::V4(net) => IpAddr::V4(Ipv4Addr::from(u32::from(net.broadcast()) - 1)),
            IpNet::V6(net) => IpAddr::V6(net.broadcast()),
        };
        // `contains` also refuses an address of the other family.
        if start.is_some_and(|start| !subnet.contains(&start) || start > highest) {
            return Err(RangeError::StartOutside);
        }
        if end.is_some_and(|end| !subnet.contains(&end) || end < lowest) {
            return Err(RangeError::EndOutside);
        }
        let first = start.map_or(lowest, |start| start.max(lowest));
        let last = end.map_or(highest, |end| end.min(highest));
        if last < first {
            return Err(RangeError::EndBeforeStart);
        }
        let gateway = gateway.unwrap_or(lowest);
        if gateway.is_ipv4() != lowest.is_ipv4() {
            return Err(RangeError::GatewayFamily);
        }
        Ok(Self { subnet, first, last, gateway })
    }

    /// The subnet that the addresses belong to, without host bits.
    #[must_use]
    pub fn subnet(&self) -> IpNet {
        self.subnet
    }

    /// The first address of the range.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The last address of the range.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// The gateway of the subnet, which may lie outside the subnet (IPv6: `fe80::1`).
    #[must_use]
    pub fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// Whether the range holds addresses of IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.first.is_ipv4()
    }

    /// Whether an address is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        // The order of `IpAddr` puts all of IPv4 before all of IPv6.
        self.first <= address && address <= self.last
    }

    /// Whether an address is in both ranges.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// How many addresses lie before `address`, which is in the range.
    #[must_use]
    pub fn offset_of(&self, address: IpAddr) -> Option<u128> {
        self.contains(address).then(|| number(address) - number(self.first))
    }

    /// The address after the first `offset` ones.
    #[must_use]
    pub fn address_at(&self, offset: u128) -> Option<IpAddr> {
        (offset <= self.last_offset()).then(|| plus(self.first, offset))
    }

    /// The offset of the last address: one less than there are addresses, which for `::/0` would
    /// be one more than fits.
    #[must_use]
    pub fn last_offset(&self) -> u128 {
        number(self.last) - number(self.first)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// The address `offset` further on; callers stay within one subnet, so nothing wraps.
fn plus(address: IpAddr, offset: u128) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4).saturating_add(offset)))
        }
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6).saturating_add(offset))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(subnet: &str, start: &str, end: &str) -> Result<AddressRange, RangeError> {
        let subnet: IpNet = subnet.parse().unwrap();
        AddressRange::new(subnet, start.parse().ok(), end.parse().ok(), None)
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
        let made = AddressRange::new(subnet, None, None, gateway);
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
        subnet.prop_map(|subnet| AddressRange::new(subnet, None, None, None).unwrap())
    }

    proptest! {
        #[test]
        fn offsets_and_addresses_are_inverse(range in any_range(), n: u128) {
            let offset = if range.last_offset() == u128::MAX { n } else { n % (range.last_offset() + 1) };
            let address = range.address_at(offset).unwrap();
            prop_assert!(range.contains(address) && range.subnet().contains(&address));
            prop_assert_eq!(range.offset_of(address), Some(offset));
        }

        #[test]
        fn the_ends_are_the_ends(range in any_range()) {
            prop_assert_eq!(range.address_at(0), Some(range.first()));
            prop_assert_eq!(range.address_at(range.last_offset()), Some(range.last()));
            prop_assert_eq!(range.last_offset().checked_add(1).and_then(|n| range.address_at(n)), None);
        }

        #[test]
        fn two_ranges_overlap_if_an_end_of_one_is_in_the_other(a in any_range(), b in any_range()) {
            let shared = a.contains(b.first()) || b.contains(a.first());
            prop_assert_eq!(a.overlaps(&b), shared);
            prop_assert!(a.overlaps(&a));
        }
    }
}
