//! A unix socket that only root can reach, and that goes with its program.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
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

/// What stands where a socket is to be.
enum Place {
    Free,
    /// It may be, for what is there is a socket that nobody listens on.
    Left,
    Taken,
    Served,
}

/// The first pause before another look at a socket that another program serves; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl SocketFile {
    /// Listens on a new socket, in the place of one that an earlier run has left there, and nobody listens on.
    pub fn listen(path: PathBuf) -> Result<(Self, UnixListener), ServeError> {
        let bind = || {
            let listener = bind_for_root(&path)?;
            Ok((listener, identity(&path)?))
        };
        let bound = match Place::look(&path) {
            Ok(Place::Taken) => return Err(ServeError::Taken(path)),
            Ok(Place::Served) => return Err(ServeError::Served(path)),
            Ok(Place::Left) => std::fs::remove_file(&path).and_then(|()| bind()),
            Ok(Place::Free) => bind(),
            Err(error) => Err(error),
        };
        match bound {
            Ok((listener, identity)) => Ok((Self { path, identity }, listener)),
            Err(source) => Err(ServeError::Listen { path, source }),
        }
    }

    /// As [`Self::listen`], but waits for another program that listens there to end.
    pub async fn listen_in_turn(path: PathBuf) -> Result<(Self, UnixListener), ServeError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match Self::listen(path.clone()) {
                Err(error @ ServeError::Served(_)) if pause == FIRST_PAUSE => {
                    tracing::warn!("{error}");
                }
                Err(ServeError::Served(_)) => {}
                outcome => return outcome,
            }
            // No event tells of a program that was killed.
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
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

impl Place {
    fn look(path: &Path) -> io::Result<Self> {
        match path.symlink_metadata() {
            Ok(found) if found.file_type().is_socket() => {}
            Ok(_) => return Ok(Self::Taken),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Free),
            Err(error) => return Err(error),
        }
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let client = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match connect(&client, &SocketAddrUnix::new(path)?) {
            // Nobody has listened since it was made, or nobody is left who did.
            Err(Errno::CONNREFUSED) => Ok(Self::Left),
            Err(Errno::NOENT) => Ok(Self::Free),
            // Somebody who is too busy to answer now, or speaks another way.
            Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Ok(Self::Served),
            Err(error) => Err(error.into()),
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
    async fn a_socket_is_replaced_only_where_nobody_serves_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (first, _listener) = SocketFile::listen(path.clone()).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let refused = SocketFile::listen(path.clone()).unwrap_err();
        assert!(matches!(refused, ServeError::Served(_)), "{refused}");
        std::fs::remove_file(&path).unwrap();
        let (second, other) = SocketFile::listen(path.clone()).unwrap();
        assert!(!first.is_in_place() && second.is_in_place());
        drop(first);
        assert!(path.exists(), "it is the other one's");
        let end = async {
            tokio::task::yield_now().await;
            drop(other);
        };
        let ((), third) = tokio::join!(end, SocketFile::listen_in_turn(path.clone()));
        drop((second, third.unwrap()));
        assert!(!path.exists());
        std::fs::write(&path, "").unwrap();
        let refused = SocketFile::listen(path.clone()).unwrap_err();
        assert!(matches!(refused, ServeError::Taken(_)), "{refused}");
    }
}
