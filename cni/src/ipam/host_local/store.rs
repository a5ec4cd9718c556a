//! The directory of a network's reservations, locked for as long as a value of [`Store`] lives.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use linkspan_config::NetworkName;

use super::error::StoreError;
use crate::spec::AttachmentId;

/// A locked directory of reservations.
///
/// What must be whole is written beside its place first, under names that no address has and that
/// only the holder of the lock uses; what a killed program has left there is replaced. Nothing is
/// synced to the disk: a reservation means something to this boot's pods only.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    /// Closing the file unlocks it.
    _lock: File,
}

const DRAFT: &str = ".linkspan-draft";
const LAST_DRAFT: &str = ".linkspan-draft-last";
/// A reservation has at most the names of a container and an interface.
const FILE_LIMIT: u64 = 4096;

impl Store {
    /// Makes the directory where it is missing, and waits for the lock.
    pub(super) fn open(data_dir: &Path, network: &NetworkName) -> Result<Self, StoreError> {
        let dir = data_dir.join(network.as_str());
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&dir)
            .map_err(failed("create", &dir))?;
        Self::lock(dir)
    }

    /// As `open`, but where there is no directory there is no store.
    pub(super) fn open_existing(
        data_dir: &Path,
        network: &NetworkName,
    ) -> Result<Option<Self>, StoreError> {
        let dir = data_dir.join(network.as_str());
        match fs::metadata(&dir) {
            Ok(_) => Self::lock(dir).map(Some),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("look at", &dir)(e)),
        }
    }

    fn lock(dir: PathBuf) -> Result<Self, StoreError> {
        let path = dir.join("lock");
        let mut options = OpenOptions::new();
        // The reference plugin locks the same file by the same flock(2), which is what `lock` calls.
        let file = options.read(true).write(true).create(true).mode(0o600).open(&path);
        let file = file.map_err(failed("open", &path))?;
        file.lock().map_err(failed("lock", &path))?;
        Ok(Self { dir, _lock: file })
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of an address, whether it is there or not.
    pub(super) fn file_of(&self, address: IpAddr) -> PathBuf {
        self.dir.join(address.to_string())
    }

    /// Who has an address; nobody where there is no file.
    pub(super) fn holder(&self, address: IpAddr) -> Result<Option<Holder>, StoreError> {
        Ok(read(&self.file_of(address))?.map(Holder))
    }

    /// A reservation of this owner, not yet of any address.
    pub(super) fn draft(&self, owner: &AttachmentId) -> Result<Draft<'_>, StoreError> {
        let path = self.dir.join(DRAFT);
        let AttachmentId { container_id, if_name } = owner;
        write_new(&path, &format!("{container_id}\r\n{if_name}"))?;
        Ok(Draft { store: self, path })
    }

    /// Frees an address, if it is taken.
    pub(super) fn remove(&self, address: IpAddr) -> Result<(), StoreError> {
        let path = self.file_of(address);
        gone(fs::remove_file(&path)).map_err(failed("remove", &path))
    }

    /// Every address of an owner. As in the reference plugin, files without an interface, which its
    /// old versions wrote, are the owner's only where there are no others.
    pub(super) fn all_of(&self, owner: &AttachmentId) -> Result<Vec<IpAddr>, StoreError> {
        let (mut own, mut older) = (Vec::new(), Vec::new());
        for (address, holder) in self.all()? {
            if holder.is(owner) {
                own.push(address);
            } else if holder.is_older(owner) {
                older.push(address);
            }
        }
        Ok(if own.is_empty() { older } else { own })
    }

    /// Every address that is taken, and by whom.
    pub(super) fn all(&self) -> Result<Vec<(IpAddr, Holder)>, StoreError> {
        let mut all = Vec::new();
        for address in self.addresses()? {
            all.extend(self.holder(address)?.map(|holder| (address, holder)));
        }
        Ok(all)
    }

    /// Frees every address whose file names nobody, and tells whether there were any: a program that
    /// was killed between making and writing the file has left it, for files are made under the
    /// lock that is held here.
    pub(super) fn remove_unowned(&self) -> Result<bool, StoreError> {
        let mut any = false;
        for (address, holder) in self.all()? {
            if holder.is_nobody() {
                self.remove(address)?;
                any = true;
            }
        }
        Ok(any)
    }

    /// The address that a set of ranges gave last, if that is known.
    pub(super) fn last_reserved(&self, set: usize) -> Result<Option<IpAddr>, StoreError> {
        let text = read(&self.last_file(set))?;
        Ok(text.and_then(|text| text.trim().parse().ok()))
    }

    /// Notes the address that a set of ranges gave last.
    pub(super) fn set_last_reserved(&self, set: usize, last: IpAddr) -> Result<(), StoreError> {
        let (draft, path) = (self.dir.join(LAST_DRAFT), self.last_file(set));
        write_new(&draft, &last.to_string())?;
        fs::rename(&draft, &path).map_err(failed("replace", &path))
    }

    fn last_file(&self, set: usize) -> PathBuf {
        self.dir.join(format!("last_reserved_ip.{set}"))
    }

    fn addresses(&self) -> Result<Vec<IpAddr>, StoreError> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed("list", &self.dir))? {
            let name = entry.map_err(failed("list", &self.dir))?.file_name();
            all.extend(name.to_str().and_then(|name| name.parse::<IpAddr>().ok()));
        }
        Ok(all)
    }
}

/// A whole reservation that waits for a free address; goes with the value.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    store: &'a Store,
    path: PathBuf,
}

impl Draft<'_> {
    /// Gives the reservation an address, in one step; false where the address is taken.
    pub(super) fn reserve(&self, address: IpAddr) -> Result<bool, StoreError> {
        let path = self.store.file_of(address);
        match fs::hard_link(&self.path, &path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(failed("create", &path)(e)),
        }
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        // One that stays does no harm: it is no address, and the next one replaces it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Who has an address, as the file says.
#[derive(Debug)]
pub(super) struct Holder(String);

impl Holder {
    /// Whether it is this attachment.
    pub(super) fn is(&self, owner: &AttachmentId) -> bool {
        let names = self.0.trim().split_once("\r\n");
        names == Some((owner.container_id.as_str(), owner.if_name.as_str()))
    }

    /// Whether it is the container of this attachment, written by an old version that knew of no
    /// interfaces.
    pub(super) fn is_older(&self, owner: &AttachmentId) -> bool {
        self.0.trim() == owner.container_id.as_str()
    }

    /// Whether the file is empty.
    pub(super) fn is_nobody(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_nobody() {
            return f.write_str("nobody");
        }
        // Whoever wrote the file, a message stays one line of text.
        let shown = |text: &str| {
            text.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>()
        };
        match self.0.trim().split_once("\r\n") {
            Some((container, interface)) => {
                write!(f, "interface {} of container {}", shown(interface), shown(container))
            }
            None => write!(f, "container {}", shown(self.0.trim())),
        }
    }
}

/// The error of one action on one path.
fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError { action, path, source }
}

/// That a file is not there is as good as that it was removed.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn read(path: &Path) -> Result<Option<String>, StoreError> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(FILE_LIMIT).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed("read", path)(e)),
    }
}

/// Writes a file that is not there yet. One that is there may be a reservation's other name, so it
/// is unlinked and never written to.
fn write_new(path: &Path, text: &str) -> Result<(), StoreError> {
    gone(fs::remove_file(path)).map_err(failed("remove", path))?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed("write", path))
}
