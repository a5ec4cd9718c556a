//! Who made a PCI device, and what it is.

use super::{PciDevice, SysfsError, attribute};

/// What a device can't change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The vendor's number, `0x8086` for Intel.
    pub vendor: u16,
    /// The vendor's number for this device.
    pub device: u16,
    /// The 24-bit class, `0x020000` for an Ethernet controller; its highest byte is the base class.
    pub class: u32,
}

impl PciDevice {
    /// Who made the device, and what it is.
    ///
    /// It is read from the one attribute by which user space finds a driver for it: to open `vendor`, `device` and
    /// `class` of each would be most of what a look at many devices takes.
    pub fn identity(&self) -> Result<Identity, SysfsError> {
        let path = self.join("modalias");
        let text = attribute::text(&path)?;
        let expected = "a device such as pci:v00008086d000010CAsv00008086sd0000A04Cbc02sc00i00";
        Identity::parse(&text).ok_or_else(|| SysfsError::unexpected(&path, &text, expected))
    }
}

impl Identity {
    /// As `modalias_show` in the kernel's `drivers/pci/pci-sysfs.c` writes it: each number has its width.
    fn parse(modalias: &str) -> Option<Self> {
        let mut rest = modalias.strip_prefix("pci:")?;
        let mut number = |name: &str, digits: usize| {
            let (number, after) = rest.strip_prefix(name)?.split_at_checked(digits)?;
            rest = after;
            let is_hex = number.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hex.then(|| u32::from_str_radix(number, 16).ok())?
        };
        let (vendor, device) = (number("v", 8)?, number("d", 8)?);
        let _subsystem = (number("sv", 8)?, number("sd", 8)?);
        let class = number("bc", 2)? << 16 | number("sc", 2)? << 8 | number("i", 2)?;
        let identity =
            Self { vendor: vendor.try_into().ok()?, device: device.try_into().ok()?, class };
        rest.is_empty().then_some(identity)
    }
}
