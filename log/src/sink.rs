//! Where lines go. A line that can't be written is lost: no program fails because its log does.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FileType, Mode, OFlags};

use crate::Line;

/// A place for lines.
#[derive(Debug)]
pub enum Sink {
    /// Standard error, each line with its time.
    Stderr,
    /// Standard error where that is the journal, which has times of its own, and takes a priority.
    Journal,
    /// A file that lines are added to.
    File(File),
}

/// A file that the log can't be added to.
#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    /// It can't be opened, or made.
    #[error("cannot log to {path}: {source}")]
    Open {
        /// Which one.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// It could be a file that something else reads.
    #[error("cannot log to {path}: it is {found}, expected {expected}")]
    NoLog {
        /// Which one.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

impl Sink {
    /// Standard error, in the journal's form where it leads there.
    #[must_use]
    pub fn stderr() -> Self {
        let names = std::env::var("JOURNAL_STREAM").ok();
        if names.is_some_and(|names| is_stderr(&names)) { Self::Journal } else { Self::Stderr }
    }

    /// A file that the operator has named; it is made where it isn't there.
    pub fn file(path: &Path) -> Result<Self, OpenLogError> {
        open(path).map(Self::File)
    }

    /// A file that the configuration of a network has named. Who may write such a configuration is not always root:
    /// what is no log by its name is left alone, as a line in it could mean something to another program.
    pub fn file_of_network(path: &Path) -> Result<Self, OpenLogError> {
        let is_named_so = path.extension().is_some_and(|extension| extension == "log");
        let is_below = path.starts_with("/var/log");
        let is_plain = !path.components().any(|part| part == Component::ParentDir);
        if is_plain && (is_named_so || is_below) {
            return Self::file(path);
        }
        let (path, found) = (path.to_owned(), "another file");
        let expected = "one below /var/log, or a name that ends in .log";
        Err(OpenLogError::NoLog { path, found, expected })
    }

    /// Writes a line, in one system call.
    pub fn write(&self, line: &Line) {
        // There is nobody to be told that it failed.
        let _ = match self {
            Self::Stderr => io::stderr().write_all(line.timed(SystemTime::now()).as_bytes()),
            Self::Journal => io::stderr().write_all(line.for_journal().as_bytes()),
            Self::File(file) => (&mut &*file).write_all(line.timed(SystemTime::now()).as_bytes()),
        };
    }
}

/// Whether standard error is the socket that `JOURNAL_STREAM` names by device and inode, and was not led elsewhere.
fn is_stderr(names: &str) -> bool {
    rustix::fs::fstat(io::stderr())
        .is_ok_and(|stat| names == format!("{}:{}", stat.st_dev, stat.st_ino))
}

fn open(path: &Path) -> Result<File, OpenLogError> {
    let fails = |source: rustix::io::Errno| OpenLogError::Open {
        path: path.to_owned(),
        source: source.into(),
    };
    let wrong = |found, expected| OpenLogError::NoLog { path: path.to_owned(), found, expected };
    if !path.is_absolute() {
        return Err(wrong("relative", "an absolute path"));
    }
    // Whoever waits for a reader of a FIFO would wait for ever.
    let how = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, how, Mode::from_raw_mode(0o640)).map_err(fails)?;
    let stat = rustix::fs::fstat(&file).map_err(fails)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(wrong("no regular file", "a file of its own"));
    }
    if stat.st_nlink > 1 {
        return Err(wrong("a file with another name", "a file of its own"));
    }
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::Level;

    #[test]
    fn lines_are_added_to_a_file_that_others_can_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("linkspan.log");
        for message in ["one", "two"] {
            Sink::file_of_network(&path).unwrap().write(&Line::new(Level::Info, message));
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(lines, ["level=info msg=one", "level=info msg=two"]);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}");
    }

    #[test]
    fn what_is_no_log_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("other"), "as it was").unwrap();
        symlink(path("other"), path("symlink.log")).unwrap();
        fs::hard_link(path("other"), path("hardlink.log")).unwrap();
        fs::create_dir(path("folder.log")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo.log"), Mode::RWXU).unwrap();
        let table = [
            (path("symlink.log"), "Too many levels of symbolic links"),
            (path("hardlink.log"), "a file with another name, expected a file of its own"),
            (path("folder.log"), "Is a directory"),
            (path("fifo.log"), "No such device or address"),
            (path("none/a.log"), "No such file or directory"),
            (
                path("other"),
                "another file, expected one below /var/log, or a name that ends in .log",
            ),
            ("/var/log/../../etc/x".into(), "another file"),
            ("a.log".into(), "relative, expected an absolute path"),
            ("/dev/null".into(), "another file"),
        ];
        for (path, reason) in table {
            let error = Sink::file_of_network(&path).unwrap_err().to_string();
            assert!(error.starts_with(&format!("cannot log to {}: ", path.display())), "{error}");
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(fs::read(path("other")).unwrap(), b"as it was");
        let error = Sink::file(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(error.contains("no regular file"), "{error}");
    }
}
