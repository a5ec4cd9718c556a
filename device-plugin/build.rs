//! Writes the names of the PCI ID database as two tables that a program can search where they lie.
//!
//! The crate's own tables are three times as long, and full of pointers: each start of the daemon would write to
//! megabytes that it hardly ever reads.

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs, io};

use pci_ids::Vendors;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut vendors = BTreeMap::new();
    let mut devices = BTreeMap::new();
    for vendor in Vendors::iter() {
        vendors.insert(u32::from(vendor.id()), vendor.name());
        for device in vendor.devices() {
            devices.insert(u32::from(vendor.id()) << 16 | u32::from(device.id()), device.name());
        }
    }
    write("pci_vendors", &vendors)?;
    write("pci_devices", &devices)
}

/// Writes all names one after the other, and an index: each number, and where its name ends.
fn write(table: &str, names: &BTreeMap<u32, &str>) -> io::Result<()> {
    let (mut index, mut text) = (Vec::new(), String::new());
    for (number, name) in names {
        text.push_str(name);
        let end = u32::try_from(text.len()).map_err(io::Error::other)?;
        index.extend(number.to_le_bytes());
        index.extend(end.to_le_bytes());
    }
    let folder = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&folder).join(table).with_extension("index"), index)?;
    fs::write(Path::new(&folder).join(table).with_extension("names"), text)
}
