//! What the PCI ID database calls vendors and their devices, as it was when this program was built.

/// Numbers in ascending order with their names, as `build.rs` writes them.
struct Table {
    /// For each entry its number and where its name ends, in four bytes each.
    index: &'static [u8],
    names: &'static str,
}

const VENDORS: Table = Table {
    index: include_bytes!(concat!(env!("OUT_DIR"), "/pci_vendors.index")),
    names: include_str!(concat!(env!("OUT_DIR"), "/pci_vendors.names")),
};

const DEVICES: Table = Table {
    index: include_bytes!(concat!(env!("OUT_DIR"), "/pci_devices.index")),
    names: include_str!(concat!(env!("OUT_DIR"), "/pci_devices.names")),
};

/// A vendor's name: "Intel Corporation".
fn vendor(vendor: u16) -> Option<&'static str> {
    VENDORS.name(vendor.into())
}

/// The name of a vendor's device: "82576 Virtual Function".
fn device(vendor: u16, device: u16) -> Option<&'static str> {
    DEVICES.name(u32::from(vendor) << 16 | u32::from(device))
}

/// A device as people and programs know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Both numbers: `8086:10ca`.
    pub(crate) id: String,
    /// Empty where it is not known.
    pub(crate) vendor: &'static str,
    pub(crate) model: &'static str,
}

impl Names {
    pub(crate) fn of((vendor, number): (u16, u16)) -> Self {
        Self {
            id: format!("{vendor:04x}:{number:04x}"),
            vendor: self::vendor(vendor).unwrap_or_default(),
            model: device(vendor, number).unwrap_or_default(),
        }
    }
}

impl Table {
    fn name(&self, number: u32) -> Option<&'static str> {
        let (entries, _) = self.index.as_chunks::<8>();
        let number_of =
            |entry: &[u8; 8]| u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let end_of = |entry: &[u8; 8]| u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        let at = entries.binary_search_by_key(&number, number_of).ok()?;
        let start = at.checked_sub(1).map_or(0, |before| end_of(&entries[before]));
        let (start, end) =
            (usize::try_from(start).ok()?, usize::try_from(end_of(&entries[at])).ok()?);
        self.names.get(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_and_devices_have_their_names() {
        assert_eq!(vendor(0x8086), Some("Intel Corporation"));
        assert_eq!(device(0x8086, 0x10ca), Some("82576 Virtual Function"));
        assert_eq!(device(0x15b3, 0x101a), Some("MT28800 Family [ConnectX-5 Ex Virtual Function]"));
        assert_eq!((vendor(0x0000), device(0x8086, 0x0000)), (None, None));
    }

    /// A build that got another database than the crate's has asked the network for it.
    #[test]
    fn the_database_is_the_one_that_the_crate_brought() {
        let entries = [VENDORS, DEVICES].map(|table| (table.index.len() / 8, table.names.len()));
        assert_eq!(entries, [(2_445, 48_016), (19_836, 618_463)]);
    }
}
