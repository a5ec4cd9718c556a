//! Whether somebody answers on a unix socket, and who.

use std::os::unix::net::UnixStream;
use std::path::Path;

use linkspan_linux::program_behind;

/// Whether somebody answers on a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// There is no such file.
    Missing,
    /// It is there, and nobody listens.
    Refused(String),
    /// Somebody listens: the program's name where it can be told.
    Listening(Option<String>),
}

impl Answer {
    /// Tries it.
    pub(super) fn of(path: &Path) -> Self {
        if !path.exists() {
            return Self::Missing;
        }
        match UnixStream::connect(path) {
            Ok(stream) => Self::Listening(program_behind(&stream)),
            Err(error) => Self::Refused(error.to_string()),
        }
    }

    /// Whether it is the reference plugin's DHCP daemon.
    pub(super) fn is_reference_dhcp(&self) -> bool {
        matches!(self, Self::Listening(Some(program)) if program == "dhcp")
    }
}
