//! Addresses kept in files on this node, in the reference plugin host-local's own layout, so that
//! either program can go on where the other has stopped.
//!
//! `<dataDir>/<network>/<address>` holds `<container ID>\r\n<interface>` of whoever has the
//! address; `last_reserved_ip.<n>` holds the address that set `n` of ranges gave last; every change
//! is made under flock(2) of the file `lock`. What the files come to is in `.linkspan-index` beside
//! them, so that no call's cost grows with their number; it is made anew where the reference plugin
//! has been at work. It also knows the boot, for pods die with it: what was reserved before is freed.

mod boot;
mod error;
mod folder;
mod holder;
mod index;
mod resolv_conf;
mod rotation;
mod store;
mod take;

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use linkspan_config::NetworkName;
use linkspan_config::net_conf::{AddressRange, Dns, HostLocalConf};

use crate::spec::{AddResult, AttachmentId, IpConfig};
use boot::Boot;
use folder::Folder;
use store::Store;
use take::Taker;

pub use error::{ReserveError, ResolvConfError, StoreError};

/// Reserves one address of each set of ranges and returns them with routes and DNS, as an IPAM
/// plugin's result: no interfaces.
///
/// What the owner has already is not reserved twice but returned again. On an error nothing stays
/// reserved that was not before.
pub fn reserve(
    conf: &HostLocalConf,
    network: &NetworkName,
    owner: &AttachmentId,
) -> Result<AddResult, ReserveError> {
    let dns = match &conf.resolv_conf {
        Some(path) => resolv_conf::read(path)?,
        None => Dns::default(),
    };
    let mut store = Store::open(Folder::make(&conf.data_dir, network)?, &Boot::current())?;
    let given = Taker::new(&mut store, conf, network, owner)?.take()?;
    let ips = given.into_iter().map(|(address, range)| ip_config(address, range)).collect();
    Ok(AddResult { interfaces: Vec::new(), ips, routes: conf.routes.clone(), dns })
}

/// Frees what an attachment has on a network; that there is nothing is no error.
pub fn release(
    data_dir: &Path,
    network: &NetworkName,
    owner: &AttachmentId,
) -> Result<(), StoreError> {
    let Some(mut store) = open(data_dir, network)? else { return Ok(()) };
    let all = store.all_of(owner)?;
    all.iter().try_for_each(|(address, holder)| store.remove(*address, holder))
}

/// The addresses that an attachment has on a network, in order.
pub fn find(
    data_dir: &Path,
    network: &NetworkName,
    owner: &AttachmentId,
) -> Result<Vec<IpAddr>, StoreError> {
    let Some(mut store) = open(data_dir, network)? else { return Ok(Vec::new()) };
    Ok(store.all_of(owner)?.into_iter().map(|(address, _)| address).collect())
}

/// The same for who only looks: nothing is locked, and nothing written. What is being changed at this moment may be
/// missing.
pub fn peek(
    data_dir: &Path,
    network: &NetworkName,
    owner: &AttachmentId,
) -> Result<Vec<IpAddr>, StoreError> {
    let Some(folder) = Folder::find(data_dir, network)? else { return Ok(Vec::new()) };
    let mut own = Vec::new();
    for address in folder.addresses()? {
        let reservation = folder.reservation(address)?;
        own.extend(reservation.filter(|found| found.holder.is(owner)).map(|_| address));
    }
    own.sort_unstable();
    Ok(own)
}

/// A reservation that was freed because no valid attachment has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freed {
    /// The address.
    pub address: IpAddr,
    /// Who had it, as the file said.
    pub holder: String,
}

impl fmt::Display for Freed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the reservation of {} by {}", self.address, self.holder)
    }
}

/// Frees every address of a network that none of the valid attachments has, and tells which. Every
/// reservation is read.
pub fn retain(
    data_dir: &Path,
    network: &NetworkName,
    valid: &[AttachmentId],
) -> Result<Vec<Freed>, StoreError> {
    let Some(mut store) = open(data_dir, network)? else { return Ok(Vec::new()) };
    let mut freed = Vec::new();
    for (address, holder) in store.read_all()? {
        if !valid.iter().any(|owner| holder.is(owner)) {
            store.remove(address, &holder)?;
            freed.push(Freed { address, holder: holder.to_string() });
        }
    }
    Ok(freed)
}

/// Whether a set of ranges has no address left to give.
pub fn is_exhausted(conf: &HostLocalConf, network: &NetworkName) -> Result<bool, StoreError> {
    let Some(mut store) = open(&conf.data_dir, network)? else { return Ok(false) };
    let withheld = conf.withheld();
    for set in &conf.sets {
        if take::next_free(&mut store, set, &withheld, None)?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn open(data_dir: &Path, network: &NetworkName) -> Result<Option<Store>, StoreError> {
    let folder = Folder::find(data_dir, network)?;
    folder.map(|folder| Store::open(folder, &Boot::current())).transpose()
}

fn ip_config(address: IpAddr, range: &AddressRange) -> IpConfig {
    // The address is one of the subnet, so that its prefix is never too long for it.
    let with_prefix = IpNet::new(address, range.subnet().prefix_len());
    let address = with_prefix.unwrap_or_else(|_| address.into());
    IpConfig { address, gateway: Some(range.gateway()), interface: None }
}

#[cfg(test)]
mod tests;
