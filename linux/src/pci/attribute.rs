//! Reading sysfs's files: bounded, trimmed, UTF-8 or refused, with errors that name the file.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::DirEntryExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use linkspan_types::PciAddress;

/// What a sysfs attribute holds at most: one page (the kernel's `Documentation/filesystems/sysfs.rst`).
const ATTRIBUTE_SIZE: usize = 4096;

/// sysfs could not be read, or held something that it never should.
#[derive(Debug, thiserror::Error)]
pub enum SysfsError {
    /// A file, link or directory can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file or link was read, but doesn't hold what it should.
    #[error("{} is {found:?}, expected {expected}", path.display())]
    Unexpected {
        /// What was read.
        path: PathBuf,
        /// What stands there, cut after 64 characters.
        found: String,
        /// What should stand there, as the end of a sentence.
        expected: &'static str,
    },
}

impl SysfsError {
    pub(super) fn unexpected(path: &Path, found: &str, expected: &'static str) -> Self {
        let found = found.chars().take(64).collect();
        Self::Unexpected { path: path.to_owned(), found, expected }
    }

    /// Whether the file isn't there: the device may have gone since its name was read.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        // ENODEV is what an open attribute answers when its device has just gone.
        matches!(self, Self::Read { source, .. }
            if source.kind() == io::ErrorKind::NotFound || source.raw_os_error() == Some(ENODEV))
    }
}

const ENODEV: i32 = 19;

/// An attribute's text, without the white space around it.
pub(super) fn text(path: &Path) -> Result<String, SysfsError> {
    // One more than there can be. sysfs gives the whole of an attribute to one read.
    let mut bytes = [0; ATTRIBUTE_SIZE + 1];
    let length = File::open(path)
        .and_then(|mut file| file.read(&mut bytes))
        .map_err(|source| SysfsError::Read { path: path.to_owned(), source })?;
    let bytes = &bytes[..length];
    let lossy = || String::from_utf8_lossy(bytes);
    if length > ATTRIBUTE_SIZE {
        return Err(SysfsError::unexpected(path, &lossy(), "an attribute of at most 4096 bytes"));
    }
    match str::from_utf8(bytes) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(_) => Err(SysfsError::unexpected(path, &lossy(), "UTF-8 text")),
    }
}

/// An attribute's text, or nothing where there is no such attribute.
pub(super) fn text_if_present(path: &Path) -> Result<Option<String>, SysfsError> {
    match text(path) {
        Err(error) if error.is_missing() => Ok(None),
        result => result.map(Some),
    }
}

/// Nothing where an operation on `path` failed because there is no such path.
pub(super) fn if_present<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>, SysfsError> {
    match result.map_err(|source| SysfsError::Read { path: path.to_owned(), source }) {
        Err(error) if error.is_missing() => Ok(None),
        result => result.map(Some),
    }
}

/// Parses what was read from `path`.
pub(super) fn parse<T: FromStr>(
    path: &Path,
    text: &str,
    expected: &'static str,
) -> Result<T, SysfsError> {
    text.parse().map_err(|_| SysfsError::unexpected(path, text, expected))
}

/// The last part of a path: a link's target, or an entry of a directory.
pub(super) fn file_name(path: &Path) -> Result<&str, SysfsError> {
    let name = path.file_name().unwrap_or_default();
    name.to_str()
        .ok_or_else(|| SysfsError::unexpected(path, &name.to_string_lossy(), "a UTF-8 name"))
}

/// The names in a directory as text, in no order. No part of the kernel gives a name that is not UTF-8; where an
/// administrator did, its strange bytes are replaced.
pub(super) fn entries(directory: &Path) -> Result<Vec<String>, SysfsError> {
    let names = file_names(directory)?;
    Ok(names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect())
}

/// The names in a directory, in no order; none where there is no such directory.
pub(super) fn file_names(directory: &Path) -> Result<Vec<OsString>, SysfsError> {
    Ok(numbered_entries(directory)?.into_iter().map(|entry| entry.name).collect())
}

/// An entry of a directory, with its number in the file system.
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) name: OsString,
}

/// The entries of a directory, in no order; none where there is no such directory.
pub(super) fn numbered_entries(directory: &Path) -> Result<Vec<Entry>, SysfsError> {
    let Some(entries) = if_present(fs::read_dir(directory), directory)? else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for entry in entries {
        // A directory that goes while it is read has no more entries.
        let Some(entry) = if_present(entry, directory)? else { break };
        all.push(Entry { number: entry.ino(), name: entry.file_name() });
    }
    Ok(all)
}

/// The PCI address that a link leads to; nothing where there is no such link.
pub(super) fn linked_address(link: &Path) -> Result<Option<PciAddress>, SysfsError> {
    let Some(target) = if_present(fs::read_link(link), link)? else { return Ok(None) };
    parse(link, file_name(&target)?, "a link to a PCI device").map(Some)
}

/// The last part of what a link leads to; nothing where there is no such link.
pub(super) fn linked_name(link: &Path) -> Result<Option<String>, SysfsError> {
    let Some(target) = if_present(fs::read_link(link), link)? else { return Ok(None) };
    file_name(&target).map(|name| Some(name.to_owned()))
}

/// The names in a directory, each parsed, in order.
pub(super) fn parsed_entries<T: FromStr + Ord>(
    directory: &Path,
    expected: &'static str,
) -> Result<Vec<T>, SysfsError> {
    let mut parsed = entries(directory)?
        .iter()
        .map(|name| parse(&directory.join(name), name, expected))
        .collect::<Result<Vec<T>, _>>()?;
    parsed.sort();
    Ok(parsed)
}
