//! What all tests share.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

pub mod bed;
pub mod cni;
pub mod harness;
pub mod pods;
pub mod program;
