//! Durations of one thing done many times, and what is said of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long each of many runs took.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The middle one; of an even number of them, the lower of the two.
    pub(crate) fn median(&self) -> Duration {
        self.nearest_rank(50)
    }

    /// The one that 99 of 100 don't pass; of fewer than 100 that is the longest.
    pub(crate) fn p99(&self) -> Duration {
        self.nearest_rank(99)
    }

    /// The longest.
    pub(crate) fn max(&self) -> Duration {
        self.nearest_rank(100)
    }

    /// The shortest.
    pub(crate) fn min(&self) -> Duration {
        self.nearest_rank(0)
    }

    /// The percentile by nearest rank; zero where there are no samples.
    fn nearest_rank(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<T: IntoIterator<Item = Duration>>(samples: T) -> Self {
        Self(samples.into_iter().collect())
    }
}

/// How many times longer one median is than another; none without samples of both.
pub(crate) fn ratio(longer: &Samples, shorter: &Samples) -> Option<f64> {
    let both = longer.count() > 0 && shorter.count() > 0;
    both.then(|| longer.median().as_secs_f64() / shorter.median().as_secs_f64())
}

/// Milliseconds with three digits that mean something, or `-` without samples.
pub(crate) fn milliseconds(samples: &Samples, of: impl Fn(&Samples) -> Duration) -> String {
    if samples.count() == 0 {
        return "-".to_owned();
    }
    let milliseconds = of(samples).as_secs_f64() * 1e3;
    match milliseconds {
        0.0..10.0 => format!("{milliseconds:.2}"),
        10.0..100.0 => format!("{milliseconds:.1}"),
        _ => format!("{milliseconds:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(milliseconds: impl IntoIterator<Item = u64>) -> Samples {
        milliseconds.into_iter().map(Duration::from_millis).collect()
    }

    #[test]
    fn percentiles_are_samples() {
        let hundred = samples((1..=100).rev());
        let of = |f: fn(&Samples) -> Duration| f(&hundred).as_millis();
        assert_eq!((of(Samples::min), of(Samples::median), of(Samples::p99)), (1, 50, 99));
        assert_eq!(hundred.max(), Duration::from_millis(100));
        assert_eq!(samples([7]).p99(), Duration::from_millis(7));
        assert_eq!(samples([]).median(), Duration::ZERO);
    }

    #[test]
    fn a_ratio_needs_both() {
        let (longer, shorter) = (samples([10, 10]), samples([4]));
        assert_eq!(ratio(&longer, &shorter), Some(2.5));
        assert_eq!(ratio(&longer, &Samples::default()), None);
        assert_eq!(milliseconds(&shorter, Samples::median), "4.00");
        assert_eq!(milliseconds(&Samples::default(), Samples::median), "-");
    }
}
