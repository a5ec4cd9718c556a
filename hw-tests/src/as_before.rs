//! A PF's VFs put back as they were, whatever a test has done to them, also when it fails.

use std::fs;
use std::path::PathBuf;
use std::thread::panicking;
use std::time::Duration;

use linkspan_linux::pci::{PciDevice, Sysfs};
use linkspan_tests::bed::BedPf;
use linkspan_tests::pods::run;
use linkspan_tests::wait::until;
use linkspan_types::PciAddress;
use serde_json::Value;

use crate::{VfShown, netdev, show};

/// How long a netdev may take to appear.
const BOUND: Duration = Duration::from_secs(30);

/// The VFs of a PF, all with the kernel's driver, to be so again when this is dropped.
pub struct AsBefore<'a> {
    pf: &'a BedPf,
    drivers: Vec<String>,
    shown: Vec<VfShown>,
}

impl<'a> AsBefore<'a> {
    /// The VFs as they are now.
    #[must_use]
    pub fn of(pf: &'a BedPf) -> Self {
        let driver = |vf: &PciAddress| device(*vf).driver().unwrap().unwrap();
        Self { pf, drivers: pf.vfs.iter().map(driver).collect(), shown: show(pf) }
    }

    /// Gives a VF to another driver.
    pub fn bind(&self, vf: PciAddress, driver: &str) {
        assert!(self.pf.vfs.contains(&vf), "{vf} would not be restored");
        rebind(vf, driver);
        assert_eq!(device(vf).driver().unwrap().as_deref(), Some(driver), "is {driver} loaded?");
    }

    /// Sets the number of VFs, which the kernel changes only by way of 0.
    pub fn set_count(&self, count: usize) {
        let file = attribute(self.pf.address, "sriov_numvfs");
        fs::write(file, count.to_string()).unwrap();
    }

    fn restore(&self) {
        fs::write(attribute(self.pf.address, "sriov_drivers_autoprobe"), "1").unwrap();
        let count = device(self.pf.address).num_vfs().unwrap().unwrap() as usize;
        if count != self.pf.vfs.len() {
            self.set_count(0);
            self.set_count(self.pf.vfs.len());
        }
        for (vf, driver) in self.pf.vfs.iter().zip(&self.drivers) {
            if device(*vf).driver().unwrap().as_ref() != Some(driver) {
                rebind(*vf, driver);
            }
            // Set, it would keep the VF from every other driver for good.
            fs::write(attribute(*vf, "driver_override"), "\n").unwrap();
        }
        for shown in &self.shown {
            restore_netdev(shown);
        }
    }
}

impl Drop for AsBefore<'_> {
    fn drop(&mut self) {
        self.restore();
        if !panicking() {
            assert_eq!(show(self.pf), self.shown);
        }
    }
}

/// A driver that binds anew makes another netdev, with a name of the kernel's and a random MAC.
fn restore_netdev(shown: &VfShown) {
    let what = format!("the netdev of {}", shown.device);
    let name = until(&what, BOUND, || device(shown.device).net_names().ok()?.into_iter().next());
    let (old_name, old_mac) = (text(&shown.netdev["name"]), text(&shown.netdev["mac"]));
    if name.as_str() != old_name {
        run("ip", &["link", "set", name.as_str(), "name", old_name]);
    }
    if netdev(shown.device)["mac"] != old_mac {
        run("ip", &["link", "set", old_name, "address", old_mac]);
    }
}

fn rebind(vf: PciAddress, driver: &str) {
    fs::write(attribute(vf, "driver_override"), driver).unwrap();
    let bound = attribute(vf, "driver");
    if bound.exists() {
        fs::write(bound.join("unbind"), vf.to_string()).unwrap();
    }
    fs::write("/sys/bus/pci/drivers_probe", vf.to_string()).unwrap();
}

fn device(address: PciAddress) -> PciDevice {
    Sysfs::host().pci(address)
}

fn attribute(address: PciAddress, name: &str) -> PathBuf {
    PathBuf::from(format!("/sys/bus/pci/devices/{address}/{name}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
