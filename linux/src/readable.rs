//! Descriptors of the kernel's event queues, as tokio waits for them.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers an open descriptor with the runtime of the calling task.
#[expect(unsafe_code, reason = "tokio has no safe constructor for an owned descriptor")]
pub(crate) fn readable<T: AsFd + AsRawFd + 'static>(queue: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: `AsFd` and `'static` say that the descriptor is open for as long as `queue` lives, and
    // nobody but the `AsyncFd` has `queue` from now on.
    Ok(unsafe { AsyncFd::register_with_interest(queue, Interest::READABLE) }?)
}

/// Whether a netlink socket's queue was full, and something was lost.
pub(crate) fn is_overflow(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error())
}
