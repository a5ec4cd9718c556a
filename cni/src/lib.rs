//! The CNI plugin, as a library so that tests can use its parts.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod addresses;
pub mod asked;
pub mod attach;
mod by_hand;
pub mod check;
pub mod detach;
pub mod device_info;
pub mod devices;
pub mod face;
pub mod gc;
pub mod ipam;
pub mod ipam_plugin;
pub mod journal;
pub mod kind;
pub mod log;
pub mod node;
mod plugin;
pub mod pod;
pub mod spec;
pub mod status;

pub use plugin::run;
