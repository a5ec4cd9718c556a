//! One question to a daemon of this node, over its unix socket.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use linkspan_proto::framing::{self, FrameError, Message};

use crate::spec::Code;

/// How long an answer may take that is only looked up.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Why a daemon gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody answers on the socket.
    #[error("{daemon} does not listen on {}", socket.display())]
    NotListening {
        /// Who should.
        daemon: &'static str,
        /// Where it should.
        socket: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Anyone could answer on the socket.
    #[error("{} is not a socket that only root can write to", socket.display())]
    Untrusted {
        /// Who should have made it.
        daemon: &'static str,
        /// Where it is.
        socket: PathBuf,
    },
    /// The conversation broke off.
    #[error("{daemon} gave no answer on {}", socket.display())]
    NoAnswer {
        /// Who was asked.
        daemon: &'static str,
        /// Where it was asked.
        socket: PathBuf,
        /// What happened instead.
        source: FrameError,
    },
}

/// Asks `daemon`, which listens on the socket, and waits for its answer.
pub fn ask<A: Message + Default>(
    socket: &Path,
    daemon: &'static str,
    question: &impl Message,
    patience: Duration,
) -> Result<A, AskError> {
    let not_listening =
        |source| AskError::NotListening { daemon, socket: socket.to_owned(), source };
    let found = fs::symlink_metadata(socket).map_err(not_listening)?;
    // This program runs as root. The folder is root's alone, so that nobody can put another socket there now.
    let own = fs::metadata("/proc/self").map_err(not_listening)?.uid();
    if !found.file_type().is_socket() || found.uid() != own || found.mode() & 0o022 != 0 {
        return Err(AskError::Untrusted { daemon, socket: socket.to_owned() });
    }
    let mut stream = UnixStream::connect(socket).map_err(not_listening)?;
    framing::ask_within(&mut stream, question, patience).map_err(|source| AskError::NoAnswer {
        daemon,
        socket: socket.to_owned(),
        source,
    })
}

impl AskError {
    /// The code of the error, and what to do where nothing but `runs` is to be seen to: that the daemon runs.
    #[must_use]
    pub fn code_and_advice(&self, runs: &str) -> (Code, String) {
        match self {
            Self::NotListening { .. } => (Code::TryAgain, runs.to_owned()),
            Self::NoAnswer { .. } => (Code::Io, runs.to_owned()),
            Self::Untrusted { daemon, socket } => (
                Code::Io,
                format!("See `ls -l {}`: {daemon} makes it with mode 0600", socket.display()),
            ),
        }
    }
}
