//! Changing what a PF and its VFs are: how many VFs there are, and which driver has them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use linkspan_types::PciAddress;

use super::{PciDevice, SysfsError};

/// A PF or a VF was not set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// sysfs refused what was written.
    #[error("cannot write {text:?} to {}", path.display())]
    Write {
        /// What was written.
        text: String,
        /// The file.
        path: PathBuf,
        /// The kernel's word.
        #[source]
        source: io::Error,
    },
    /// The driver is not there.
    #[error("the kernel has no PCI driver {0}, expected its module to be loaded (modprobe {0})")]
    NoDriver(String),
    /// A driver was asked for, and did not take the device.
    #[error("{address} is bound to {}, expected {expected}: see the kernel's log", found.as_deref().unwrap_or("no driver"))]
    NotBound {
        /// The device.
        address: PciAddress,
        /// The driver that has it.
        found: Option<String>,
        /// The driver that should.
        expected: String,
    },
    /// The device could not be looked at.
    #[error(transparent)]
    Sysfs(#[from] SysfsError),
}

impl PciDevice {
    /// Whether the kernel gives new VFs of this PF to their drivers by itself.
    pub fn drivers_autoprobe(&self) -> Result<Option<bool>, SysfsError> {
        Ok(self.number(AUTOPROBE)?.map(|on| on != 0))
    }

    /// Lets the kernel give new VFs of this PF to their drivers, or not.
    ///
    /// Where it doesn't, a VF gets a driver only by its `driver_override`.
    pub fn set_drivers_autoprobe(&self, on: bool) -> Result<(), SetUpError> {
        write(&self.join(AUTOPROBE), if on { "1" } else { "0" })
    }

    /// Gives a PF so many VFs. The kernel changes their number by way of 0 alone: all VFs that there are go.
    pub fn set_num_vfs(&self, count: u32) -> Result<(), SetUpError> {
        let file = self.join("sriov_numvfs");
        if self.num_vfs()?.is_some_and(|now| now != 0) {
            write(&file, "0")?;
        }
        if count == 0 { Ok(()) } else { write(&file, &count.to_string()) }
    }

    /// Binds the device to the driver of that name alone, in place of the one that has it.
    ///
    /// It returns when the driver has the device, device nodes included: the kernel probes, and makes them
    /// in devtmpfs, before the write returns. A program that has the device open by way of vfio is asked to
    /// close it, and waited for.
    pub fn bind_to(&self, driver: &str) -> Result<(), SetUpError> {
        // A device without a driver would be the result.
        if !self.bus().join("drivers").join(driver).exists() {
            return Err(SetUpError::NoDriver(driver.to_owned()));
        }
        self.rebind(driver)?;
        match self.driver()? {
            Some(found) if found == driver => Ok(()),
            found => {
                let expected = driver.to_owned();
                Err(SetUpError::NotBound { address: self.address, found, expected })
            }
        }
    }

    /// Binds the device to the driver that the kernel chooses for it, in place of the one that has it.
    pub fn bind_to_kernel_driver(&self) -> Result<(), SetUpError> {
        // A line's end takes the name away.
        self.rebind("\n")?;
        match self.driver()? {
            Some(_) => Ok(()),
            found => {
                let expected = "the kernel's driver".to_owned();
                Err(SetUpError::NotBound { address: self.address, found, expected })
            }
        }
    }

    /// Whoever is killed in its midst leaves the device without a driver, which shows: a `driver_override` that is
    /// written while a driver still has the device would stay there unseen.
    fn rebind(&self, driver_override: &str) -> Result<(), SetUpError> {
        let address = self.address.to_string();
        let bound = self.join("driver");
        if bound.exists() {
            write(&bound.join("unbind"), &address)?;
        }
        let overridden = write(&self.join("driver_override"), driver_override);
        write(&self.bus().join("drivers_probe"), &address)?;
        overridden
    }

    /// The bus's directory, two above the device's.
    fn bus(&self) -> PathBuf {
        self.path.with_file_name("..")
    }
}

const AUTOPROBE: &str = "sriov_drivers_autoprobe";

/// Writes an attribute that is there.
fn write(path: &Path, text: &str) -> Result<(), SetUpError> {
    let written = fs::OpenOptions::new().write(true).truncate(true).open(path);
    written.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes())).map_err(
        |source| SetUpError::Write { text: text.to_owned(), path: path.to_owned(), source },
    )
}
