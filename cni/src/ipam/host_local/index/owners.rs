//! Who has which addresses: a hash table of pages in a file, of which only those that are needed are read,
//! and only those that have changed are written.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileExt as _;

use super::{ADDRESS, put_address, take, take_address};

/// The table. An owner's page is his key, modulo the number of pages; where that is full, the next one.
#[derive(Debug)]
pub(super) struct Owners {
    /// What has the pages that are not in memory: the file, and where in it they begin.
    file: Option<(File, u64)>,
    /// How many pages there are.
    count: u64,
    /// How many reservations are in them.
    entries: u64,
    /// The pages that were read, or all of them.
    pages: BTreeMap<u64, Page>,
}

/// One page.
#[derive(Clone, Debug, Default)]
struct Page {
    entries: Vec<(u64, IpAddr)>,
    /// Whether an entry of this page, or of one before it, may be in the next one.
    overflows: bool,
    changed: bool,
}

/// The length of a page.
const PAGE: usize = 4096;
/// How many entries it has room for.
const ROOM: usize = (PAGE - 3) / (8 + ADDRESS);
/// How many there are in a new table's pages, on average. At twice that the table grows; an owner of very
/// many addresses fills his page before.
const LOAD: u64 = 48;

impl Owners {
    /// A table of these entries.
    pub(super) fn of(entries: impl ExactSizeIterator<Item = (u64, IpAddr)>) -> Self {
        let count = entries.len() as u64 / LOAD + 1;
        let pages = (0..count).map(|number| (number, Page::default())).collect();
        let mut owners = Self { file: None, count, entries: 0, pages };
        for (key, address) in entries {
            // All pages are in memory.
            let _ = owners.insert(key, address);
        }
        owners
    }

    /// The table in a file of this many pages; none where it is not that long.
    pub(super) fn open(file: File, start: u64, count: u64, entries: u64) -> Option<Self> {
        let length = count.checked_mul(PAGE as u64)?.checked_add(start)?;
        let whole =
            count > 0 && entries <= 2 * LOAD * count && file.metadata().ok()?.len() == length;
        let file = Some((file, start));
        whole.then_some(Self { file, count, entries, pages: BTreeMap::new() })
    }

    /// How many pages there are.
    pub(super) fn pages(&self) -> u64 {
        self.count
    }

    /// How many reservations there are.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// The addresses with this key.
    pub(super) fn addresses_of(&mut self, key: u64) -> io::Result<Vec<IpAddr>> {
        let mut found = Vec::new();
        for step in 0..self.count {
            let page = self.page(key, step)?;
            found.extend(page.entries.iter().filter(|entry| entry.0 == key).map(|entry| entry.1));
            if !page.overflows {
                break;
            }
        }
        Ok(found)
    }

    /// Adds an entry.
    pub(super) fn insert(&mut self, key: u64, address: IpAddr) -> io::Result<()> {
        if self.entries >= 2 * LOAD * self.count {
            self.grow()?;
        }
        for step in 0..self.count {
            let page = self.page(key, step)?;
            page.changed = true;
            if page.entries.len() < ROOM {
                page.entries.push((key, address));
                self.entries += 1;
                return Ok(());
            }
            page.overflows = true;
        }
        Err(io::ErrorKind::StorageFull.into())
    }

    /// Makes the table twice as large, which takes all of it into memory.
    fn grow(&mut self) -> io::Result<()> {
        let mut all = Vec::new();
        for number in 0..self.count {
            all.extend_from_slice(&self.page(number, 0)?.entries);
        }
        *self = Self::of(all.into_iter());
        Ok(())
    }

    /// Removes an entry, if it is there.
    pub(super) fn remove(&mut self, key: u64, address: IpAddr) -> io::Result<()> {
        for step in 0..self.count {
            let page = self.page(key, step)?;
            if let Some(place) = page.entries.iter().position(|entry| *entry == (key, address)) {
                page.entries.swap_remove(place);
                page.changed = true;
                self.entries = self.entries.saturating_sub(1);
                break;
            }
            if !page.overflows {
                break;
            }
        }
        Ok(())
    }

    /// Writes what has changed into the file, and returns that; none where the table is of no file.
    pub(super) fn write_changed(&self) -> io::Result<Option<&File>> {
        let Some((file, start)) = &self.file else { return Ok(None) };
        for (number, page) in self.pages.iter().filter(|(_, page)| page.changed) {
            file.write_all_at(&page.to_bytes(), start + number * PAGE as u64)?;
        }
        Ok(Some(file))
    }

    /// Appends all pages of a table that is of no file.
    pub(super) fn append_all(&self, bytes: &mut Vec<u8>) {
        self.pages.values().for_each(|page| bytes.extend(page.to_bytes()));
    }

    /// The page of a key, or that many pages further on.
    fn page(&mut self, key: u64, step: u64) -> io::Result<&mut Page> {
        let number = (key % self.count + step) % self.count;
        match self.pages.entry(number) {
            Entry::Occupied(page) => Ok(page.into_mut()),
            Entry::Vacant(place) => {
                let invalid = || io::Error::from(io::ErrorKind::InvalidData);
                let (file, start) = self.file.as_ref().ok_or_else(invalid)?;
                let mut bytes = [0; PAGE];
                file.read_exact_at(&mut bytes, start + number * PAGE as u64)?;
                Ok(place.insert(Page::of_bytes(&bytes).ok_or_else(invalid)?))
            }
        }
    }
}

impl Page {
    fn of_bytes(mut bytes: &[u8]) -> Option<Self> {
        let (count, [overflows]) = (u16::from_le_bytes(take(&mut bytes)?), take(&mut bytes)?);
        let mut entries = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let key = u64::from_le_bytes(take(&mut bytes)?);
            entries.push((key, take_address(&mut bytes)?));
        }
        Some(Self { entries, overflows: overflows != 0, changed: false })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PAGE);
        bytes.extend(u16::try_from(self.entries.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.push(u8::from(self.overflows));
        for (key, address) in &self.entries {
            bytes.extend(key.to_le_bytes());
            put_address(&mut bytes, *address);
        }
        bytes.resize(PAGE, 0);
        bytes
    }
}
