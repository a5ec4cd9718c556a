//! The devices that were given away so lately that the kubelet may not tell yet whose they are.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use linkspan_types::PciAddress;

/// Devices, and when each was given away.
#[derive(Debug)]
pub(crate) struct Given<T = PciAddress>(Mutex<HashMap<T, Instant>>);

/// Far longer than the kubelet takes from our answer to having it in its own list.
const LATELY: Duration = Duration::from_mins(1);

impl<T: Eq + Hash> Given<T> {
    /// Notes that devices are given away now.
    pub(crate) fn give(&self, devices: impl IntoIterator<Item = T>) {
        let Ok(mut all) = self.0.lock() else { return };
        all.retain(|_, since| since.elapsed() < LATELY);
        all.extend(devices.into_iter().map(|device| (device, Instant::now())));
    }

    /// Notes that the kubelet has told whose a device is: from now on its word counts alone.
    pub(super) fn is_told(&self, device: &T) {
        if let Ok(mut all) = self.0.lock() {
            all.remove(device);
        }
    }

    /// Whether a device was given away lately.
    pub(crate) fn has(&self, device: &T) -> bool {
        // A broken lock leaves everything as it is.
        self.0
            .lock()
            .map_or(true, |all| all.get(device).is_some_and(|since| since.elapsed() < LATELY))
    }
}

impl<T> Default for Given<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}
