//! Links that this program has made for shares which no pool has any more: it removes them, as nobody else will.
//!
//! The kernel remembers whose they are: the name is of the form that shares' links have, and the index one that only
//! this program asks for. Links of kubevirt's plugin, which are called alike, are so left alone.

use linkspan_linux::{Link, LinkKind, NetlinkError, RouteSocket, is_free_index};
use linkspan_types::IfName;

use crate::holders::Holders;
use crate::pools::Pool;
use crate::prepare::Host;

/// Which of the host's links are such. One that is in a pod is not among them: it is not the host's.
pub(crate) fn left(pools: &[Pool], links: &[Link]) -> Vec<IfName> {
    let ours = links.iter().filter(|link| is_ours(link)).filter_map(|link| link.name.parse().ok());
    let left: Vec<IfName> = ours.collect();
    if left.is_empty() {
        return left;
    }
    let configured: Vec<IfName> = pools
        .iter()
        .filter_map(|pool| Some((pool, pool.resource.shares.as_ref()?)))
        .flat_map(|(pool, shares)| shares.ids(&pool.resource.name))
        .map(|id| IfName::of_pool_device(&id))
        .collect();
    left.into_iter().filter(|name| !configured.contains(name)).collect()
}

/// Those that no pod holds, by the word of the kubelet, nor was given so lately that the kubelet may not tell yet.
pub(crate) fn free(left: &[IfName], holders: &Holders, host: &Host) -> Vec<IfName> {
    let held: Vec<_> = holders.devices().map(|(_, id)| IfName::of_pool_device(id)).collect();
    let is_free = |name: &&IfName| !held.contains(name) && !host.given_shares.has(name);
    left.iter().filter(is_free).cloned().collect()
}

/// Removes them.
pub(crate) fn remove(links: &[IfName]) {
    for name in links {
        match try_remove(name) {
            Ok(true) => {
                tracing::info!(
                    "{name} is removed: the pool that it was made for is not configured"
                );
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!("{name} is left over: {:#}", anyhow::Error::new(error));
            }
        }
    }
}

/// Whether it was there, to be removed.
fn try_remove(name: &IfName) -> Result<bool, NetlinkError> {
    let mut host = RouteSocket::open()?;
    match host.link_by_name(name) {
        Ok(link) if is_ours(&link) => host.delete_link(link.index).map(|()| true),
        Ok(_) => Ok(false),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_ours(link: &Link) -> bool {
    let is_macvtap = matches!(link.kind, LinkKind::Macvtap { .. });
    is_macvtap && is_free_index(link.index) && IfName::is_of_pool_device(&link.name)
}
