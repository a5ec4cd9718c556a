//! What a daemon is given by the one that starts it, and what is behind a socket.
#![expect(unsafe_code, reason = "a descriptor that was inherited has no owner in this program yet")]

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::io::FdFlags;
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Resource, Rlimit, getpid, getrlimit, setrlimit};

/// The first descriptor that systemd hands over (`sd_listen_fds(3)`).
const FIRST: i32 = 3;

/// The unix socket on which systemd listens for this program, where it was started so (`LISTEN_PID` and
/// `LISTEN_FDS`). To be called once, and before anything else is opened.
pub fn inherited_listener() -> io::Result<Option<UnixListener>> {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<i32>().ok());
    let is_ours = number("LISTEN_PID") == Some(getpid().as_raw_nonzero().get());
    match number("LISTEN_FDS").filter(|_| is_ours) {
        None | Some(0) => Ok(None),
        Some(1) => {
            // SAFETY: nothing in this process closes it meanwhile.
            let inherited = unsafe { BorrowedFd::borrow_raw(FIRST) };
            // Fails where whoever started this has not left it open.
            rustix::io::fcntl_setfd(inherited, FdFlags::CLOEXEC)?;
            // SAFETY: it is open, systemd has opened it for this process, and nobody has used it before.
            let socket = unsafe { OwnedFd::from_raw_fd(FIRST) };
            let listener = UnixListener::from(socket);
            // Fails where it is no unix socket.
            listener.local_addr()?;
            listener.set_nonblocking(true)?;
            Ok(Some(listener))
        }
        Some(several) => Err(io::Error::other(format!(
            "systemd hands over {several} sockets, expected one ListenStream="
        ))),
    }
}

/// Lets this process have as many descriptors as it is ever allowed to.
pub fn allow_all_descriptors() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

/// The name of the program that listens at the other end, as the kernel has it (`/proc/PID/comm`); none where that is
/// in another PID namespace, or gone.
#[must_use]
pub fn program_behind(stream: &UnixStream) -> Option<String> {
    let pid = socket_peercred(stream).ok()?.pid.as_raw_nonzero().get();
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}
