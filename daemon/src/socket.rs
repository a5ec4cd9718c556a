//! A unix socket that only root can reach, and that goes with its program.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use tokio::net::UnixListener;

/// The file of a socket that is listened on. Dropping it removes it.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode: another program's socket may stand at our path later.
    identity: (u64, u64),
}

/// A socket can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The kernel would not have it.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// There is a file or a folder already.
    #[error(
        "cannot listen on {}: something else is there, expected nothing or the socket of an earlier run; \
         remove it",
        .0.display()
    )]
    Taken(PathBuf),
}

impl SocketFile {
    /// Listens on a new socket, in the place of one that an earlier run has left there.
    pub fn listen(path: PathBuf) -> Result<(Self, UnixListener), ServeError> {
        let bind = || {
            match path.symlink_metadata() {
                Ok(found) if found.file_type().is_socket() => std::fs::remove_file(&path)?,
                Ok(_) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            let listener = bind_for_root(&path)?;
            Ok(Some((listener, identity(&path)?)))
        };
        match bind() {
            Ok(Some((listener, identity))) => Ok((Self { path, identity }, listener)),
            Ok(None) => Err(ServeError::Taken(path)),
            Err(source) => Err(ServeError::Listen { path, source }),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is still there, and no other in its place.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        identity(&self.path).is_ok_and(|now| now == self.identity)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_in_place()
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Binds with mode 0600 from the first moment, which a later chmod could not give.
fn bind_for_root(path: &Path) -> io::Result<UnixListener> {
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    listener
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    path.symlink_metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}
