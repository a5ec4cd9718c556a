//! A network's reservations, locked for as long as a value of [`Store`] lives: the files, and the index that
//! spares reading them.

use std::fs::File;
use std::net::IpAddr;
use std::time::SystemTime;

use linkspan_config::net_conf::Spans;

use super::boot::{Boot, BootId};
use super::error::StoreError;
use super::folder::{Folder, Reservation};
use super::holder::Holder;
use super::index::{Index, Seal};
use crate::spec::AttachmentId;

/// The locked reservations of a network.
///
/// The index is sealed, when the store is dropped, with the folder's time of modification, which is set to a
/// whole second of the past: whoever makes, renames or removes a file afterwards, be it the reference plugin
/// or a program that is killed before it has sealed the index again, leaves the present time there.
#[derive(Debug)]
pub(super) struct Store {
    folder: Folder,
    boot: BootId,
    index: Index,
    /// Whether anything may have changed since the index was sealed.
    changed: bool,
    /// Whose reservation the draft is, if there is one.
    draft: Option<Holder>,
    /// Closing the file unlocks it.
    _lock: File,
}

/// Which of the reservations are of a boot before this one.
enum Earlier {
    None,
    All,
    /// Those that were made before this boot began, in seconds since 1970.
    Before(i64),
}

impl Store {
    /// Waits for the lock, and frees what was reserved before this boot.
    ///
    /// Which boot it was that reserved an address is known where the index is of another boot, and nobody has
    /// changed the folder since: then it was that one. Where that is not so (the folder is the reference
    /// plugin's, or it has been at work in it) a reservation is of an earlier boot if its file was made before
    /// this boot began.
    pub(super) fn open(folder: Folder, boot: &Boot) -> Result<Self, StoreError> {
        let lock = folder.lock()?;
        let (id, modified) = (boot.id()?, folder.modified()?);
        let saved = Index::open(folder.path());
        let (index, draft) = (Index::unknown(), None);
        let mut store = Self { folder, boot: id, index, changed: false, draft, _lock: lock };
        let earlier = match saved {
            Some((seal, index)) if seal.boot == id && Some(seal.modified) == modified => {
                store.index = index;
                return Ok(store);
            }
            Some((seal, _)) if seal.boot == id => Earlier::None,
            Some((seal, _)) if Some(seal.modified) == modified => Earlier::All,
            _ => boot.began()?.map_or(Earlier::None, Earlier::Before),
        };
        store.read_all_but(&earlier)?;
        Ok(store)
    }

    /// The files.
    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Who has an address.
    pub(super) fn holder(&self, address: IpAddr) -> Result<Option<Holder>, StoreError> {
        Ok(self.folder.reservation(address)?.map(|reservation| reservation.holder))
    }

    /// Addresses that are taken: all of them, but for short spans where there are very many.
    pub(super) fn taken(&self) -> &Spans {
        self.index.taken()
    }

    /// Every address of an owner, in order. As in the reference plugin, files without an interface, which its
    /// old versions wrote, are the owner's only where there are no others.
    pub(super) fn all_of(
        &mut self,
        owner: &AttachmentId,
    ) -> Result<Vec<(IpAddr, Holder)>, StoreError> {
        let own = self.held_by(&Holder::of(owner))?;
        if own.is_empty() { self.held_by(&Holder::of_container(owner)) } else { Ok(own) }
    }

    /// Every address of a holder, in order.
    pub(super) fn held_by(&mut self, holder: &Holder) -> Result<Vec<(IpAddr, Holder)>, StoreError> {
        if let Some(found) = self.look_up(holder)? {
            return Ok(found);
        }
        self.read_all()?;
        Ok(self.look_up(holder)?.unwrap_or_default())
    }

    /// What the index tells; none where that is not what the files tell.
    fn look_up(&mut self, holder: &Holder) -> Result<Option<Vec<(IpAddr, Holder)>>, StoreError> {
        let key = holder.key();
        let Ok(mut addresses) = self.index.addresses_of(key) else { return Ok(None) };
        addresses.sort_unstable();
        let mut found = Vec::new();
        for address in addresses {
            match self.holder(address)? {
                Some(other) if other == *holder => found.push((address, other)),
                Some(other) if other.key() == key => {}
                _ => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    /// Whether nobody has an address.
    pub(super) fn is_free(&mut self, address: IpAddr) -> Result<bool, StoreError> {
        let is_free = self.folder.is_free(address)?;
        if !is_free {
            self.index.insert_taken(address);
        }
        Ok(is_free)
    }

    /// Reserves an address; false where it is taken.
    pub(super) fn reserve(&mut self, address: IpAddr, holder: &Holder) -> Result<bool, StoreError> {
        self.changed = true;
        if self.draft.as_ref() != Some(holder) {
            // On a full disk half of a draft may be left, which would be in the way of the next one.
            self.folder.draft(holder).inspect_err(|_| drop(self.folder.remove_draft()))?;
            self.draft = Some(holder.clone());
        }
        let is_free = self.folder.give(address)?;
        if is_free {
            self.index.insert(holder.key(), address);
        } else {
            self.index.insert_taken(address);
        }
        Ok(is_free)
    }

    /// Notes the address that a set of ranges gave last.
    pub(super) fn set_last_reserved(&mut self, set: usize, last: IpAddr) -> Result<(), StoreError> {
        self.changed = true;
        self.folder.set_last_reserved(set, last)
    }

    /// Frees an address of this holder's.
    pub(super) fn remove(&mut self, address: IpAddr, holder: &Holder) -> Result<(), StoreError> {
        self.changed = true;
        self.folder.remove(address)?;
        self.index.remove(holder.key(), address);
        Ok(())
    }

    /// Reads every reservation, whatever the index says, and makes that anew.
    pub(super) fn read_all(&mut self) -> Result<Vec<(IpAddr, Holder)>, StoreError> {
        self.read_all_but(&Earlier::None)
    }

    /// The same, and frees what nobody has and what was reserved before this boot. As the lock is held,
    /// nobody is about to write his name into an empty file. What can't be read is taken, by whomever.
    fn read_all_but(&mut self, earlier: &Earlier) -> Result<Vec<(IpAddr, Holder)>, StoreError> {
        self.changed = true;
        self.index = Index::unknown();
        self.folder.remove_draft()?;
        self.draft = None;
        let (mut all, mut unreadable) = (Vec::new(), Vec::new());
        for address in self.folder.addresses()? {
            match self.folder.reservation(address) {
                Ok(Some(found)) if found.holder.is_nobody() || earlier.has(&found) => {
                    self.folder.remove(address)?;
                }
                Ok(Some(found)) => all.push((address, found.holder)),
                Ok(None) => {}
                Err(_) => unreadable.push(address),
            }
        }
        let entries: Vec<_> =
            all.iter().map(|(address, holder)| (holder.key(), *address)).collect();
        self.index = Index::of(&entries);
        for address in unreadable {
            self.index.insert_taken(address);
        }
        Ok(all)
    }

    /// Seals the index. Where that fails the next one reads all of the files.
    fn seal(&mut self) -> Option<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        let modified = now.checked_sub(1)?;
        let seal = Seal { boot: self.boot, modified: i64::try_from(modified).ok()? };
        if self.draft.is_some() {
            self.folder.remove_draft().ok()?;
        }
        self.index.save(self.folder.path(), seal).ok()?;
        self.folder.set_modified(modified).ok()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.changed && self.seal().is_none() {
            Index::discard(self.folder.path());
        }
    }
}

impl Earlier {
    /// Whether a reservation is one.
    fn has(&self, reservation: &Reservation) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Before(began) => reservation.made().is_ok_and(|made| made < *began),
        }
    }
}

#[cfg(test)]
mod tests;
