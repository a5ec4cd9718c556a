//! Pools of shares that nobody has named: one for each link that can give them, as macvtap-cni's device plugin has them
//! where it is told of none.  Pure.

use linkspan_config::resource_list::Resource;
use linkspan_types::IfName;

use super::{Pool, PoolName};

/// The pools that were named, and one for each other link, in their order. A link that no pool can be called after, or
/// whose pool's name is taken, is returned beside them.
pub(crate) fn with_any_links(named: &[Pool], mut links: Vec<IfName>) -> (Vec<Pool>, Vec<IfName>) {
    links.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    let (mut pools, mut without) = (named.to_vec(), Vec::new());
    for link in links {
        let is_named = |pool: &Pool| {
            pool.resource.shares.as_ref().is_some_and(|shares| shares.lower_device == link)
        };
        if named.iter().any(is_named) {
            continue;
        }
        // A link's resource has a prefix of its own.
        let is_free = |pool: &Pool| {
            let taken =
                |named: &Pool| named.resource.collides_with(&pool.resource, &named.name.prefix);
            !named.iter().any(taken)
        };
        match Pool::of_link(&link).filter(is_free) {
            Some(pool) => pools.push(pool),
            None => without.push(link),
        }
    }
    (pools, without)
}

impl Pool {
    fn of_link(link: &IfName) -> Option<Self> {
        let resource = Resource::of_link(link)?;
        let name = PoolName { prefix: resource.prefix.clone()?, name: resource.name.clone() };
        Some(Self { name, resource, is_of_any_link: true })
    }
}
