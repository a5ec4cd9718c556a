//! Where a node keeps what the plugin looks at and what it writes.

use std::fs::File;
use std::path::PathBuf;

use linkspan_linux::pci::Sysfs;
use linkspan_types::PciAddress;

use crate::journal::{Journal, JournalError, create_private_folder};

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

    /// Waits for the lock of a device, which is held until the file is dropped, or its process dies. There
    /// is no bound on the wait but the runtime's: whoever holds the lock is at work on this very device.
    pub fn lock(&self, device: PciAddress) -> Result<File, JournalError> {
        let folder = self.state.join("locks");
        create_private_folder(&folder)?;
        let path = folder.join(device.to_string());
        let lock = || {
            let file = File::options().write(true).create(true).truncate(false).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|source| JournalError::Io { action: "lock", path: path.clone(), source })
    }
}
