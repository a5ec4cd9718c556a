//! Points in time that mean the same before and after a restart of the daemon, and that nobody can set.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The time since the machine was started, sleep included (`CLOCK_BOOTTIME`), in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(u64);

impl Moment {
    /// Later than all others: when a lease without an end ends.
    pub const NEVER: Self = Self(u64::MAX);

    /// So many milliseconds after the machine was started.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The milliseconds since the machine was started.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The whole seconds since the machine was started; for [`Self::NEVER`] the greatest number.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        if self.0 == Self::NEVER.0 { u64::MAX } else { self.0 / 1000 }
    }

    /// So much later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long it is from `earlier` to here; nothing where that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_stays_never() {
        assert_eq!(Moment::NEVER.after(Duration::from_secs(1)), Moment::NEVER);
        assert_eq!(Moment::from_millis(1).after(Duration::MAX), Moment::NEVER);
        assert_eq!(Moment::NEVER.as_secs(), u64::MAX);
    }

    #[test]
    fn an_earlier_moment_is_no_time_ahead() {
        let (early, late) = (Moment::from_millis(1_000), Moment::from_millis(2_500));
        assert_eq!(late.since(early), Duration::from_millis(1_500));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(late.as_secs(), 2);
    }
}
