//! The kernel's random numbers.

use std::io;

use linkspan_types::MacAddr;
use rustix::rand::{GetRandomFlags, getrandom};

/// A random MAC that an interface can have: locally administered, as IEEE 802 keeps it for addresses that no
/// vendor gave.
pub fn random_mac() -> io::Result<MacAddr> {
    let mut mac = random()?;
    mac[0] = mac[0] & 0xfc | 0x02;
    Ok(MacAddr(mac))
}

/// Any number.
pub fn random_number() -> io::Result<u32> {
    random().map(u32::from_ne_bytes)
}

/// A random number below `bound`, which is a power of two.
pub fn random_below(bound: u32) -> io::Result<u32> {
    Ok(random_number()? & (bound - 1))
}

/// So few bytes come at once, or not at all.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_are_local_unicast_and_differ() {
        let macs: std::collections::HashSet<MacAddr> =
            (0..64).map(|_| random_mac().expect("random numbers")).collect();
        assert_eq!(macs.len(), 64);
        assert!(macs.iter().all(|mac| mac.0[0] & 3 == 2 && mac.is_assignable()));
    }

    #[test]
    fn numbers_are_below_their_bound() {
        assert!((0..64).all(|_| random_below(8).expect("random numbers") < 8));
    }
}
