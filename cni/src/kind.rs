//! The kinds of attachment: what differs between them.

pub mod sriov;
