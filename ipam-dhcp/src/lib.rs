//! The DHCP client: a state machine (RFC 2131) that does nothing itself. It is told what happened and when, and says
//! what is to be done.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod client;
pub mod lease;
pub mod moment;
pub mod packet;
pub mod wishes;
