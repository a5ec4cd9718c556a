//! Waiting for a condition, with a bound.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// For what a pod, a daemon or the node does: generous, since the guest's CPU may be emulated on a busy machine.
pub(crate) const BOUND: Duration = Duration::from_mins(6);

/// Waits until `condition` has something; the error tells what it was waiting for, and why it was not so the last time.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Result<T>) -> Result<T> {
    let began = Instant::now();
    loop {
        match condition() {
            Ok(thing) => return Ok(thing),
            Err(error) if began.elapsed() > BOUND => {
                bail!("{what}: not within {} s: {error:#}", BOUND.as_secs())
            }
            // The time between two looks, not a guess at how long it takes.
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}
