//! Which boot of the machine this is: pods die with it, and what they had reserved is free.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::error::{StoreError, failed};
use super::folder::read_short;

/// What the kernel tells of this boot.
#[derive(Clone, Debug)]
pub(super) struct Boot {
    /// Where proc(5) is.
    proc: PathBuf,
}

/// The number that the kernel draws at each boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BootId(pub(super) u128);

impl Boot {
    /// The boot that this program runs in.
    pub(super) fn current() -> Self {
        Self::below(Path::new("/proc"))
    }

    /// The boot that a folder like `/proc` tells of.
    pub(super) fn below(proc: &Path) -> Self {
        Self { proc: proc.to_owned() }
    }

    /// Its ID.
    pub(super) fn id(&self) -> Result<BootId, StoreError> {
        let path = self.proc.join("sys/kernel/random/boot_id");
        let text = File::open(&path).and_then(|file| read_short(&file));
        let text = text.map_err(failed("read", &path))?;
        // It is a UUID. Were it anything else, one boot would be like another.
        Ok(BootId(u128::from_str_radix(&text.trim().replace('-', ""), 16).unwrap_or_default()))
    }

    /// When it began, in seconds since 1970, by the clock as it is set now; none where the kernel does not
    /// tell.
    pub(super) fn began(&self) -> Result<Option<i64>, StoreError> {
        let path = self.proc.join("stat");
        let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
        Ok(text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()))
    }
}
