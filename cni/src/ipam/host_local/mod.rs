//! Addresses kept in files on this node, in the reference plugin host-local's own layout, so that
//! either program can go on where the other has stopped.
//!
//! `<dataDir>/<network>/<address>` holds `<container ID>\r\n<interface>` of whoever has the
//! address; `last_reserved_ip.<n>` holds the address that set `n` of ranges gave last; every change
//! is made under flock(2) of the file `lock`.

mod error;
mod resolv_conf;
mod rotation;
mod store;

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use linkspan_config::NetworkName;
use linkspan_config::net_conf::{AddressRange, Dns, HostLocalConf, RangeSet, Spans};

use crate::spec::{AddResult, AttachmentId, IpConfig};
use store::{Draft, Store};

pub use error::{ReserveError, ResolvConfError, StoreError};

/// Reserves one address of each set of ranges and returns them with routes and DNS, as an IPAM
/// plugin's result: no interfaces.
///
/// What the owner has already is not reserved twice: an address in `held` (the attachment's
/// journal knows), or one that is asked for, is returned again if the files say that it is the
/// owner's. The cost does not grow with the number of reservations, but for those that stand in the
/// way right after the address given last. On an error nothing stays reserved that was not before.
pub fn reserve(
    conf: &HostLocalConf,
    network: &NetworkName,
    owner: &AttachmentId,
    held: &[IpAddr],
) -> Result<AddResult, ReserveError> {
    let dns = match &conf.resolv_conf {
        Some(path) => resolv_conf::read(path)?,
        None => Dns::default(),
    };
    let store = Store::open(&conf.data_dir, network)?;
    let withheld = conf.withheld();
    let mut taker = Taker {
        draft: store.draft(owner)?,
        store: &store,
        network,
        owner,
        withheld: &withheld,
        taken: Vec::new(),
    };
    let mut ips = Vec::new();
    for (index, set) in conf.sets.iter().enumerate() {
        match taker.take_one(index, set, held) {
            Ok((address, range)) => ips.push(ip_config(address, range)),
            Err(error) => {
                taker.give_back();
                return Err(error);
            }
        }
    }
    Ok(AddResult { interfaces: Vec::new(), ips, routes: conf.routes.clone(), dns })
}

/// Frees what an attachment has on a network; that there is nothing is no error.
///
/// Where `hint` names addresses (the attachment's journal knows), only they are looked at, and
/// those that are not the owner's are left alone. With an empty hint every reservation of the
/// network is read.
pub fn release(
    data_dir: &Path,
    network: &NetworkName,
    owner: &AttachmentId,
    hint: &[IpAddr],
) -> Result<(), StoreError> {
    let Some(store) = Store::open_existing(data_dir, network)? else { return Ok(()) };
    if hint.is_empty() {
        return store.all_of(owner)?.into_iter().try_for_each(|address| store.remove(address));
    }
    for &address in hint {
        if store.holder(address)?.is_some_and(|holder| holder.is(owner) || holder.is_older(owner)) {
            store.remove(address)?;
        }
    }
    Ok(())
}

/// The addresses that an attachment has on a network, in order.
pub fn find(
    data_dir: &Path,
    network: &NetworkName,
    owner: &AttachmentId,
) -> Result<Vec<IpAddr>, StoreError> {
    let Some(store) = Store::open_existing(data_dir, network)? else { return Ok(Vec::new()) };
    let mut found = store.all_of(owner)?;
    found.sort_unstable();
    Ok(found)
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
    let Some(store) = Store::open_existing(data_dir, network)? else { return Ok(Vec::new()) };
    let mut freed = Vec::new();
    for (address, holder) in store.all()? {
        if !valid.iter().any(|owner| holder.is(owner) || holder.is_older(owner)) {
            store.remove(address)?;
            freed.push(Freed { address, holder: holder.to_string() });
        }
    }
    Ok(freed)
}

/// Whether a set of ranges has no address left to give.
pub fn is_exhausted(conf: &HostLocalConf, network: &NetworkName) -> Result<bool, StoreError> {
    let Some(store) = Store::open_existing(&conf.data_dir, network)? else { return Ok(false) };
    let mut skip = conf.withheld();
    let owned = store.all()?.into_iter().filter(|(_, holder)| !holder.is_nobody());
    skip.extend(owned.map(|(address, _)| address));
    let is_full = |set: &RangeSet| rotation::candidates(&set.ranges, None, &skip).next().is_none();
    Ok(conf.sets.iter().any(is_full))
}

fn ip_config(address: IpAddr, range: &AddressRange) -> IpConfig {
    // The address is one of the subnet, so that its prefix is never too long for it.
    let with_prefix = IpNet::new(address, range.subnet().prefix_len());
    let address = with_prefix.unwrap_or_else(|_| address.into());
    IpConfig { address, gateway: Some(range.gateway()), interface: None }
}

/// Takes the addresses of one call, while the store is locked.
struct Taker<'a> {
    store: &'a Store,
    draft: Draft<'a>,
    network: &'a NetworkName,
    owner: &'a AttachmentId,
    withheld: &'a Spans,
    /// What this call has taken so far.
    taken: Vec<IpAddr>,
}

impl Taker<'_> {
    fn take_one<'s>(
        &mut self,
        index: usize,
        set: &'s RangeSet,
        held: &[IpAddr],
    ) -> Result<(IpAddr, &'s AddressRange), ReserveError> {
        let wanted = set.requested.and_then(|wanted| Some((wanted, set.range_of(wanted)?)));
        if let Some((address, range)) = wanted {
            self.take_this(address)?;
            return Ok((address, range));
        }
        for &address in held {
            if let Some(range) = set.range_of(address)
                && self.store.holder(address)?.is_some_and(|holder| holder.is(self.owner))
            {
                return Ok((address, range));
            }
        }
        if let Some(found) = self.take_next(index, set)? {
            return Ok(found);
        }
        // A reservation without a holder is what a killed program has left; nobody will free it.
        if self.store.remove_unowned()?
            && let Some(found) = self.take_next(index, set)?
        {
            return Ok(found);
        }
        let ranges: Vec<String> = set.ranges.iter().map(ToString::to_string).collect();
        Err(ReserveError::Exhausted {
            network: self.network.clone(),
            ranges: ranges.join(" or "),
            count: rotation::count(&set.ranges, self.withheld),
            dir: self.store.dir().to_owned(),
        })
    }

    /// Takes the address that was asked for.
    fn take_this(&mut self, address: IpAddr) -> Result<(), ReserveError> {
        match self.store.holder(address)? {
            Some(holder) if holder.is(self.owner) => return Ok(()),
            Some(holder) if !holder.is_nobody() => {
                return Err(ReserveError::Held {
                    network: self.network.clone(),
                    address,
                    holder: holder.to_string(),
                    file: self.store.file_of(address),
                });
            }
            Some(_) => self.store.remove(address)?,
            None => {}
        }
        if self.draft.reserve(address)? {
            self.taken.push(address);
        }
        Ok(())
    }

    /// Takes the next free address after the one that was given last.
    fn take_next<'s>(
        &mut self,
        index: usize,
        set: &'s RangeSet,
    ) -> Result<Option<(IpAddr, &'s AddressRange)>, StoreError> {
        let last = self.store.last_reserved(index)?;
        for (span, range) in rotation::candidates(&set.ranges, last, self.withheld) {
            for address in span.addresses() {
                if self.draft.reserve(address)? {
                    self.taken.push(address);
                    self.store.set_last_reserved(index, address)?;
                    return Ok(Some((address, range)));
                }
            }
        }
        Ok(None)
    }

    /// Frees what this call has taken. That this may fail too is not what the caller needs to hear;
    /// what stays is freed by DEL.
    fn give_back(&self) {
        for &address in &self.taken {
            let _ = self.store.remove(address);
        }
    }
}

#[cfg(test)]
mod tests;
