//! The address of a PCI function, and the root of its tree, as sysfs writes them: `0000:3b:02.1`, `pci0000:3a`.

use std::fmt;
use std::str::FromStr;

use crate::text::{ParseError, serde_as_text};

/// A PCI address: domain, bus, device (5 bits) and function (3 bits).
///
/// The domain may have more than 16 bits: Intel's VMD numbers its own from `10000` up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

/// The root of a part of the PCI Express tree, as sysfs writes it: `pci0000:3a`. Devices below one
/// root reach each other without passing through the processor's own links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PcieRoot {
    domain: u32,
    bus: u8,
}

impl FromStr for PcieRoot {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let root = text.strip_prefix("pci").and_then(|rest| {
            let (domain, bus) = rest.split_once(':')?;
            let bus = u8::try_from(hex(bus, 2..=2)?).ok()?;
            Some(Self { domain: hex(domain, 4..=8)?, bus })
        });
        root.ok_or_else(|| ParseError::new(text, "a PCIe root such as pci0000:3a"))
    }
}

impl fmt::Display for PcieRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus } = self;
        write!(f, "pci{domain:04x}:{bus:02x}")
    }
}

serde_as_text!(PcieRoot);

impl FromStr for PciAddress {
    type Err = ParseError;

    /// Takes the full form only, in either case; the short `3b:02.1` is ambiguous where a machine
    /// has more than one domain.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text).ok_or_else(|| ParseError::new(text, "a PCI address such as 0000:3b:02.1"))
    }
}

fn parse(text: &str) -> Option<PciAddress> {
    let (domain, rest) = text.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let address = PciAddress {
        domain: hex(domain, 4..=8)?,
        bus: u8::try_from(hex(bus, 2..=2)?).ok()?,
        device: u8::try_from(hex(device, 2..=2)?).ok()?,
        function: u8::try_from(hex(function, 1..=1)?).ok()?,
    };
    (address.device < 32 && address.function < 8).then_some(address)
}

fn hex(digits: &str, length: std::ops::RangeInclusive<usize>) -> Option<u32> {
    // `from_str_radix` alone would also take a sign.
    let valid = length.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    valid.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

serde_as_text!(PciAddress);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_what_sysfs_writes() {
        for text in ["0000:3b:02.1", "10000:e1:1f.7"] {
            assert_eq!(text.parse::<PciAddress>().map(|a| a.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("0000:3B:02.1".parse::<PciAddress>(), "0000:3b:02.1".parse());
    }

    #[test]
    fn refuses_everything_else() {
        let bad = [
            "",
            "3b:02.1",
            "0000:3b:02",
            "0000:3b:20.1",
            "0000:3b:02.8",
            "0000:3b:02.1 ",
            "+000:3b:02.1",
            "../0000:3b:02.1",
            "0000:3b:02.1/..",
            "mlx5_core.sf.4",
        ];
        for text in bad {
            assert!(text.parse::<PciAddress>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_root_is_written_as_sysfs_writes_it() {
        for text in ["pci0000:3a", "pci10000:00"] {
            assert_eq!(text.parse::<PcieRoot>().map(|root| root.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "pci", "0000:3a", "pci3a", "pci0000:3a/", "pci0000:3a:00.0", "pci+000:3a"]
        {
            assert!(text.parse::<PcieRoot>().is_err(), "{text:?} was taken");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(domain: u32, bus: u8, device in 0u8..32, function in 0u8..8) {
            let address = PciAddress { domain, bus, device, function };
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = text.parse::<PciAddress>();
        }
    }
}
