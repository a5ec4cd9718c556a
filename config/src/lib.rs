//! Every file a user writes, parsed and checked.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod invalid;
pub mod net_conf;
pub mod resource_list;

pub use invalid::Invalid;
