//! The CNI plugin, as a library so that tests can use its parts.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod spec;
