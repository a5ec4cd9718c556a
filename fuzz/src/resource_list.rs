//! The configuration of the device plugin.

use linkspan_config::resource_list::{ResourceList, Selector};
use serde_json::Value;

use crate::refused::refused;

/// Reads the input as the file with the pools.
pub fn resource_list(input: &[u8]) {
    let Ok(root) = serde_json::from_slice::<Value>(input) else { return };
    match ResourceList::from_json(&root) {
        Err(error) => refused(error),
        Ok(list) => {
            assert!(!list.resources.is_empty());
            for resource in &list.resources {
                assert!((1..=63).contains(&resource.name.len()), "{:?}", resource.name);
                let has_shares = resource.shares.is_some();
                assert_eq!(resource.selectors.is_empty(), has_shares, "{}: either", resource.name);
                let both = |selector: &Selector| selector.is_rdma && selector.vdpa.is_some();
                assert!(!resource.selectors.iter().any(both), "{}: one only", resource.name);
            }
            assert_eq!(ResourceList::from_json(&root), Ok(list));
        }
    }
}
