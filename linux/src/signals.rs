//! The signals by which a program is asked to end, where it has nothing to do but wait for them.
#![expect(unsafe_code, reason = "sets of signals are the C library's")]

use std::io;
use std::mem::MaybeUninit;

/// SIGTERM and SIGINT, which do nothing while this is there but to be waited for: what is being done is done to its
/// end. Also in a container, whose first process the kernel would send no signal that it hasn't asked for.
pub struct EndSignals(libc::sigset_t);

impl EndSignals {
    /// Holds the signals back. To be called before the program has a second thread.
    pub fn hold() -> io::Result<Self> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: the first call makes a set of it, the others are given that, and signals that there are.
        let set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
            libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
            set.assume_init()
        };
        // SAFETY: the set is whole, and the old one is not asked for.
        match unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut())
        } {
            0 => Ok(Self(set)),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Waits for one of them.
    pub fn wait(&self) -> io::Result<()> {
        let mut signal = 0;
        // SAFETY: the set is whole, and the number has a place.
        match unsafe { libc::sigwait(&raw const self.0, &raw mut signal) } {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}
