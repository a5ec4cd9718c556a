//! What has happened since the program started, counted for the metrics.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::metrics::{Family, Kind, Labels, Sample, Value};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// It has happened once more.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has happened.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long something took, each time.
#[derive(Debug, Default)]
pub struct Durations {
    /// One for each of [`Self::BOUNDS`], and one for what took longer.
    classes: [Count; 8],
    nanoseconds: AtomicU64,
}

impl Durations {
    /// The longest of each class, in seconds.
    const BOUNDS: [f64; 7] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];

    /// It has happened once more.
    pub fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let class = Self::BOUNDS.iter().position(|bound| seconds <= *bound);
        self.classes[class.unwrap_or(Self::BOUNDS.len())].add_one();
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// As a histogram.
    #[must_use]
    pub fn family(&self, name: &'static str, help: &'static str) -> Family {
        let up_to = self.up_to();
        let bucket = |(bound, count): (&dyn Display, &u64)| Sample {
            suffix: "_bucket",
            ..Sample::new(vec![("le", bound.to_string())], *count)
        };
        let bounds = Self::BOUNDS.iter().map(|bound| -> &dyn Display { bound });
        let mut samples: Vec<_> =
            bounds.chain([&"+Inf" as &dyn Display]).zip(&up_to).map(bucket).collect();
        let total = Value::Fraction(self.total().as_secs_f64());
        samples.push(Sample { suffix: "_sum", labels: Labels::new(), value: total });
        let [.., all] = up_to;
        samples.push(Sample { suffix: "_count", ..Sample::new(Labels::new(), all) });
        Family { name, kind: Kind::Histogram, help, samples }
    }

    /// How many took at most as long as each bound; the last number is that of all.
    fn up_to(&self) -> [u64; 8] {
        let mut sum = 0;
        self.classes.each_ref().map(|count| {
            sum += count.get();
            sum
        })
    }

    fn total(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_its_time_is_counted_by_how_long() {
        let durations = Durations::default();
        for milliseconds in [0, 1, 2, 60, 60, 4000] {
            durations.add(Duration::from_millis(milliseconds));
        }
        assert_eq!(durations.up_to(), [2, 3, 3, 5, 5, 5, 6, 6]);
        assert_eq!(durations.total(), Duration::from_millis(4123));
    }
}
