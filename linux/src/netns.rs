//! Network namespaces: opened for as long as a piece of work needs them, never kept.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::fstat;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// An open network namespace. It lives as long as this value: a pod's namespace that a daemon keeps open
/// can't die, and the VF in it stays lost.
#[derive(Debug)]
pub struct Netns {
    file: File,
}

/// Which namespace a path leads to: two paths with the same identity are the same namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetnsId {
    device: u64,
    inode: u64,
}

/// A path that does not lead to a network namespace.
#[derive(Debug, thiserror::Error)]
pub enum OpenNetnsError {
    /// Nothing is there: the namespace is gone, or never was.
    #[error("network namespace {0} does not exist")]
    Gone(PathBuf),
    /// Something is there, but no namespace; what is left of one whose mount has gone looks like this.
    #[error("{0} is not a network namespace")]
    NotANamespace(PathBuf),
    /// The kernel would not open it.
    #[error("cannot open network namespace {path}")]
    Open {
        /// The path as given.
        path: PathBuf,
        /// The kernel's word.
        #[source]
        source: io::Error,
    },
}

impl OpenNetnsError {
    /// Whether there is no such namespace (any more), rather than one that could not be opened.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        !matches!(self, Self::Open { .. })
    }
}

impl Netns {
    /// Opens the namespace at `path`: a bind mount such as `/run/netns/x`, or `/proc/PID/ns/net`.
    pub fn open(path: &Path) -> Result<Self, OpenNetnsError> {
        let file = File::open(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                OpenNetnsError::Gone(path.to_owned())
            }
            // A process that has ended but is not yet reaped.
            _ if source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                OpenNetnsError::Gone(path.to_owned())
            }
            _ => OpenNetnsError::Open { path: path.to_owned(), source },
        })?;
        if is_net(&file) {
            Ok(Self { file })
        } else {
            Err(OpenNetnsError::NotANamespace(path.to_owned()))
        }
    }

    /// Opens the calling thread's own namespace.
    pub fn current() -> io::Result<Self> {
        Ok(Self { file: File::open("/proc/thread-self/ns/net")? })
    }

    /// Makes a namespace that nobody else has, and that goes with this value; `home` is the calling thread's own.
    #[expect(unsafe_code, reason = "rustix calls it unsafe for flags that are not used here")]
    pub fn private(home: &Self) -> io::Result<Self> {
        let _way_back = WayBack(home);
        // SAFETY: only the calling thread's network namespace is another one; no memory and no descriptor changes.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET)? };
        Self::current()
    }

    /// Opens the namespace that a socket belongs to. For the calling thread's own namespace, whose sockets are
    /// at hand, this takes a tenth of the time of [`Self::current`].
    pub fn of_socket(socket: &impl AsFd) -> io::Result<Self> {
        Ok(Self { file: of_socket(socket.as_fd())?.into() })
    }

    /// Which namespace this is.
    pub fn id(&self) -> io::Result<NetnsId> {
        let stat = fstat(&self.file)?;
        Ok(NetnsId { device: stat.st_dev, inode: stat.st_ino })
    }

    /// Runs `work` with the calling thread inside this namespace, and takes the thread back out.
    ///
    /// Sockets that `work` opens, and `/proc/sys/net` as it sees it, are the namespace's.
    ///
    /// # Panics
    ///
    /// If the thread can't return to its own namespace: all that it did from then on would happen in the
    /// pod's.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> io::Result<T> {
        self.visit(&Self::current()?, work)
    }

    /// As [`Self::within`], for who has the calling thread's own namespace open: it is what takes longest of
    /// a visit. After the work the thread is in `home`.
    pub fn visit<T>(&self, home: &Self, work: impl FnOnce() -> T) -> io::Result<T> {
        enter(self.as_fd())?;
        let _way_back = WayBack(home);
        Ok(work())
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Takes the thread home however `work` ends, also by a panic.
struct WayBack<'a>(&'a Netns);

impl Drop for WayBack<'_> {
    fn drop(&mut self) {
        if let Err(e) = enter(self.0.as_fd()) {
            eprintln!("linkspan: cannot return to the host's network namespace: {e}");
            std::process::abort();
        }
    }
}

fn enter(netns: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))?)
}

/// Asks the kernel which type of namespace a file is (`ioctl_nsfs(2)`); any other file refuses.
fn is_net(file: &File) -> bool {
    const NS_GET_NSTYPE: Opcode = opcode::none(0xb7, 3);
    const CLONE_NEWNET: i32 = 0x4000_0000;
    ask::<NS_GET_NSTYPE>(file.as_fd()).is_ok_and(|kind| kind == CLONE_NEWNET)
}

/// Opens the namespace of a socket (`SIOCGSKNS` of `linux/sockios.h`).
#[expect(unsafe_code, reason = "rustix has no wrapper for this ioctl")]
fn of_socket(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    const SIOCGSKNS: Opcode = 0x894c;
    let descriptor = ask::<SIOCGSKNS>(socket)?;
    // SAFETY: the kernel has just opened it for this call, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// An ioctl without an argument, which answers by its return value.
#[expect(unsafe_code, reason = "rustix has no wrapper for these ioctls")]
fn ask<const OPCODE: Opcode>(of: BorrowedFd<'_>) -> rustix::io::Result<i32> {
    struct Question<const OPCODE: Opcode>;

    // SAFETY: the ioctls named here take no argument, and read and write no memory.
    unsafe impl<const OPCODE: Opcode> Ioctl for Question<OPCODE> {
        type Output = i32;
        const IS_MUTATING: bool = false;
        fn opcode(&self) -> Opcode {
            OPCODE
        }
        fn as_ptr(&mut self) -> *mut rustix::ffi::c_void {
            std::ptr::null_mut()
        }
        unsafe fn output_from_ptr(
            out: IoctlOutput,
            _: *mut rustix::ffi::c_void,
        ) -> rustix::io::Result<i32> {
            Ok(out)
        }
    }
    // SAFETY: see the implementation above; the descriptor is open.
    unsafe { ioctl(of, Question::<OPCODE>) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_network_namespace_opens() {
        assert!(Netns::open(Path::new("/proc/self/ns/net")).is_ok());
        let gone = Netns::open(Path::new("/run/netns/nobody-made-this")).expect_err("gone");
        assert!(gone.is_gone());
        assert_eq!(
            gone.to_string(),
            "network namespace /run/netns/nobody-made-this does not exist"
        );
        for other in ["/proc/self/ns/mnt", "/dev/null", "/proc"] {
            let error = Netns::open(Path::new(other)).expect_err("not a namespace");
            assert_eq!(error.to_string(), format!("{other} is not a network namespace"));
        }
    }

    #[test]
    fn two_ways_to_one_namespace_have_one_identity() {
        let by_path = Netns::open(Path::new("/proc/self/ns/net")).expect("own namespace");
        let current = Netns::current().expect("own namespace");
        assert_eq!(by_path.id().expect("stat"), current.id().expect("stat"));
    }
}
