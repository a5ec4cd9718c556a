//! What has happened since the program started, counted for the metrics.

use std::sync::atomic::AtomicBool;

use linkspan_daemon::counts::{Count, Durations};

/// What concerns one pool.
#[derive(Debug, Default)]
pub(crate) struct PoolCounts {
    /// Containers that got what they need.
    pub(crate) allocations: Count,
    pub(crate) failed_allocations: Count,
    pub(crate) registrations: Count,
    pub(crate) failed_registrations: Count,
}

/// What concerns all pools.
#[derive(Debug, Default)]
pub(crate) struct NodeCounts {
    /// How long it took to look at the node.
    pub(crate) looks: Durations,
    /// Configurations that could not be used.
    pub(crate) refused_configurations: Count,
    /// Whether what the file says is not in force.
    pub(crate) is_refused: AtomicBool,
}
