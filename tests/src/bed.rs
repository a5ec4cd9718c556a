//! What the machine offers to tests on SR-IOV NICs.

use linkspan_linux::pci::Sysfs;
use linkspan_types::{IfName, PciAddress};

/// A PF that tests may use, and its VFs.
#[derive(Clone, Debug)]
pub struct BedPf {
    /// Its name.
    pub name: IfName,
    /// Its address.
    pub address: PciAddress,
    /// Its VFs, in the order of their numbers.
    pub vfs: Vec<PciAddress>,
}

/// The names in `LINKSPAN_PFS`, joined there by commas.
#[must_use]
pub fn pfs() -> Vec<IfName> {
    let names = std::env::var("LINKSPAN_PFS").unwrap_or_default();
    names.split(',').filter_map(|name| name.trim().parse().ok()).collect()
}

impl BedPf {
    /// The PF number `n` of the bed.
    ///
    /// # Panics
    ///
    /// If the bed has no such PF.
    #[must_use]
    pub fn nth(n: usize) -> Self {
        let name =
            pfs().into_iter().nth(n).unwrap_or_else(|| panic!("the bed has no PF number {n}"));
        let sysfs = Sysfs::host();
        let is_pf = |address: &PciAddress| {
            let device = sysfs.pci(*address);
            let is_vf = device.physfn().is_ok_and(|pf| pf.is_some());
            !is_vf && device.net_names().is_ok_and(|names| names.contains(&name))
        };
        let all = sysfs.pci_addresses().unwrap();
        let address =
            all.into_iter().find(is_pf).unwrap_or_else(|| panic!("{name} is no PCI device"));
        let vfs = sysfs.pci(address).virtual_functions().unwrap();
        Self { name, address, vfs: vfs.into_iter().map(|(_, vf)| vf).collect() }
    }
}
