//! The time of an event, as RFC 3339 has it, in UTC and to the millisecond.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time.
pub(crate) struct Utc {
    days: u64,
    milliseconds: u64,
}

const MILLISECONDS_OF_DAY: u64 = 24 * 60 * 60 * 1000;

impl From<SystemTime> for Utc {
    /// A clock that stands before 1970 was not set: that is 1970.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        Self { days: since / MILLISECONDS_OF_DAY, milliseconds: since % MILLISECONDS_OF_DAY }
    }
}

impl Utc {
    /// Year, month and day. Counted in years that begin in March, so that a leap day is their last, and from the year
    /// 0, whose March 1 is 719,468 days before 1970.
    fn date(&self) -> (u64, u64, u64) {
        let days = self.days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        (era * 400 + year + u64::from(month <= 2), month, day)
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let (seconds, fraction) = (self.milliseconds / 1000, self.milliseconds % 1000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_shown_as_date_shows_them() {
        // By `date -u -d @SECONDS +%FT%T`.
        let table = [
            (0, "1970-01-01T00:00:00.000Z"),
            (68_169_600_000, "1972-02-29T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_795_303_828_007, "2026-11-21T23:30:28.007Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (13_574_563_199_000, "2400-02-28T23:59:59.000Z"),
            (13_574_563_200_000, "2400-02-29T00:00:00.000Z"),
        ];
        for (milliseconds, text) in table {
            let time = UNIX_EPOCH + Duration::from_millis(milliseconds);
            assert_eq!(Utc::from(time).to_string(), text);
        }
        assert_eq!(Utc::from(UNIX_EPOCH - Duration::from_secs(1)).to_string(), table[0].1);
    }
}
