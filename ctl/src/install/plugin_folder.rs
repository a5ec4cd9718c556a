//! The folder in which a container runtime looks for plugins, and how programs get in and out of it: whole, at
//! once, and so that whoever is killed in between, at any point, left what the next install or uninstall needs.
//!
//! What is needed for that is kept in the folder's own folder `.linkspan`, on the same file system: `programs/`
//! are the programs that were put in, `taken/` has an empty file for each name that was taken, and `replaced/`
//! what stood there before. A file is ours if it has the bytes of one of `programs/`, whoever copied it: so each
//! name is a file of its own, and what is copied over one of them leaves the others alone.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A folder of plugins, locked for as long as this is there.
pub(super) struct PluginFolder {
    folder: PathBuf,
    own: PathBuf,
    /// The folder itself.
    _lock: File,
}

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The program stands there; nothing did before.
    Installed,
    /// It stands there, and what did before is kept.
    Replaced,
    /// It stands there in the place of another version of it.
    Updated,
    /// It stood there already.
    Unchanged,
    /// What was replaced stands there again.
    Restored,
    /// Nothing stands there, as before.
    Removed,
    /// Somebody else's file stands there, put there meanwhile, and stays.
    LeftAlone,
}

/// A step that could not be done.
#[derive(Debug, Error)]
#[error("cannot {action} {}", path.display())]
pub(super) struct FolderError {
    /// What was to be done: "read", "write", ...
    action: &'static str,
    /// The file or folder.
    path: PathBuf,
    /// The system's word.
    #[source]
    source: io::Error,
}

impl FolderError {
    /// What to do.
    pub(super) fn advice(&self) -> String {
        if self.action == "lock" && self.source.kind() == io::ErrorKind::NotFound {
            let folder = self.path.display();
            return format!(
                "Name the folder where the container runtime looks for plugins, by --into or --from (containerd's \
                 bin_dir), or make this one: mkdir -p {folder}"
            );
        }
        "Run this as root, and with a folder of the node's own that can be written: --into, --from"
            .to_owned()
    }
}

/// The plugin's own name, which is always taken.
pub(super) const PLUGIN: &str = "linkspan";
/// The command line's, which the plugin looks for beside itself.
const COMMAND_LINE: &str = "linkspan-ctl";

/// The programs of one release.
pub(super) struct Programs {
    plugin: Vec<u8>,
    command_line: Vec<u8>,
}

impl Programs {
    /// Those that this program is of: itself, and the plugin beside it.
    pub(super) fn running() -> Result<Self, FolderError> {
        let own = Path::new("/proc/self/exe");
        let command_line = fs::read(own).map_err(failed("read", own))?;
        let here = fs::read_link(own).map_err(failed("read", own))?;
        let plugin = here.with_file_name(PLUGIN);
        Ok(Self { plugin: fs::read(&plugin).map_err(failed("read", &plugin))?, command_line })
    }

    /// The one that belongs under a name: the plugin answers to all but one.
    fn of(&self, name: &str) -> &[u8] {
        if name == COMMAND_LINE { &self.command_line } else { &self.plugin }
    }
}

const EVERYBODY_RUNS: u32 = 0o755;
const EVERYBODY_LOOKS: u32 = 0o755;

impl PluginFolder {
    /// Waits until nobody else changes the folder.
    pub(super) fn lock(folder: &Path) -> Result<Self, FolderError> {
        let lock = File::open(folder)
            .and_then(|lock| lock.lock().map(|()| lock))
            .map_err(failed("lock", folder))?;
        Ok(Self { folder: folder.to_owned(), own: folder.join(".linkspan"), _lock: lock })
    }

    /// Puts the programs there under their own names and the plugin under these others, gives back names that were
    /// taken before and aren't among them, and tells what became of each.
    pub(super) fn install(
        &self,
        programs: &Programs,
        others: &[String],
    ) -> Result<Vec<(OsString, Outcome)>, FolderError> {
        self.make_own_folders()?;
        self.know(&programs.command_line)?;
        let known = self.know(&programs.plugin)?;
        let wanted = || [COMMAND_LINE, PLUGIN].into_iter().chain(others.iter().map(String::as_str));
        let mut outcomes = Vec::new();
        for name in self.taken()? {
            if !wanted().any(|wanted| *name == *wanted) {
                let outcome = self.give_back(&name, &known)?;
                outcomes.push((name, outcome));
            }
        }
        for name in wanted() {
            outcomes.push((name.into(), self.take(OsStr::new(name), programs.of(name), &known)?));
        }
        self.forget_all_but(programs)?;
        Ok(outcomes)
    }

    /// Gives back all names, and keeps nothing. Nothing is told where nothing was installed.
    pub(super) fn uninstall(&self) -> Result<Vec<(OsString, Outcome)>, FolderError> {
        let known: Vec<_> = self.known()?.into_iter().map(|(_, program)| program).collect();
        let mut outcomes = Vec::new();
        for name in self.taken()? {
            let outcome = self.give_back(&name, &known)?;
            outcomes.push((name, outcome));
        }
        match fs::remove_dir_all(&self.own) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &self.own)(error))
            }
            _ => sync(&self.folder).map(|()| outcomes),
        }
    }

    /// Takes one name. First that it is taken is on disk, then what stands there is kept, then the program takes its
    /// place: there is no moment without a file that was there.
    fn take(
        &self,
        name: &OsStr,
        program: &[u8],
        known: &[Vec<u8>],
    ) -> Result<Outcome, FolderError> {
        let path = self.folder.join(name);
        let stands = look(&path, known)?;
        let marker = self.of("taken").join(name);
        if !exists(&marker)? {
            File::create(&marker).map_err(failed("write", &marker))?;
            sync(&self.of("taken"))?;
        }
        let outcome = match stands {
            Stands::Ours(there) if there == program => return Ok(Outcome::Unchanged),
            Stands::Ours(_) => Outcome::Updated,
            Stands::Nothing => Outcome::Installed,
            Stands::Foreign => {
                self.keep(name)?;
                Outcome::Replaced
            }
        };
        let draft = self.write_draft(program)?;
        fs::rename(&draft, &path).map_err(failed("write", &path))?;
        sync(&self.folder)?;
        Ok(outcome)
    }

    /// Keeps what stands under a name, which stays where it is. What was kept before was replaced since, by
    /// somebody else.
    fn keep(&self, name: &OsStr) -> Result<(), FolderError> {
        let (path, kept) = (self.folder.join(name), self.of("replaced").join(name));
        let draft = self.own.join("kept");
        remove(&draft)?;
        // Of a symbolic link it is the link that is kept.
        fs::hard_link(&path, &draft).map_err(failed("keep", &path))?;
        fs::rename(&draft, &kept).map_err(failed("keep", &path))?;
        // Where both names are of one file already, the system has renamed nothing.
        remove(&draft)?;
        sync(&self.of("replaced"))
    }

    /// Puts back what a name stood for, unless it stands for somebody else's file by now.
    fn give_back(&self, name: &OsStr, known: &[Vec<u8>]) -> Result<Outcome, FolderError> {
        let (path, kept) = (self.folder.join(name), self.of("replaced").join(name));
        let outcome = match (look(&path, known)?, exists(&kept)?) {
            (Stands::Foreign, _) => {
                remove(&kept)?;
                Outcome::LeftAlone
            }
            (_, true) => {
                fs::rename(&kept, &path).map_err(failed("restore", &path))?;
                Outcome::Restored
            }
            (_, false) => {
                remove(&path)?;
                Outcome::Removed
            }
        };
        sync(&self.folder)?;
        remove(&self.of("taken").join(name))?;
        Ok(outcome)
    }

    /// Sees to it that what this program will put in place is known as ours before it is, and returns all that is.
    fn know(&self, program: &[u8]) -> Result<Vec<Vec<u8>>, FolderError> {
        let mut known: Vec<_> = self.known()?;
        if !known.iter().any(|(_, known)| known == program) {
            let is_free = |path: &PathBuf| known.iter().all(|(used, _)| used != path);
            let numbered = (0_u64..).map(|number| self.of("programs").join(number.to_string()));
            if let Some(path) = numbered.into_iter().find(is_free) {
                let draft = self.write_draft(program)?;
                fs::rename(&draft, &path).map_err(failed("write", &path))?;
                sync(&self.of("programs"))?;
                known.push((path, program.to_owned()));
            }
        }
        Ok(known.into_iter().map(|(_, program)| program).collect())
    }

    /// The programs that were put in place, with the files that keep them: one release's, but for installs that were
    /// killed.
    fn known(&self) -> Result<Vec<(PathBuf, Vec<u8>)>, FolderError> {
        let folder = self.of("programs");
        let read = |name| {
            let path = folder.join(name);
            fs::read(&path).map_err(failed("read", &path)).map(|program| (path, program))
        };
        entries(&folder)?.into_iter().map(read).collect()
    }

    /// No other program is in place any more.
    fn forget_all_but(&self, programs: &Programs) -> Result<(), FolderError> {
        for (path, known) in self.known()? {
            if known != programs.plugin && known != programs.command_line {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn taken(&self) -> Result<Vec<OsString>, FolderError> {
        entries(&self.of("taken"))
    }

    fn of(&self, part: &str) -> PathBuf {
        self.own.join(part)
    }

    fn make_own_folders(&self) -> Result<(), FolderError> {
        for part in ["programs", "taken", "replaced"] {
            let path = self.of(part);
            DirBuilder::new()
                .recursive(true)
                .mode(EVERYBODY_LOOKS)
                .create(&path)
                .map_err(failed("make", &path))?;
        }
        sync(&self.own)?;
        sync(&self.folder)
    }

    /// Writes a program to where it is nobody's yet, and to the disk.
    fn write_draft(&self, program: &[u8]) -> Result<PathBuf, FolderError> {
        let path = self.own.join("draft");
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(EVERYBODY_RUNS)
                .open(&path)?;
            // Whatever the umask is.
            file.set_permissions(Permissions::from_mode(EVERYBODY_RUNS))?;
            file.write_all(program)?;
            file.sync_all()
        };
        write().map_err(failed("write", &path))?;
        Ok(path)
    }
}

/// What stands under a name.
enum Stands {
    Nothing,
    /// A program that was put there by an install, or is the same.
    Ours(Vec<u8>),
    /// Anything else.
    Foreign,
}

fn look(path: &Path, known: &[Vec<u8>]) -> Result<Stands, FolderError> {
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stands::Nothing),
        Err(error) => return Err(failed("look at", path)(error)),
    };
    // Most are told apart by their size.
    if !about.is_file() || known.iter().all(|program| program.len() as u64 != about.len()) {
        return Ok(Stands::Foreign);
    }
    let there = fs::read(path).map_err(failed("read", path))?;
    Ok(if known.contains(&there) { Stands::Ours(there) } else { Stands::Foreign })
}

fn exists(path: &Path) -> Result<bool, FolderError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

/// The names in a folder in order; none where there is no folder.
fn entries(folder: &Path) -> Result<Vec<OsString>, FolderError> {
    let read = || -> io::Result<Vec<_>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
    };
    let mut names = match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(failed("read", folder))?,
    };
    names.sort();
    Ok(names)
}

/// Removes a file if it is there.
fn remove(path: &Path) -> Result<(), FolderError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Waits until a folder's names are on the disk.
fn sync(folder: &Path) -> Result<(), FolderError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write", folder))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError + use<> {
    let path = path.to_owned();
    move |source| FolderError { action, path, source }
}
