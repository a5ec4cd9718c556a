//! How one call gets its addresses: one of each set of ranges, or none at all.

use std::net::IpAddr;

use linkspan_config::NetworkName;
use linkspan_config::net_conf::{AddressRange, HostLocalConf, RangeSet, Spans};

use super::error::{ReserveError, StoreError};
use super::holder::Holder;
use super::rotation;
use super::store::Store;
use crate::spec::AttachmentId;

/// An address, and the range that it is of.
pub(super) type Given<'a> = (IpAddr, &'a AddressRange);

/// Takes the addresses of one call, while the store is locked.
pub(super) struct Taker<'a> {
    store: &'a mut Store,
    conf: &'a HostLocalConf,
    network: &'a NetworkName,
    owner: Holder,
    withheld: Spans,
    /// What the owner had before.
    own: Vec<IpAddr>,
    /// What this call has taken so far.
    taken: Vec<IpAddr>,
}

impl<'a> Taker<'a> {
    pub(super) fn new(
        store: &'a mut Store,
        conf: &'a HostLocalConf,
        network: &'a NetworkName,
        owner: &AttachmentId,
    ) -> Result<Self, StoreError> {
        let (owner, withheld) = (Holder::of(owner), conf.withheld());
        let own = store.held_by(&owner)?.into_iter().map(|(address, _)| address).collect();
        Ok(Self { store, conf, network, owner, withheld, own, taken: Vec::new() })
    }

    /// Takes one address of each set. On an error what was taken is given back. That this may fail too is not
    /// what the caller needs to hear; what stays is freed by DEL.
    pub(super) fn take(mut self) -> Result<Vec<Given<'a>>, ReserveError> {
        let sets = self.conf.sets.iter().enumerate();
        let given: Result<_, _> = sets.map(|(index, set)| self.take_one(index, set)).collect();
        if given.is_err() {
            for address in self.taken {
                let _ = self.store.remove(address, &self.owner);
            }
        }
        given
    }

    fn take_one(&mut self, index: usize, set: &'a RangeSet) -> Result<Given<'a>, ReserveError> {
        if let Some(wanted) = set.requested
            && let Some(range) = set.range_of(wanted)
        {
            self.take_this(wanted)?;
            return Ok((wanted, range));
        }
        let had = self.own.iter().find_map(|&address| Some((address, set.range_of(address)?)));
        if let Some(had) = had {
            return Ok(had);
        }
        let last = self.store.folder().last_reserved(index)?;
        while let Some((address, range)) = next_free(self.store, set, &self.withheld, last)? {
            if self.reserve(address)? {
                self.store.set_last_reserved(index, address)?;
                return Ok((address, range));
            }
        }
        let ranges: Vec<String> = set.ranges.iter().map(ToString::to_string).collect();
        Err(ReserveError::Exhausted {
            network: self.network.clone(),
            ranges: ranges.join(" or "),
            count: rotation::count(&set.ranges, &self.withheld),
            dir: self.store.folder().path().to_owned(),
        })
    }

    /// Takes the address that was asked for.
    fn take_this(&mut self, address: IpAddr) -> Result<(), ReserveError> {
        if self.own.contains(&address) || self.reserve(address)? {
            return Ok(());
        }
        let holder = self.store.holder(address)?;
        Err(ReserveError::Held {
            network: self.network.clone(),
            address,
            holder: holder.map_or_else(String::new, |holder| holder.to_string()),
            file: self.store.folder().file_of(address),
        })
    }

    fn reserve(&mut self, address: IpAddr) -> Result<bool, StoreError> {
        let is_reserved = self.store.reserve(address, &self.owner)?;
        self.taken.extend(is_reserved.then_some(address));
        Ok(is_reserved)
    }
}

/// The next free address of a set after the one that was given last. Before there is none, every
/// reservation is read.
pub(super) fn next_free<'a>(
    store: &mut Store,
    set: &'a RangeSet,
    withheld: &Spans,
    last: Option<IpAddr>,
) -> Result<Option<Given<'a>>, StoreError> {
    let found = search(store, set, withheld, last)?;
    if found.is_some() {
        return Ok(found);
    }
    store.read_all()?;
    search(store, set, withheld, last)
}

fn search<'a>(
    store: &mut Store,
    set: &'a RangeSet,
    withheld: &Spans,
    last: Option<IpAddr>,
) -> Result<Option<Given<'a>>, StoreError> {
    let mut skip = store.taken().clone();
    skip.extend(withheld.iter());
    for (span, range) in rotation::candidates(&set.ranges, last, &skip) {
        for address in span.addresses() {
            if store.is_free(address)? {
                return Ok(Some((address, range)));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
