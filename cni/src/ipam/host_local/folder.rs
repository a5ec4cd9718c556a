//! The folder of a network's reservations, file by file, in the reference plugin's layout.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use linkspan_config::NetworkName;

use super::error::{StoreError, failed};
use super::holder::Holder;

/// A folder of reservations.
///
/// A reservation is written beside its place first, under a name that no address has and that only the
/// holder of the lock uses. Nothing is synced to the disk: it means something to this boot's pods only.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

/// A reservation that has no address yet.
const DRAFT: &str = ".linkspan-draft";

/// An address that is taken.
pub(super) struct Reservation {
    /// Who has it.
    pub(super) holder: Holder,
    file: File,
}

impl Reservation {
    /// When the file last changed (ctime), in seconds since 1970. That is when it was made: nobody changes one.
    pub(super) fn made(&self) -> io::Result<i64> {
        Ok(self.file.metadata()?.ctime())
    }
}

impl Folder {
    /// The folder of a network, made where it is missing.
    pub(super) fn make(data_dir: &Path, network: &NetworkName) -> Result<Self, StoreError> {
        if let Ok(Some(found)) = Self::find(data_dir, network) {
            return Ok(found);
        }
        let path = data_dir.join(network.as_str());
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&path);
        made.map_err(failed("create", &path))?;
        Ok(Self { path })
    }

    /// The folder of a network; none where it is missing.
    pub(super) fn find(data_dir: &Path, network: &NetworkName) -> Result<Option<Self>, StoreError> {
        let path = data_dir.join(network.as_str());
        match fs::metadata(&path) {
            Ok(_) => Ok(Some(Self { path })),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("look at", &path)(e)),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the lock, which is held until the file is dropped or its process ends.
    pub(super) fn lock(&self) -> Result<File, StoreError> {
        let path = self.path.join("lock");
        let mut options = OpenOptions::new();
        // The reference plugin locks the same file by the same flock(2), which is what `lock` calls.
        let file = options.read(true).write(true).create(true).mode(0o600).open(&path);
        let file = file.map_err(failed("open", &path))?;
        file.lock().map_err(failed("lock", &path))?;
        Ok(file)
    }

    /// When a file was last made, renamed or removed here; none where that is not a whole second since 1970.
    pub(super) fn modified(&self) -> Result<Option<i64>, StoreError> {
        let metadata = fs::metadata(&self.path).map_err(failed("look at", &self.path))?;
        Ok((metadata.mtime_nsec() == 0).then(|| metadata.mtime()))
    }

    /// Sets that time, in seconds since 1970.
    pub(super) fn set_modified(&self, seconds: u64) -> io::Result<()> {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::open(&self.path)?.set_modified(time)
    }

    /// The addresses that are taken.
    pub(super) fn addresses(&self) -> Result<Vec<IpAddr>, StoreError> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed("list", &self.path))? {
            let name = entry.map_err(failed("list", &self.path))?.file_name();
            let address = name.to_str().and_then(|name| name.parse::<IpAddr>().ok());
            // Any other way to write the address is another file.
            all.extend(address.filter(|address| *address.to_string() == *name));
        }
        Ok(all)
    }

    /// The file of an address, whether it is there or not.
    pub(super) fn file_of(&self, address: IpAddr) -> PathBuf {
        self.path.join(address.to_string())
    }

    /// Whether an address has no file.
    pub(super) fn is_free(&self, address: IpAddr) -> Result<bool, StoreError> {
        let path = self.file_of(address);
        path.try_exists().map(|exists| !exists).map_err(failed("look at", &path))
    }

    /// The reservation of an address.
    pub(super) fn reservation(&self, address: IpAddr) -> Result<Option<Reservation>, StoreError> {
        let path = self.file_of(address);
        let read = |file: File| {
            Ok(Some(Reservation { holder: Holder::of_file(&read_short(&file)?), file }))
        };
        match File::open(&path).and_then(read) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map_err(failed("read", &path)),
        }
    }

    /// Writes a reservation, not yet of any address.
    pub(super) fn draft(&self, holder: &Holder) -> Result<(), StoreError> {
        write_new(&self.path.join(DRAFT), holder.text().as_bytes())
    }

    /// Gives the draft an address, in one step; false where the address is taken.
    pub(super) fn give(&self, address: IpAddr) -> Result<bool, StoreError> {
        let path = self.file_of(address);
        match fs::hard_link(self.path.join(DRAFT), &path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(failed("create", &path)(e)),
        }
    }

    /// Frees an address, if it is taken.
    pub(super) fn remove(&self, address: IpAddr) -> Result<(), StoreError> {
        remove(&self.file_of(address))
    }

    /// Removes the draft, or what a program that was killed has left there.
    pub(super) fn remove_draft(&self) -> Result<(), StoreError> {
        remove(&self.path.join(DRAFT))
    }

    /// The address that a set of ranges gave last, if that is known.
    pub(super) fn last_reserved(&self, set: usize) -> Result<Option<IpAddr>, StoreError> {
        let path = self.last_file(set);
        match File::open(&path).and_then(|file| read_short(&file)) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("read", &path)(e)),
        }
    }

    /// Notes the address that a set of ranges gave last, in place: ext4 writes a file to the disk at once that
    /// replaces another one (`auto_da_alloc` in ext4(5)), which takes longer than all the rest of an ADD. Killed
    /// halfway it may leave another address, from which the set goes on then.
    pub(super) fn set_last_reserved(&self, set: usize, last: IpAddr) -> Result<(), StoreError> {
        let (path, text) = (self.last_file(set), last.to_string());
        let mut options = OpenOptions::new();
        let write = |file: File| {
            file.write_all_at(text.as_bytes(), 0)?;
            let length = text.len() as u64;
            if file.metadata()?.len() > length { file.set_len(length) } else { Ok(()) }
        };
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        file.and_then(write).map_err(failed("write", &path))
    }

    fn last_file(&self, set: usize) -> PathBuf {
        self.path.join(format!("last_reserved_ip.{set}"))
    }
}

/// Removes a file; one that is not there is as good.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(failed("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Writes a file that is not there yet.
pub(super) fn write_new(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content)).map_err(failed("write", path))
}

/// Reads a file that has no more than two names, by one read(2).
pub(super) fn read_short(mut file: &File) -> io::Result<String> {
    let mut bytes = [0; 512];
    let length = file.read(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}
