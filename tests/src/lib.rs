//! What all tests share.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]
#![allow(clippy::must_use_candidate, reason = "a test may run something only for what it does")]

pub mod bed;
pub mod cni;
pub mod daemon;
pub mod devices;
pub mod dhcp_daemon;
pub mod dhcp_server;
pub mod harness;
pub mod killed;
pub mod kubelet;
pub mod lan;
pub mod metrics;
pub mod multus;
pub mod pods;
pub mod program;
pub mod recorded;
pub mod scrape;
pub mod syscalls;
pub mod sysfs_tree;
pub mod trap;
pub mod uevent;
pub mod wait;
pub mod wire;
pub mod yaml;
