//! Archives that have the same bytes wherever and whenever they are made: no times, no owners, and the order in
//! which the files are given.

use std::io::{self, Write as _};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// An archive that is being made, in memory.
pub struct Archive(Builder<Vec<u8>>);

impl Default for Archive {
    fn default() -> Self {
        Self(Builder::new(Vec::new()))
    }
}

impl Archive {
    /// Adds a file, owned by root, that everybody may read.
    pub fn file(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.add(path, EntryType::Regular, 0o644, bytes)
    }

    /// Adds a file that everybody may read and run.
    pub fn program(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.add(path, EntryType::Regular, 0o755, bytes)
    }

    /// Adds a folder.
    pub fn folder(&mut self, path: &str) -> io::Result<()> {
        self.add(&format!("{path}/"), EntryType::Directory, 0o755, &[])
    }

    fn add(&mut self, path: &str, kind: EntryType, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        self.0.append_data(&mut header, path, bytes)
    }

    /// The whole archive.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        self.0.into_inner()
    }
}

/// The same bytes, compressed as gzip does it.
pub fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}
