//! The cluster's folder, which goes with this program, however that ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// Waits for the end of its input, which is that of the program at the pipe's other end, and removes the folder. Daemons
/// that are just being killed may still write to it.
const KEEPER: &str =
    r#"trap "" HUP INT TERM; read -r _; until rm -rf "$1" 2>/dev/null; do sleep 0.1; done"#;

pub(crate) struct Folder {
    path: PathBuf,
    keeper: Child,
}

impl Folder {
    /// A new folder beside this program: below the tree, which the guest sees.
    pub(crate) fn create() -> Result<Self> {
        let target = std::env::current_exe()?;
        let target = target.parent().context("a program is in a folder")?;
        let path = target.join(format!("e2e-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("can't make {}", path.display()))?;
        // In a session of its own, so that what ends this program leaves it alone.
        let keeper = Command::new("setsid")
            .args(["sh", "-c", KEEPER, "keeper"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("can't run setsid (package util-linux)")?;
        Ok(Self { path, keeper })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It ends the keeper's input first; what it can't do is nothing that a drop could mend.
        let _ = self.keeper.wait();
    }
}
