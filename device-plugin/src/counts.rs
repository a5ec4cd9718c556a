//! What has happened since the program started, counted for the metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

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
    pub(crate) looks: Looks,
    /// Configurations that could not be used.
    pub(crate) refused_configurations: Count,
    /// Whether what the file says is not in force.
    pub(crate) is_refused: AtomicBool,
}

/// Looks at the node, and how long they took.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// One for each of [`Self::BOUNDS`], and one for what took longer.
    by_duration: [Count; 6],
    nanoseconds: AtomicU64,
}

impl Looks {
    /// The longest of each class, in seconds.
    pub(crate) const BOUNDS: [f64; 5] = [0.001, 0.005, 0.025, 0.1, 0.5];

    pub(crate) fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let class = Self::BOUNDS.iter().position(|bound| seconds <= *bound);
        self.by_duration[class.unwrap_or(Self::BOUNDS.len())].add_one();
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// How many took at most as long as each bound; the last number is that of all.
    pub(crate) fn up_to(&self) -> [u64; 6] {
        let mut sum = 0;
        self.by_duration.each_ref().map(|count| {
            sum += count.get();
            sum
        })
    }

    pub(crate) fn total(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_counted_by_their_duration() {
        let looks = Looks::default();
        for milliseconds in [0, 1, 2, 60, 60, 4000] {
            looks.add(Duration::from_millis(milliseconds));
        }
        assert_eq!(looks.up_to(), [2, 3, 3, 5, 5, 6]);
        assert_eq!(looks.total(), Duration::from_millis(4123));
    }
}
