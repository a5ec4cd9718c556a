//! What the reservations come to, in a file beside them, so that nobody has to read them all: who has which
//! addresses, and which long spans are taken.
//!
//! It says nothing that the reservations don't, and is made anew from them whenever it may be out of date.
//! So it need not survive a crash: it is believed only where its [`Seal`] says that nothing has changed in
//! the folder since it was written.

mod owners;

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use linkspan_config::net_conf::{Span, Spans};

use super::boot::BootId;
use super::folder::{remove, write_new};
use owners::Owners;

/// The index's name among the reservations: no address has it, and to the reference plugin, which reads
/// every file of the folder, its content is no holder's.
const NAME: &str = ".linkspan-index";

/// When the index was true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    /// The boot.
    pub(super) boot: BootId,
    /// The folder's time of modification, a whole second since 1970.
    pub(super) modified: i64,
}

/// The index of a folder's reservations.
#[derive(Debug)]
pub(super) struct Index {
    /// All that is taken; where that is very many spans, only the longest.
    taken: Spans,
    owners: Owners,
    /// Whether there may be reservations that are not in it: it is not written then.
    incomplete: bool,
}

/// The version of the format.
const MAGIC: [u8; 8] = *b"linkspn1";
/// How much of the file comes before the owners.
const HEAD: usize = 8192;
/// The spans that there is room for. An address is looked for by trying one after the other where it is in
/// none of them, at most one span long; with this many, such a span has at most a few hundred addresses of
/// 60,000.
const MOST_SPANS: usize = (HEAD - 64) / (2 * ADDRESS);

impl Index {
    /// The index of reservations that were not read yet.
    pub(super) fn unknown() -> Self {
        Self { incomplete: true, ..Self::of(&[]) }
    }

    /// The index of these reservations, each a holder's key and an address.
    pub(super) fn of(reservations: &[(u64, IpAddr)]) -> Self {
        let mut addresses: Vec<IpAddr> = reservations.iter().map(|(_, address)| *address).collect();
        addresses.sort_unstable();
        let taken = addresses.into_iter().collect();
        Self { taken, owners: Owners::of(reservations.iter().copied()), incomplete: false }
    }

    /// The index that a folder has, with its seal; none where it is not there or can't be read.
    pub(super) fn open(folder: &Path) -> Option<(Seal, Self)> {
        let file = File::options().read(true).write(true).open(folder.join(NAME)).ok()?;
        let mut head = vec![0; HEAD];
        file.read_exact_at(&mut head, 0).ok()?;
        let bytes = &mut head.as_slice();
        if take(bytes)? != MAGIC {
            return None;
        }
        let boot = BootId(u128::from_le_bytes(take(bytes)?));
        let modified = i64::from_le_bytes(take(bytes)?);
        let (pages, entries) = (u64::from_le_bytes(take(bytes)?), u64::from_le_bytes(take(bytes)?));
        let mut taken = Spans::default();
        for _ in 0..u16::from_le_bytes(take(bytes)?) {
            taken.insert(Span::new(take_address(bytes)?, take_address(bytes)?)?);
        }
        let owners = Owners::open(file, HEAD as u64, pages, entries)?;
        Some((Seal { boot, modified }, Self { taken, owners, incomplete: false }))
    }

    /// Addresses that are taken: all of them, or the longest spans.
    pub(super) fn taken(&self) -> &Spans {
        &self.taken
    }

    /// The addresses of whoever has this key: of one holder as a rule, of two once in ages.
    pub(super) fn addresses_of(&mut self, key: u64) -> io::Result<Vec<IpAddr>> {
        self.owners.addresses_of(key)
    }

    /// Notes a reservation.
    pub(super) fn insert(&mut self, key: u64, address: IpAddr) {
        self.taken.insert(address);
        self.incomplete |= self.owners.insert(key, address).is_err();
    }

    /// Notes that an address is taken, whoever has it.
    pub(super) fn insert_taken(&mut self, address: IpAddr) {
        self.taken.insert(address);
    }

    /// Notes that a reservation is no more.
    pub(super) fn remove(&mut self, key: u64, address: IpAddr) {
        self.taken.remove(address);
        self.incomplete |= self.owners.remove(key, address).is_err();
    }

    /// Writes the index: where its file is as it was read, only what has changed.
    pub(super) fn save(&mut self, folder: &Path, seal: Seal) -> io::Result<()> {
        if self.incomplete {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let head = self.head(seal);
        if let Some(file) = self.owners.write_changed()? {
            return file.write_all_at(&head, 0);
        }
        let mut bytes = head;
        bytes.resize(HEAD, 0);
        self.owners.append_all(&mut bytes);
        // Half a file is no index, and the folder has changed, so nothing need be written beside it first.
        let path = folder.join(NAME);
        remove(&path).and_then(|()| write_new(&path, &bytes)).map_err(|error| error.source)
    }

    /// Removes the index of a folder, as far as that can be done.
    pub(super) fn discard(folder: &Path) {
        let _ = remove(&folder.join(NAME));
    }

    fn head(&self, seal: Seal) -> Vec<u8> {
        let taken = longest(&self.taken, MOST_SPANS);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(seal.boot.0.to_le_bytes());
        bytes.extend(seal.modified.to_le_bytes());
        bytes.extend(self.owners.pages().to_le_bytes());
        bytes.extend(self.owners.entries().to_le_bytes());
        bytes.extend(u16::try_from(taken.len()).unwrap_or(u16::MAX).to_le_bytes());
        for span in taken {
            put_address(&mut bytes, span.first());
            put_address(&mut bytes, span.last());
        }
        bytes
    }
}

/// The longest of the spans, at most so many.
fn longest(spans: &Spans, most: usize) -> Vec<Span> {
    let mut spans: Vec<Span> = spans.iter().collect();
    if spans.len() > most {
        spans.sort_unstable_by_key(|span| std::cmp::Reverse(span.count()));
        spans.truncate(most);
    }
    spans
}

/// The length of an address: its family and 16 bytes.
const ADDRESS: usize = 17;

fn put_address(bytes: &mut Vec<u8>, address: IpAddr) {
    let (family, number) = match address {
        IpAddr::V4(v4) => (4, u128::from(u32::from(v4))),
        IpAddr::V6(v6) => (6, u128::from(v6)),
    };
    bytes.push(family);
    bytes.extend(number.to_le_bytes());
}

fn take_address(bytes: &mut &[u8]) -> Option<IpAddr> {
    let ([family], number) = (take(bytes)?, u128::from_le_bytes(take(bytes)?));
    match family {
        4 => Some(Ipv4Addr::from(u32::try_from(number).ok()?).into()),
        6 => Some(Ipv6Addr::from(number).into()),
        _ => None,
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests;
