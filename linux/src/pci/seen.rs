//! What need not be read of sysfs again, for who looks at all of it again and again.
//!
//! sysfs numbers its entries, and no number comes back before the machine restarts (`kernfs_ino` in
//! `include/linux/kernfs.h`). A link leads to one thing for as long as it is there: a device that comes back, or
//! another one at its address, has a link with another number. So what a link leads to is read once, and with it what
//! a device can't change. (A made tree has to be on a file system that gives no number twice, such as tmpfs.)

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::mem;
use std::path::Path;

use linkspan_types::PciAddress;

use super::attribute::Entry;
use super::{Identity, Owner, PciDevice, Sysfs, SysfsError, attribute};

/// What was seen of a sysfs tree up to now.
#[derive(Debug, Default)]
pub struct Seen {
    functions: HashMap<PciAddress, Function>,
    /// Of each PF.
    virtual_functions: HashMap<PciAddress, Links<PciAddress>>,
    /// By the directory below the root.
    owners: HashMap<&'static str, Links<Owner>>,
}

/// What a PCI function is, if it was asked for.
#[derive(Debug, Default)]
struct Function {
    /// The number of the link to it.
    number: u64,
    identity: Option<Identity>,
}

/// What the links of a directory lead to, by their numbers.
#[derive(Debug)]
struct Links<T>(HashMap<u64, T>);

impl Seen {
    /// As [`Sysfs::pci_addresses`]; what was seen of devices that are not there any more is forgotten.
    pub fn pci_addresses(&mut self, sysfs: &Sysfs) -> Result<Vec<PciAddress>, SysfsError> {
        let mut before = mem::take(&mut self.functions);
        for Entry { number, name } in attribute::numbered_entries(&sysfs.pci_devices())? {
            let Some(address) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            let known = before.remove(&address).filter(|function| function.number == number);
            let function = known.unwrap_or_else(|| Function { number, ..Function::default() });
            self.functions.insert(address, function);
        }
        self.virtual_functions.retain(|pf, _| self.functions.contains_key(pf));
        let mut addresses: Vec<_> = self.functions.keys().copied().collect();
        addresses.sort_unstable();
        Ok(addresses)
    }

    /// As [`PciDevice::identity`].
    pub fn identity(&mut self, device: &PciDevice) -> Result<Identity, SysfsError> {
        // One that the list hasn't shown has no number, and is not there the next time.
        let function = self.functions.entry(device.address).or_default();
        match function.identity {
            Some(known) => Ok(known),
            None => device.identity().map(|identity| *function.identity.insert(identity)),
        }
    }

    /// As [`PciDevice::virtual_functions`].
    pub fn virtual_functions(
        &mut self,
        pf: &PciDevice,
    ) -> Result<Vec<(u32, PciAddress)>, SysfsError> {
        let index = |name: &OsStr| name.to_str()?.strip_prefix("virtfn")?.parse::<u32>().ok();
        // A VF that has gone since the directory was read is none of the PF's any more, and what can't be read as one
        // leaves the others as they are.
        let read = |link: &Path| Ok(attribute::linked_address(link).unwrap_or_default());
        let links = self.virtual_functions.entry(pf.address).or_default();
        let links = links.follow(&pf.path, |name| index(name).is_some(), read)?;
        let vfs = links.into_iter().filter_map(|(name, vf)| Some((index(&name)?, vf)));
        let mut vfs: Vec<_> = vfs.collect();
        vfs.sort_unstable();
        Ok(vfs)
    }

    /// What each link of a directory leads to, where that belongs to a device.
    pub(super) fn owners(
        &mut self,
        sysfs: &Sysfs,
        directory: &'static str,
        read: impl Fn(&Path) -> Result<Option<Owner>, SysfsError>,
    ) -> Result<Vec<(OsString, Owner)>, SysfsError> {
        let links = self.owners.entry(directory).or_default();
        links.follow(&sysfs.root.join(directory), |_| true, read)
    }
}

impl<T: Clone> Links<T> {
    /// The names of the links that there are now, in no order, and what they lead to: `read` where that is not known.
    /// A link that leads to nothing of interest, or has gone, is left out.
    fn follow(
        &mut self,
        directory: &Path,
        is_wanted: impl Fn(&OsStr) -> bool,
        read: impl Fn(&Path) -> Result<Option<T>, SysfsError>,
    ) -> Result<Vec<(OsString, T)>, SysfsError> {
        let mut before = mem::take(&mut self.0);
        let mut found = Vec::new();
        for Entry { number, name } in attribute::numbered_entries(directory)? {
            if !is_wanted(&name) {
                continue;
            }
            let target = match before.remove(&number) {
                Some(known) => Some(known),
                None => read(&directory.join(&name))?,
            };
            if let Some(target) = target {
                self.0.insert(number, target.clone());
                found.push((name, target));
            }
        }
        Ok(found)
    }
}

impl<T> Default for Links<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}
