//! The programs as an installer leaves them, which is how a node has them.
//!
//! A linker writes its output in many small pieces, and the kernel keeps it in memory as it was written. A copy lies
//! there in large pieces, and a short program starts faster from them: by a tenth of an ADD.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folders of the programs.
pub(crate) struct Installed {
    /// Linkspan under the names of its peers, and the programs that measure.
    pub(crate) linkspan: PathBuf,
    /// The reference plugins.
    pub(crate) reference: PathBuf,
}

impl Installed {
    /// Copies all programs to a folder, those of both sides in the same way.
    pub(crate) fn new(statics: &Path, reference: &Path, folder: &Path) -> Result<Self> {
        let own = copied(&["linkspan", "floor", "launch"], statics, folder.join("linkspan"))?;
        for name in ["macvlan", "host-local", "static", "dhcp"] {
            symlink("linkspan", own.join(name))?;
        }
        let plugins = ["macvlan", "host-local", "static", "dhcp"];
        let reference = copied(&plugins, reference, folder.join("reference"))?;
        Ok(Self { linkspan: own, reference })
    }
}

fn copied(programs: &[&str], from: &Path, to: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&to)?;
    for program in programs {
        let from = from.join(program);
        fs::copy(&from, to.join(program))
            .with_context(|| format!("can't copy {}", from.display()))?;
    }
    Ok(to)
}
