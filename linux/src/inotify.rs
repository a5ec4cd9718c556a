//! What happens to the entries of a directory: how a socket that another program makes anew, and a
//! file that somebody edits, is noticed.

use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::readable::readable;

/// A directory whose entries are watched.
#[derive(Debug)]
pub struct DirectoryWatch {
    inotify: AsyncFd<OwnedFd>,
}

/// What happened in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryEvent {
    /// An entry was made or moved here.
    Appeared(OsString),
    /// An entry was removed or moved away.
    Gone(OsString),
    /// A file that was open for writing was closed.
    Written(OsString),
    /// More happened than the kernel could keep: look at the directory itself.
    Lost,
    /// The directory itself is no longer there, and will never be heard of again.
    DirectoryGone,
}

impl DirectoryWatch {
    /// Watches a directory from now on. To be called in a tokio runtime.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let what = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&inotify, directory, what)?;
        Ok(Self { inotify: readable(inotify)? })
    }

    /// Waits until something has happened since the last call, and returns all of it.
    pub async fn events(&self) -> io::Result<Vec<DirectoryEvent>> {
        self.inotify.async_io(Interest::READABLE, read).await
    }
}

fn read(inotify: &OwnedFd) -> io::Result<Vec<DirectoryEvent>> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(inotify, &mut buffer);
    let mut events = Vec::new();
    loop {
        let event = reader.next()?;
        let name = event.file_name().map(|name| OsString::from_vec(name.to_bytes().to_vec()));
        let has = |flags| event.events().intersects(flags);
        events.push(match name {
            _ if has(ReadFlags::QUEUE_OVERFLOW) => DirectoryEvent::Lost,
            None => DirectoryEvent::DirectoryGone,
            Some(name) if has(ReadFlags::CREATE | ReadFlags::MOVED_TO) => {
                DirectoryEvent::Appeared(name)
            }
            Some(name) if has(ReadFlags::CLOSE_WRITE) => DirectoryEvent::Written(name),
            Some(name) => DirectoryEvent::Gone(name),
        });
        if reader.is_buffer_empty() {
            return Ok(events);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::fs;

    use super::*;

    #[tokio::test]
    async fn entries_that_come_and_go_are_seen() {
        let directory = tempfile::tempdir().unwrap();
        let watch = DirectoryWatch::new(directory.path()).unwrap();
        let socket = directory.path().join("kubelet.sock");
        fs::write(&socket, "").unwrap();
        fs::rename(&socket, directory.path().join("old")).unwrap();
        let expected = [
            DirectoryEvent::Appeared("kubelet.sock".into()),
            DirectoryEvent::Written("kubelet.sock".into()),
            DirectoryEvent::Gone("kubelet.sock".into()),
            DirectoryEvent::Appeared("old".into()),
        ];
        assert_eq!(watch.events().await.unwrap(), expected);
        fs::remove_dir_all(directory.path()).unwrap();
        assert!(watch.events().await.unwrap().contains(&DirectoryEvent::DirectoryGone));
    }

    #[tokio::test]
    async fn only_a_directory_can_be_watched() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DirectoryWatch::new(file.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }
}
