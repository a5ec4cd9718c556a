//! A MAC that is made of an address: the same wherever the pod runs, and no other pod's.

use std::net::IpAddr;

use linkspan_types::MacAddr;

/// The MAC of whoever has this address: a locally administered prefix, and of IPv4 all four bytes, of IPv6
/// the last five.
///
/// Two pods on one network can't have the same IPv4 address, so they never have the same MAC, on whatever
/// nodes they run. With IPv6 that holds within a subnet whose pods differ in their last 40 bits.
#[must_use]
pub fn mac_of(address: IpAddr) -> MacAddr {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            MacAddr([0x02, 0x4c, a, b, c, d])
        }
        IpAddr::V6(address) => {
            let mut mac = [0x06; 6];
            mac[1..].copy_from_slice(&address.octets()[11..]);
            MacAddr(mac)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_address_is_in_the_mac() {
        for (address, mac) in
            [("10.1.2.3", "02:4c:0a:01:02:03"), ("fd00::a:0:1", "06:0a:00:00:00:01")]
        {
            assert_eq!(mac_of(address.parse().unwrap()).to_string(), mac);
        }
    }

    proptest! {
        #[test]
        fn different_addresses_have_different_macs_that_an_interface_can_have(a: u32, b: u32) {
            let [one, other] = [a, b].map(|bits| mac_of(IpAddr::V4(bits.into())));
            prop_assert_eq!(one == other, a == b);
            prop_assert!(one.is_assignable());
        }
    }
}
