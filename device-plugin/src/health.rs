//! The health that is told of devices: bad at once, good again only when it has been so for a while.
//! Pure: no clock.
//!
//! A link that flaps would else have pods start on it each time that it is up.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::inventory::DeviceId;
use crate::pools::{Health, Member, Reason};

/// The devices of one pool that were not well lately.
#[derive(Debug, Default)]
pub(crate) struct Damper {
    /// Since when each has been well; nothing while it is not.
    ill: HashMap<DeviceId, Option<Instant>>,
}

impl Damper {
    /// Replaces the health of devices that haven't been well for long enough, and returns when the
    /// first of them will have been, if they stay well. A device that is new is believed at once.
    pub(crate) fn settle(
        &mut self,
        members: &mut [Member],
        damping: Duration,
        now: Instant,
    ) -> Option<Instant> {
        let mut before = std::mem::take(&mut self.ill);
        let mut due: Option<Instant> = None;
        for Member { device, health, .. } in members {
            let since = match (&health, before.remove(&device.id)) {
                (Health::Healthy, None) => continue,
                (Health::Healthy, Some(since)) => since.unwrap_or(now),
                (Health::Unhealthy(_), _) => {
                    self.ill.insert(device.id.clone(), None);
                    continue;
                }
            };
            let well = since + damping;
            if well > now {
                *health = Health::Unhealthy(Reason::Recovering);
                self.ill.insert(device.id.clone(), Some(since));
                due = Some(due.map_or(well, |due| due.min(well)));
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::pools::{Needs, tests::vf};

    /// What one device is like at each second, as it is and as it is told: `+` well, `-` ill, `~`
    /// recovering, a space where it isn't there.
    #[test]
    fn what_is_bad_is_told_at_once_and_what_is_good_only_when_it_lasts() {
        let table = [
            ("well from the start", 5, "+++++", "+++++"),
            ("ill from the start", 3, "---+++++", "---~~~++"),
            ("lost and found", 5, "+-+++++++", "+-~~~~~++"),
            ("lost for long", 2, "+-----++++", "+-----~~++"),
            ("flapping", 3, "+-+-++-++++++", "+-~-~~-~~~+++"),
            ("flapping faster than it is looked at", 1, "+-+-+-++", "+-~-~-~+"),
            ("without damping", 0, "+-+-+", "+-+-+"),
            ("removed and made anew", 5, "+- ++", "+- ++"),
            ("gone while it recovers", 5, "+-++ ++", "+-~~ ++"),
        ];
        for (what, damping, is, told) in table {
            let start = Instant::now();
            let mut damper = Damper::default();
            let mut found = String::new();
            for (second, now) in is.chars().zip((0..).map(|s| start + Duration::from_secs(s))) {
                let mut members = one(second);
                damper.settle(&mut members, Duration::from_secs(damping), now);
                found.push(members.first().map_or(' ', |member| match member.health {
                    Health::Healthy => '+',
                    Health::Unhealthy(Reason::Recovering) => '~',
                    Health::Unhealthy(_) => '-',
                }));
            }
            assert_eq!(found, told, "{what}");
        }
    }

    #[test]
    fn a_look_is_due_only_while_a_device_recovers() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut damper = Damper::default();
        let mut settle = |states: [char; 2], seconds| {
            let mut members: Vec<Member> = states.into_iter().flat_map(one).collect();
            members[1].device.id = vf(2, 0).id;
            damper.settle(&mut members, Duration::from_secs(5), at(seconds))
        };
        assert_eq!(settle(['+', '+'], 0), None);
        assert_eq!(settle(['-', '-'], 1), None, "only an event can make it well");
        assert_eq!(settle(['+', '-'], 2), Some(at(7)));
        assert_eq!(settle(['+', '+'], 4), Some(at(7)), "the first of both");
        assert_eq!(settle(['+', '+'], 7), Some(at(9)));
        assert_eq!(settle(['+', '+'], 9), None);
    }

    fn one(state: char) -> Vec<Member> {
        let health = match state {
            '+' => Health::Healthy,
            '-' => Health::Unhealthy(Reason::NoDriver),
            _ => return Vec::new(),
        };
        vec![Member { device: vf(1, 0), health, needs: Needs::default() }]
    }
}
