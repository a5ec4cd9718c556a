//! Every file a user writes, parsed and checked.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod fields;
mod invalid;
mod names;
pub mod net_conf;
pub mod resource_list;
#[cfg(test)]
mod schema;

pub use fields::near_miss;
pub use invalid::Invalid;
pub use names::{ContainerId, NetworkName, PluginName, ResourceName};
