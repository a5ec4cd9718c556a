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
    /// Another program listens there.
    #[error(
        "cannot listen on {}: another program does, expected nobody or the socket of an earlier run; end \
         the other one, or name another path",
        .0.display()
    )]
    Served(PathBuf),
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

    /// As [`Self::listen`], where nobody else listens there now.
    pub fn listen_alone(path: PathBuf) -> Result<(Self, UnixListener), ServeError> {
        match std::os::unix::net::UnixStream::connect(&path) {
            Ok(_) => Err(ServeError::Served(path)),
            Err(_) => Self::listen(path),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_socket_of_an_earlier_run_is_replaced_and_one_that_is_served_only_by_who_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (first, _listener) = SocketFile::listen_alone(path.clone()).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let refused = SocketFile::listen_alone(path.clone()).unwrap_err();
        assert!(matches!(refused, ServeError::Served(_)), "{refused}");
        let (second, _) = SocketFile::listen(path.clone()).unwrap();
        assert!(!first.is_in_place() && second.is_in_place());
        drop(first);
        assert!(path.exists(), "it is the other one's");
        drop(second);
        assert!(!path.exists());
        std::fs::write(&path, "").unwrap();
        let refused = SocketFile::listen(path.clone()).unwrap_err();
        assert!(matches!(refused, ServeError::Taken(_)), "{refused}");
    }
}
