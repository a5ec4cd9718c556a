//! Waiting for a condition, with a bound.

use std::time::{Duration, Instant};

/// Waits until `condition` has something, and returns it.
///
/// # Panics
///
/// If that takes longer than `bound`.
pub fn until<T>(what: &str, bound: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(thing) = condition() {
            return thing;
        }
        assert!(start.elapsed() < bound, "{what}: not within {bound:?}");
        // The time between two looks, not a guess at how long it takes.
        std::thread::sleep(Duration::from_millis(20));
    }
}
