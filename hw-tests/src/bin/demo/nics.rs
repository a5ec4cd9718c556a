//! The NICs of the node, and how many VFs they have.

use anyhow::{Result, ensure};
use linkspan_linux::pci::Sysfs;
use linkspan_tests::bed::BedPf;

use crate::story::say;
use crate::table::table;

/// Shows the NICs; fails if one has too few VFs for the story.
pub(crate) fn show(pfs: &[BedPf]) -> Result<()> {
    let sysfs = Sysfs::host();
    let mut rows = Vec::new();
    for pf in pfs {
        ensure!(pf.vfs.len() > 1, "{} has {} VFs, expected two or more", pf.name, pf.vfs.len());
        let device = sysfs.pci(pf.address);
        let driver = |driver: Option<String>| driver.unwrap_or_else(|| "none".to_owned());
        rows.push([
            pf.name.to_string(),
            pf.address.to_string(),
            driver(device.driver()?),
            device.numa_node()?.map_or_else(|| "-".to_owned(), |node| node.to_string()),
            pf.vfs.len().to_string(),
            driver(sysfs.pci(pf.vfs[0]).driver()?),
        ]);
    }
    say(&table(["PF", "PCI address", "driver", "NUMA node", "VFs", "driver of the VFs"], &rows));
    Ok(())
}
