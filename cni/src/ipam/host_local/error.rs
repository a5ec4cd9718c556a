//! Why addresses can't be reserved or freed.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use linkspan_config::NetworkName;

use crate::spec::{CniError, Code};

/// A file of the reservations that can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct StoreError {
    /// What was tried, as a verb: "create".
    pub action: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// The error of one action on one path.
pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError { action, path, source }
}

/// A file like `/etc/resolv.conf` that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("`ipam.resolvConf` is {path:?}, expected a file that can be read")]
pub struct ResolvConfError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Why an attachment gets no addresses. Nothing is reserved then that was not before.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// The files of the reservations can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file with the DNS can't be read.
    #[error(transparent)]
    ResolvConf(#[from] ResolvConfError),
    /// Every address of a set of ranges is taken.
    #[error(
        "network {network} has no free address: all {count} of {ranges} are taken, expected one \
         that is free"
    )]
    Exhausted {
        /// The network.
        network: NetworkName,
        /// The ranges of the set.
        ranges: String,
        /// How many addresses they have, gateways left out.
        count: u128,
        /// Where the reservations are.
        dir: PathBuf,
    },
    /// The address that was asked for belongs to somebody.
    #[error("{address} of network {network} is held by {holder}, expected a free address")]
    Held {
        /// The network.
        network: NetworkName,
        /// The address.
        address: IpAddr,
        /// Who has it.
        holder: String,
        /// The file of the reservation.
        file: PathBuf,
    },
}

impl From<StoreError> for CniError {
    fn from(error: StoreError) -> Self {
        Self::caused_by(Code::Io, &error, "See that `ipam.dataDir` can be written on this node")
    }
}

impl From<ReserveError> for CniError {
    fn from(error: ReserveError) -> Self {
        let msg = error.to_string();
        match error {
            ReserveError::Store(error) => error.into(),
            ReserveError::ResolvConf(error) => {
                Self::caused_by(Code::Io, &error, "Name a file of this node, or remove the key")
            }
            ReserveError::Exhausted { dir, .. } => {
                let details = format!(
                    "Delete pods that use the network or widen `ipam.ranges`; the files in {} say \
                     which container holds which address, and one whose container is gone may be \
                     removed",
                    dir.display()
                );
                Self::new(Code::RangeExhausted, msg, details)
            }
            ReserveError::Held { file, .. } => {
                let details = format!(
                    "Ask for another address, or delete the pod that holds it; if that container \
                     is gone, remove {}",
                    file.display()
                );
                Self::new(Code::AddressHeld, msg, details)
            }
        }
    }
}
