//! Files that other programs read at any moment: written whole, or not at all.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Writes a file that everybody may read: beside its place first, then renamed.
pub fn write(path: &Path, content: &Value) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    let draft = draft_of(path);
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o644).open(&draft)?;
    write!(file, "{content}")?;
    fs::rename(&draft, path)
}

/// Where a file is while it is written. Only one process writes each of the files, so it needs no name of its own.
#[must_use]
pub fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".linkspan");
    name.into()
}
