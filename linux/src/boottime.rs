//! The time since the machine was started, sleep included (`CLOCK_BOOTTIME`): nobody can set it, and it means the same
//! to one run of a program as to the next.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::readable::readable;

/// How long the machine has been running.
#[must_use]
pub fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::try_from(now).unwrap_or_default()
}

/// A timer of this clock: unlike tokio's own it goes on while the machine sleeps.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
}

impl Alarm {
    /// One that never rings. To be called in a tokio runtime.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self { timer: readable(timerfd_create(TimerfdClockId::Boottime, flags)?)? })
    }

    /// Has it ring once, so long after the machine was started; at once where that is in the past, and never
    /// where there is no such time.
    pub fn set(&self, at: Option<Duration>) -> io::Result<()> {
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Zero would stop the timer.
        let least = Duration::from_nanos(1);
        let at = at.and_then(|at| Timespec::try_from(at.max(least)).ok());
        let value = Itimerspec { it_interval: never, it_value: at.unwrap_or(never) };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &value)?;
        Ok(())
    }

    /// Waits until it has rung since it was last set or waited for.
    pub async fn ring(&self) -> io::Result<()> {
        let read = |timer: &OwnedFd| Ok(rustix::io::read(timer, &mut [0; 8])?);
        self.timer.async_io(Interest::READABLE, read).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[tokio::test]
    async fn it_rings_when_it_is_set_to_and_only_then() {
        let alarm = Alarm::new().unwrap();
        let start = since_boot();
        alarm.set(Some(start + Duration::from_millis(20))).unwrap();
        alarm.ring().await.unwrap();
        assert!(since_boot() >= start + Duration::from_millis(20));
        alarm.set(Some(Duration::ZERO)).unwrap();
        alarm.ring().await.unwrap();
        for at in [None, Some(Duration::MAX)] {
            alarm.set(Some(start)).unwrap();
            alarm.set(at).unwrap();
            let rung = tokio::time::timeout(Duration::from_millis(20), alarm.ring()).await;
            assert!(rung.is_err(), "{at:?}");
        }
    }
}
