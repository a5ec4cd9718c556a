//! The leases on disk: one file each, complete or not there, so that a daemon that was killed anywhere is followed by
//! one that knows them all. There is no `fsync`: the folder is of this boot only, as is all that a lease is for.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use linkspan_dhcp::lease::Lease;
use linkspan_dhcp::wishes::Wishes;
use linkspan_types::MacAddr;
use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::warm::{Stage, Warm};

/// All that is to be known of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(flatten)]
    pub(crate) holder: Holder,
    /// Whether the pod was told of its address. One that was not may be the server's word only.
    pub(crate) in_use: bool,
    pub(crate) lease: Lease,
}

impl Record {
    /// Whether no pod has it or is about to.
    pub(crate) fn is_unused(&self) -> bool {
        self.holder.warm.as_ref().is_some_and(|warm| warm.stage != Stage::Taken)
    }
}

/// Whose lease it is, and how it was wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) key: Key,
    /// For people: which pod it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) pod: String,
    /// The path of its network namespace.
    pub(crate) netns: PathBuf,
    pub(crate) mac: MacAddr,
    pub(crate) wishes: Wishes,
    /// Whether the lease is given back when its pod is gone without having done so.
    pub(crate) release_when_gone: bool,
    /// The metric of its routes; none is the kernel's own.
    pub(crate) route_metric: Option<u32>,
    /// Whether its link's MTU is not the server's to make smaller.
    #[serde(default)]
    pub(crate) keeps_mtu: bool,
    /// Where no pod has it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) warm: Option<Warm>,
}

/// The folder of all leases, which is this process's alone.
#[derive(Debug)]
pub(crate) struct LeaseStore {
    folder: PathBuf,
    /// Locked for as long as it is open.
    _lock: File,
}

/// A lease that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("cannot {action} {path}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "cannot create {path}, expected a folder for the leases of this boot: name one that can be \
         made by --lease-dir"
    )]
    NoFolder { path: PathBuf, source: io::Error },
    #[error(
        "{0} is locked, expected that no other daemon keeps leases there: end the other one, or \
         name another folder by --lease-dir"
    )]
    InUse(PathBuf),
    #[error("{path} is no lease: remove it, or what wrote it")]
    Unreadable { path: PathBuf, source: serde_json::Error },
}

const LOCK: &str = "lock";
/// What a file is called while it is written.
const DRAFT: &str = ".draft";

impl LeaseStore {
    /// Makes the folder where it is missing, and locks it.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, StoreError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { action, path, source }
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|source| StoreError::NoFolder { path: folder.clone(), source })?;
        let path = folder.join(LOCK);
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = lock.map_err(failed("open", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path)),
            Err(TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
        }
    }

    /// Writes a lease down.
    pub(crate) fn write(&self, record: &Record) -> Result<(), StoreError> {
        let (draft, path) = (self.folder.join(DRAFT), self.path(&record.holder.key));
        let text = serde_json::to_vec(record)
            .map_err(|source| StoreError::Unreadable { path: path.clone(), source })?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options.open(&draft).and_then(|mut file| file.write_all(&text));
        let written = written.and_then(|()| fs::rename(&draft, &path));
        written.map_err(|source| StoreError::Io { action: "write", path, source })
    }

    /// Forgets a lease; one that is not there is forgotten already.
    pub(crate) fn remove(&self, key: &Key) -> Result<(), StoreError> {
        let path = self.path(key);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::Io { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// All leases, each by itself: one that can't be read is not to hide the others.
    pub(crate) fn all(&self) -> Result<Vec<Result<Record, StoreError>>, StoreError> {
        let failed = |source| StoreError::Io { action: "list", path: self.folder.clone(), source };
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if name != LOCK && name != DRAFT {
                all.push(read(self.folder.join(name)));
            }
        }
        Ok(all)
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(key.file_name())
    }
}

fn read(path: PathBuf) -> Result<Record, StoreError> {
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(source) => return Err(StoreError::Io { action: "read", path, source }),
    };
    serde_json::from_slice(&text).map_err(|source| StoreError::Unreadable { path, source })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use linkspan_dhcp::lease::Settings;
    use linkspan_dhcp::moment::Moment;
    use linkspan_proto::dhcp::Attachment;

    use super::*;

    fn record(network: &str, in_use: bool) -> Record {
        let attachment = Attachment {
            network: network.to_owned(),
            container_id: "c".repeat(255),
            if_name: "net1".to_owned(),
        };
        let lease = Lease {
            address: Ipv4Addr::new(10, 0, 0, 7),
            prefix_length: 24,
            server: Ipv4Addr::new(10, 0, 0, 1),
            server_mac: None,
            renews_at: Moment::from_millis(1),
            rebinds_at: Moment::from_millis(2),
            expires_at: Moment::NEVER,
            settings: Settings::default(),
        };
        let holder = Holder {
            key: Key::try_from(&attachment).unwrap(),
            pod: String::new(),
            netns: "/run/netns/a".into(),
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            wishes: Wishes::default(),
            release_when_gone: true,
            route_metric: Some(7),
            keeps_mtu: false,
            warm: None,
        };
        Record { holder, in_use, lease }
    }

    #[test]
    fn leases_are_found_again_by_the_next_who_opens_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let store = LeaseStore::open(path.clone()).unwrap();
        let long = "n".repeat(255);
        let (first, second) = (record("fast", false), record(&long, true));
        store.write(&first).unwrap();
        store.write(&record("fast", true)).unwrap();
        store.write(&second).unwrap();
        let error = LeaseStore::open(path.clone()).unwrap_err();
        assert!(matches!(error, StoreError::InUse(_)), "{error}");
        drop(store);

        let store = LeaseStore::open(path.clone()).unwrap();
        fs::write(path.join(DRAFT), "{").unwrap();
        let mut found: Vec<Record> =
            store.all().unwrap().into_iter().map(|read| read.unwrap()).collect();
        found.sort_by_key(|record| record.holder.key.network.clone());
        assert_eq!(found, [record("fast", true), second]);
        for _ in 0..2 {
            store.remove(&first.holder.key).unwrap();
        }
        assert_eq!(store.all().unwrap().len(), 1);
    }

    #[test]
    fn who_can_not_make_the_folder_is_told_how_to_name_another() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = LeaseStore::open(file.path().join("leases")).unwrap_err().to_string();
        assert!(
            error.contains("leases, expected a folder") && error.contains("--lease-dir"),
            "{error}"
        );
    }

    #[test]
    fn a_foreign_file_is_named_and_hides_no_lease() {
        let folder = tempfile::tempdir().unwrap();
        let store = LeaseStore::open(folder.path().to_owned()).unwrap();
        store.write(&record("fast", true)).unwrap();
        fs::write(folder.path().join("note"), "{}").unwrap();
        let (good, bad): (Vec<_>, Vec<_>) =
            store.all().unwrap().into_iter().partition(Result::is_ok);
        assert_eq!((good.len(), bad.len()), (1, 1));
        let shown = bad[0].as_ref().unwrap_err().to_string();
        assert!(shown.contains("note is no lease"), "{shown}");
    }
}
