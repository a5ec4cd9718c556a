//! The journal: for each attachment one record, complete on disk before the first change to the kernel and
//! gone after the last, so that whoever was killed in between left enough to undo its work.
//!
//! The records are files of `/run/linkspan/attachments`. A file's name says whose record it is and what the
//! attachment claims, so that nothing but the one that is wanted is ever opened.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use linkspan_config::{ContainerId, NetworkName};
use linkspan_linux::rename_new;
use linkspan_types::IfName;
use serde::{Deserialize, Serialize};

use crate::ipam::IpamRecord;
use crate::kind::{Claim, LinkRecord};
use crate::spec::AttachmentId;

/// Which attachment: one interface of one pod on one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentKey {
    /// The network's name.
    pub network: NetworkName,
    /// The ID of the pod's sandbox.
    pub container: ContainerId,
    /// The name of the interface in the pod.
    pub interface: IfName,
}

impl AttachmentKey {
    /// The key of an attachment to a network.
    #[must_use]
    pub fn new(network: &NetworkName, id: &AttachmentId) -> Self {
        Self {
            network: network.clone(),
            container: id.container_id.clone(),
            interface: id.if_name.clone(),
        }
    }

    /// The key without its network.
    #[must_use]
    pub fn id(&self) -> AttachmentId {
        AttachmentId { container_id: self.container.clone(), if_name: self.interface.clone() }
    }
}

impl std::fmt::Display for AttachmentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { network, container, interface } = self;
        write!(f, "interface {interface} of container {container} on network {network}")
    }
}

/// All that is needed to undo an attachment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Whose record this is.
    pub key: AttachmentKey,
    /// The pod's namespace and name, such as `default/web-0`, where the runtime says them. For people only.
    #[serde(default)]
    pub pod: Option<String>,
    /// The path of the pod's network namespace.
    pub netns: PathBuf,
    /// The link: what was to be made or changed, and what it was like before.
    pub link: LinkRecord,
    /// Who gave the attachment its addresses.
    pub ipam: IpamRecord,
    /// The file that tells others which device the pod has.
    pub device_info: Option<PathBuf>,
}

/// The folder of records.
#[derive(Clone, Debug)]
pub struct Journal {
    folder: PathBuf,
}

/// A record is written in microseconds; only a writer that was killed takes longer than this.
const WRITERS_BOUND: Duration = Duration::from_mins(1);

/// A record that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was to be done: "read", "write", ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// An attachment has a record, which tells of a link that may be there.
    #[error("{0} has a record already")]
    Recorded(Box<AttachmentKey>),
    /// A file that no version of this program wrote.
    #[error("{path} is not a record of an attachment")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Where and why it can't be read.
        #[source]
        source: serde_json::Error,
    },
}

impl Journal {
    /// The journal below a state folder such as `/run/linkspan`.
    #[must_use]
    pub fn below(state: &Path) -> Self {
        Self { folder: state.join("attachments") }
    }

    /// Writes a record, whole or not at all: beside its place first, then renamed, never over another one. There
    /// is no `fsync`: the folder is of this boot only, as is all that the record describes.
    pub fn write(&self, record: &Record) -> Result<(), JournalError> {
        let name = name_of(&record.key, &record.link.claim());
        let path = self.folder.join(&name);
        let beside = self.folder.join(format!(".{name}"));
        let text = serde_json::to_vec(record)
            .map_err(|source| JournalError::Unreadable { path: path.clone(), source })?;
        in_private_folder(&self.folder, || write_private(&beside, &text))?
            .and_then(|()| rename_new(&beside, &path))
            .map_err(|source| {
                let _ = fs::remove_file(&beside);
                match source.kind() {
                    io::ErrorKind::AlreadyExists => {
                        JournalError::Recorded(record.key.clone().into())
                    }
                    _ => JournalError::Io { action: "write", path, source },
                }
            })
    }

    /// The records of an attachment, of which a runtime that calls ADD twice can have made two. What a writer
    /// that was killed has left of one is removed: no kernel change was made yet, and nothing else knows of it.
    pub fn settle(&self, key: &AttachmentKey) -> Result<Vec<Record>, JournalError> {
        let prefix = prefix_of(key);
        let mut records = Vec::new();
        for name in self.entries()? {
            if let Some(claim) = name.strip_prefix(&prefix) {
                // A `=` in it shows that it is the record of another interface, whose name has one.
                let record = if claim.contains('=') { None } else { self.read(&name)? };
                // A shortened name may, once in ages, be another one's too.
                records.extend(record.filter(|record| record.key == *key));
            } else if name.strip_prefix('.').is_some_and(|draft| draft.starts_with(&prefix)) {
                Self::remove_file(self.folder.join(name))?;
            }
        }
        Ok(records)
    }

    /// A record of an attachment.
    pub fn find(&self, key: &AttachmentKey) -> Result<Option<Record>, JournalError> {
        // Most attachments claim nothing, and so the folder need not be read.
        if let Some(record) = self.read(&name_of(key, &Claim::Nothing))? {
            return Ok(Some(record).filter(|record| record.key == *key));
        }
        let prefix = prefix_of(key);
        let is_claim = |rest: &str| !rest.contains('=');
        let record = self.first(|name| name.strip_prefix(&prefix).is_some_and(is_claim))?;
        // A shortened name may, once in ages, be another one's too.
        Ok(record.filter(|record| record.key == *key))
    }

    /// The record of the attachment that has a claim.
    pub fn holder(&self, claim: &Claim) -> Result<Option<Record>, JournalError> {
        let suffix = format!("={claim}");
        self.first(|name| name.ends_with(&suffix))
    }

    /// Whether any attachment but this one has a claim.
    pub fn is_shared(&self, claim: &Claim, by: &AttachmentKey) -> Result<bool, JournalError> {
        let (own, suffix) = (name_of(by, claim), format!("={claim}"));
        Ok(self.names()?.iter().any(|name| name.ends_with(&suffix) && *name != own))
    }

    /// What of the claims is claimed, each with its file's name before it.
    pub fn claims(&self) -> Result<Vec<String>, JournalError> {
        let claim = |name: &String| name.rsplit_once('=').map(|(_, claim)| claim.to_owned());
        Ok(self.names()?.iter().filter_map(claim).collect())
    }

    /// All records.
    pub fn all(&self) -> Result<Vec<Record>, JournalError> {
        let names = self.names()?;
        names.iter().filter_map(|name| self.read(name).transpose()).collect()
    }

    /// Removes a record; one that is not there is as good.
    pub fn remove(&self, record: &Record) -> Result<(), JournalError> {
        Self::remove_file(self.folder.join(name_of(&record.key, &record.link.claim())))
    }

    /// The drafts that killed writers have left: older than any writer takes.
    pub fn left_drafts(&self) -> Result<Vec<PathBuf>, JournalError> {
        let drafts = self.entries()?.into_iter().filter(|name| name.starts_with('.'));
        let drafts = drafts.map(|name| self.folder.join(name));
        let is_left = |path: &PathBuf| {
            let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
            modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > WRITERS_BOUND))
        };
        Ok(drafts.filter(is_left).collect())
    }

    /// Removes one of them.
    pub fn discard_draft(&self, path: &Path) -> Result<(), JournalError> {
        Self::remove_file(path.to_owned())
    }

    /// Removes what killed writers have left of the records of all attachments of a network but these.
    pub fn discard_other_drafts(
        &self,
        network: &NetworkName,
        but: &[AttachmentKey],
    ) -> Result<(), JournalError> {
        let of_network = format!(".{}=", network.shortened());
        let kept: Vec<String> = but.iter().map(|key| format!(".{}", prefix_of(key))).collect();
        for name in self.entries()?.iter().filter(|name| name.starts_with(&of_network)) {
            if !kept.iter().any(|prefix| name.starts_with(prefix)) {
                Self::remove_file(self.folder.join(name))?;
            }
        }
        Ok(())
    }

    fn first(&self, wanted: impl Fn(&str) -> bool) -> Result<Option<Record>, JournalError> {
        let names = self.names()?;
        names.iter().find(|name| wanted(name)).map_or(Ok(None), |name| self.read(name))
    }

    fn remove_file(path: PathBuf) -> Result<(), JournalError> {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(JournalError::Io { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// The names of the records. One that starts with a dot is being written, or its writer was killed.
    fn names(&self) -> Result<Vec<String>, JournalError> {
        Ok(self.entries()?.into_iter().filter(|name| !name.starts_with('.')).collect())
    }

    fn entries(&self) -> Result<Vec<String>, JournalError> {
        let failed =
            |source| JournalError::Io { action: "read", path: self.folder.clone(), source };
        let entries = match fs::read_dir(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        Ok(names)
    }

    /// A record that is removed before it is read is none.
    fn read(&self, name: &str) -> Result<Option<Record>, JournalError> {
        let path = self.folder.join(name);
        let text = match fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|source| JournalError::Io {
                action: "read",
                path: path.clone(),
                source,
            })?,
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| JournalError::Unreadable { path, source })
    }
}

/// The name of a record's file. While it is being written it has a dot before it; no two write the same, as
/// a runtime does not call twice at once for one attachment.
fn name_of(key: &AttachmentKey, claim: &Claim) -> String {
    format!("{}{claim}", prefix_of(key))
}

/// `=` stands in none of the parts but an interface's name, and a claim is always the last part.
fn prefix_of(key: &AttachmentKey) -> String {
    let (network, container) = (key.network.shortened(), key.container.shortened());
    format!("{network}={container}={}=", key.interface)
}

/// Does what makes a file in a folder that only root can look into, and makes the folder first where it is
/// missing, as it is once in a boot.
pub fn in_private_folder<T>(
    folder: &Path,
    make: impl Fn() -> io::Result<T>,
) -> Result<io::Result<T>, JournalError> {
    match make() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        done => return Ok(done),
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| JournalError::Io { action: "create", path: folder.to_owned(), source })?;
    Ok(make())
}

fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?
        .write_all(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::sriov::VfRecord;

    fn key(network: &str, container: &str, interface: &str) -> AttachmentKey {
        AttachmentKey {
            network: network.parse().expect("a network name"),
            container: container.parse().expect("a container ID"),
            interface: interface.parse().expect("an interface name"),
        }
    }

    fn record(key: AttachmentKey, device: &str) -> Record {
        Record {
            key,
            pod: None,
            netns: "/run/netns/a".into(),
            link: LinkRecord::Vf(VfRecord::of_tests(device.parse().expect("a PCI address"))),
            ipam: IpamRecord::None,
            device_info: None,
        }
    }

    #[test]
    fn a_record_is_found_by_its_attachment_and_by_its_device() {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Journal::below(folder.path());
        let key = key("fast", "c1", "net1");
        assert_eq!(journal.find(&key).expect("no folder is no record"), None);

        let record = record(key.clone(), "0000:01:10.0");
        journal.write(&record).expect("written");
        let other = Record { netns: "/run/netns/b".into(), ..record.clone() };
        assert!(matches!(journal.write(&other), Err(JournalError::Recorded(_))));
        assert_eq!(journal.settle(&key).expect("read"), std::slice::from_ref(&record));
        assert_eq!(journal.find(&key).expect("read"), Some(record.clone()));
        assert_eq!(journal.holder(&record.link.claim()).expect("read"), Some(record.clone()));
        assert_eq!(journal.all().expect("read"), std::slice::from_ref(&record));

        for _ in 0..2 {
            journal.remove(&record).expect("removing twice is fine");
            assert_eq!(journal.find(&key).expect("read"), None);
        }
    }

    #[test]
    fn records_that_look_alike_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Journal::below(folder.path());
        let long = "n".repeat(250);
        let keys = [
            key("a", "b", "c=d"),
            key("a", "b", "c"),
            key("a", "b", "d"),
            key("a", "b.c", "d"),
            key(&long, &long, "net1"),
            key(&format!("{long}m"), &long, "net1"),
        ];
        for (n, key) in keys.iter().enumerate() {
            journal.write(&record(key.clone(), &format!("0000:01:10.{n}"))).expect("written");
        }
        for (n, key) in keys.iter().enumerate() {
            let found = journal.find(key).expect("read").expect("a record");
            assert_eq!(found.key, *key);
            assert_eq!(found.link.claim().to_string(), format!("0000:01:10.{n}"));
        }
    }

    #[test]
    fn what_a_killed_writer_left_is_no_record_and_a_foreign_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Journal::below(folder.path());
        let key = key("fast", "c1", "net1");
        let dir = folder.path().join("attachments");
        fs::create_dir(&dir).expect("created");
        let draft = dir.join(format!(".{}", name_of(&key, &Claim::Nothing)));
        fs::write(&draft, "{\"key\":").expect("written");
        assert_eq!(journal.all().expect("read"), []);
        assert_eq!(
            journal.settle(&super::tests::key("fast", "c1", "net2")).expect("another's"),
            []
        );
        assert!(draft.exists(), "another attachment's draft is left alone");
        assert_eq!(journal.settle(&key).expect("removed"), []);
        assert!(!draft.exists());

        let foreign = dir.join("fast=c1=net1=0000:01:10.0");
        fs::write(&foreign, "{}").expect("written");
        let error = journal.find(&key).expect_err("no record");
        assert_eq!(
            error.to_string(),
            format!("{} is not a record of an attachment", foreign.display())
        );
    }
}
