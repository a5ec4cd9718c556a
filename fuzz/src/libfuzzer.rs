//! How libFuzzer calls a target, and has its inputs changed.

use fastrand::Rng;
pub use libfuzzer_sys;

use crate::{Donors, mutate, seeds};

/// The program of a target: its function, and inputs that are changed by libFuzzer's hand or as JSON.
#[macro_export]
macro_rules! fuzz {
    ($target:ident) => {
        use $crate::libfuzzer::libfuzzer_sys;

        libfuzzer_sys::fuzz_target!(|input: &[u8]| $crate::$target(input));
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max: usize, seed: u32| {
            static DONORS: std::sync::LazyLock<$crate::Donors> =
                std::sync::LazyLock::new(|| $crate::libfuzzer::donors(stringify!($target)));
            $crate::libfuzzer::changed(data, size, max, seed, &DONORS)
        });
    };
}

/// What the seeds of a target have to give.
#[must_use]
pub fn donors(target: &str) -> Donors {
    Donors::of(&seeds(target))
}

/// Changes the first `size` bytes of `data`, which has room for `max`, and returns how many there are then.
pub fn changed(data: &mut [u8], size: usize, max: usize, seed: u32, donors: &Donors) -> usize {
    let mut rng = Rng::with_seed(seed.into());
    if rng.u8(..3) > 0 {
        let other = mutate(&data[..size], donors, &mut rng);
        if other.len() <= max && other != data[..size] {
            data[..other.len()].copy_from_slice(&other);
            return other.len();
        }
    }
    libfuzzer_sys::fuzzer_mutate(data, size, max)
}
