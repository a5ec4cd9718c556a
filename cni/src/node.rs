//! Where a node keeps what the plugin looks at and what it writes.

use std::fs::File;
use std::path::PathBuf;

use linkspan_linux::pci::Sysfs;

use crate::journal::{Journal, JournalError, in_private_folder};
use crate::kind::Claim;

/// The places on a node.
pub struct Node {
    /// The PCI devices.
    pub sysfs: Sysfs,
    /// What lives as long as this boot: journal and locks.
    state: PathBuf,
}

impl Node {
    /// The node that this program runs on.
    #[must_use]
    pub fn host() -> Self {
        Self { sysfs: Sysfs::host(), state: "/run/linkspan".into() }
    }

    /// The journal of attachments.
    #[must_use]
    pub fn journal(&self) -> Journal {
        Journal::below(&self.state)
    }

    /// Waits for the lock of what attachments claim, which is held until the file is dropped, or its process
    /// dies. There is no bound on the wait but the runtime's: whoever holds the lock is at work on this very
    /// thing. Nothing is locked where nothing is claimed.
    pub fn lock(&self, claim: &Claim) -> Result<Option<File>, JournalError> {
        if *claim == Claim::Nothing {
            return Ok(None);
        }
        let folder = self.state.join("locks");
        let path = folder.join(claim.to_string());
        let lock = || {
            let file = File::options().write(true).create(true).truncate(false).open(&path)?;
            file.lock()?;
            Ok(Some(file))
        };
        in_private_folder(&folder, lock)?.map_err(|source| JournalError::Io {
            action: "lock",
            path: path.clone(),
            source,
        })
    }
}
