//! Where the bed keeps what it made: kernel, virtme-ng, apt lists, the outcome of the KVM probe.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::{FdFlags, fcntl_setfd};

use crate::report::Progress;

/// The file that says that a folder is complete, and what it was made from.
const COMPLETE: &str = ".complete";

/// The cache folder, outside the tree so that `cargo clean` spares it.
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$LINKSPAN_BED_CACHE`, `$XDG_CACHE_HOME/linkspan-bed` or `~/.cache/linkspan-bed`.
    pub(crate) fn locate() -> Result<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let root = set("LINKSPAN_BED_CACHE")
            .map(PathBuf::from)
            .or_else(|| set("XDG_CACHE_HOME").map(|dir| Path::new(&dir).join("linkspan-bed")))
            .or_else(|| set("HOME").map(|dir| Path::new(&dir).join(".cache/linkspan-bed")))
            .context("neither LINKSPAN_BED_CACHE nor HOME is set: set one of them")?;
        let root = std::path::absolute(root)?;
        fs::create_dir_all(&root).with_context(|| format!("can't make {}", root.display()))?;
        Ok(Self { root })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Keeps other processes from preparing at the same time, until the file is dropped.
    ///
    /// The lock passes on to child processes: if this one is killed, the next preparation waits
    /// for those that it started.
    pub(crate) fn lock(&self, progress: &Progress) -> Result<File> {
        let file = File::create(self.path("lock"))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            progress.say("waiting for another preparation to end");
            flock(&file, FlockOperation::LockExclusive)?;
        }
        fcntl_setfd(&file, FdFlags::empty())?;
        Ok(file)
    }

    /// Whether the folder `name` was completed from `recipe`.
    pub(crate) fn is_complete(&self, name: &str, recipe: &str) -> bool {
        fs::read_to_string(self.path(name).join(COMPLETE)).is_ok_and(|made| made == recipe)
    }

    /// Fills the folder `name` by `make`, unless it was completed from the same recipe before.
    /// What a killed attempt left is removed first.
    pub(crate) fn complete(
        &self,
        name: &str,
        recipe: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        if self.is_complete(name, recipe) {
            return Ok(());
        }
        let folder = self.path(name);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("can't clear {}", folder.display()));
            }
            _ => {}
        }
        fs::create_dir_all(&folder)?;
        make(&folder)?;
        fs::write(folder.join(COMPLETE), recipe)?;
        Ok(())
    }
}
