//! The VLANs that a VF may tag its own frames with. Netlink knows no such thing (`IFLA_VF_VLAN_LIST` takes one VLAN
//! only); vendors' drivers have it as a file of their PF: `sriov/<VF>/trunk`.

use std::fs;
use std::io;
use std::path::PathBuf;

use linkspan_types::{VlanId, VlanRange};

use super::{PciDevice, SysfsError, attribute};

/// A trunk that a PF's driver did not set.
#[derive(Debug, thiserror::Error)]
pub enum TrunkError {
    /// The driver has no trunks.
    #[error("the driver of PF {pf} has no VLAN trunks: there is no {path}")]
    Unsupported {
        /// The PF's address.
        pf: linkspan_types::PciAddress,
        /// The file that it would have.
        path: PathBuf,
    },
    /// The driver refused.
    #[error("cannot write {text:?} to {path}")]
    Write {
        /// What was written.
        text: String,
        /// The file.
        path: PathBuf,
        /// The driver's word.
        #[source]
        source: io::Error,
    },
    /// The file, or the driver's name, could not be read.
    #[error(transparent)]
    Sysfs(#[from] SysfsError),
}

impl PciDevice {
    /// Lets a VF of this PF tag its frames with these VLANs, beside those that it has.
    pub fn add_to_trunk(&self, vf: u32, vlans: &[VlanRange]) -> Result<(), TrunkError> {
        vlans.iter().try_for_each(|range| self.change_trunk(vf, "add", *range))
    }

    /// Takes these VLANs from a VF of this PF. One that it does not have is as good.
    pub fn remove_from_trunk(&self, vf: u32, vlans: &[VlanRange]) -> Result<(), TrunkError> {
        for range in vlans {
            match self.change_trunk(vf, "rem", *range) {
                Err(TrunkError::Unsupported { .. }) => return Ok(()),
                // Drivers differ in whether this is an error where there is nothing to remove.
                Err(refusal) if self.trunk_has(vf, *range)? => return Err(refusal),
                _ => {}
            }
        }
        Ok(())
    }

    fn change_trunk(&self, vf: u32, verb: &str, range: VlanRange) -> Result<(), TrunkError> {
        let path = self.trunk_file(vf);
        if !path.exists() {
            return Err(TrunkError::Unsupported { pf: self.address, path });
        }
        let VlanRange { first, last } = range;
        let is_mellanox = self.driver()?.is_some_and(|driver| driver.starts_with("mlx"));
        let text = match (is_mellanox, first == last) {
            // The two families of drivers write a range in two ways.
            (true, _) => format!("{verb} {first} {last}"),
            (false, true) => format!("{verb} {first}"),
            (false, false) => format!("{verb} {first}-{last}"),
        };
        fs::write(&path, &text).map_err(|source| TrunkError::Write { text, path, source })
    }

    /// Whether the trunk has any VLAN of a range, however the driver writes its list.
    fn trunk_has(&self, vf: u32, range: VlanRange) -> Result<bool, SysfsError> {
        let text = attribute::text_if_present(&self.trunk_file(vf))?.unwrap_or_default();
        let words = text.split(|c: char| !c.is_ascii_digit() && c != '-');
        Ok(words.filter_map(parse_range).any(|found| found.overlaps(range)))
    }

    fn trunk_file(&self, vf: u32) -> PathBuf {
        self.join(format!("sriov/{vf}/trunk"))
    }
}

fn parse_range(word: &str) -> Option<VlanRange> {
    let id = |text: &str| VlanId::try_from(text.parse::<u16>().ok()?).ok();
    match word.split_once('-') {
        Some((first, last)) => Some(VlanRange { first: id(first)?, last: id(last)? }),
        None => Some(VlanRange { first: id(word)?, last: id(word)? }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::Sysfs;

    fn range(first: u16, last: u16) -> VlanRange {
        let id = |id| VlanId::try_from(id).expect("a VLAN ID");
        VlanRange { first: id(first), last: id(last) }
    }

    /// A PF whose VF 1 has a trunk, in a made tree. A plain file keeps what was written last.
    fn pf(driver: &str) -> (tempfile::TempDir, PciDevice, PathBuf) {
        let root = tempfile::tempdir().expect("a folder");
        let device = root.path().join("bus/pci/devices/0000:3b:00.0");
        fs::create_dir_all(device.join("sriov/1")).expect("created");
        let drivers = root.path().join("bus/pci/drivers").join(driver);
        fs::create_dir_all(&drivers).expect("created");
        std::os::unix::fs::symlink(&drivers, device.join("driver")).expect("linked");
        let file = device.join("sriov/1/trunk");
        fs::write(&file, "").expect("written");
        let pf = Sysfs::at(root.path()).pci("0000:3b:00.0".parse().expect("an address"));
        (root, pf, file)
    }

    #[test]
    fn each_family_of_drivers_gets_its_own_words() {
        let table = [
            ("i40e", range(100, 100), "add 100"),
            ("ice", range(200, 299), "add 200-299"),
            ("mlx5_core", range(100, 100), "add 100 100"),
            ("mlx5_core", range(200, 299), "add 200 299"),
        ];
        for (driver, vlans, text) in table {
            let (_root, pf, file) = pf(driver);
            pf.add_to_trunk(1, &[vlans]).expect("written");
            assert_eq!(fs::read_to_string(&file).expect("read"), text);
            pf.remove_from_trunk(1, &[vlans]).expect("written");
            assert_eq!(fs::read_to_string(&file).expect("read"), text.replace("add", "rem"));
        }
    }

    #[test]
    fn a_driver_without_trunks_is_named_and_has_nothing_to_remove() {
        let (_root, pf, file) = pf("igb");
        fs::remove_file(&file).expect("removed");
        let error = pf.add_to_trunk(1, &[range(1, 2)]).expect_err("no such file");
        assert!(error.to_string().starts_with("the driver of PF 0000:3b:00.0 has no VLAN trunks"));
        pf.remove_from_trunk(1, &[range(1, 2)]).expect("nothing to do");
    }

    #[test]
    fn lists_are_read_however_they_are_written() {
        for text in ["Allowed 802.1Q VLANs: 5,100-102,200", "5 100-102 200"] {
            let (_root, pf, file) = pf("ice");
            fs::write(&file, text).expect("written");
            for (vlans, is_there) in
                [(range(102, 110), true), (range(5, 5), true), (range(6, 99), false)]
            {
                assert_eq!(pf.trunk_has(1, vlans).expect("read"), is_there, "{vlans:?} in {text}");
            }
        }
    }
}
