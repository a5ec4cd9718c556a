//! When each client wants to be woken: the one timer of all.

use std::collections::{BTreeSet, HashMap};

use linkspan_dhcp::moment::Moment;

use crate::daemon::Id;

/// At most one moment for each client.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    by_moment: BTreeSet<(Moment, Id)>,
    by_client: HashMap<Id, Moment>,
}

impl Wakes {
    /// Replaces a client's moment.
    pub(crate) fn set(&mut self, id: Id, at: Option<Moment>) {
        let before = match at {
            Some(at) => self.by_client.insert(id, at),
            None => self.by_client.remove(&id),
        };
        if let Some(before) = before {
            self.by_moment.remove(&(before, id));
        }
        self.by_moment.extend(at.map(|at| (at, id)));
    }

    /// The next moment of all.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.by_moment.first().map(|(at, _)| *at)
    }

    /// Takes out one whose moment has come.
    pub(crate) fn due(&mut self, now: Moment) -> Option<Id> {
        let first = *self.by_moment.first().filter(|(at, _)| *at <= now)?;
        self.by_moment.remove(&first);
        let (_, id) = first;
        self.by_client.remove(&id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_woken_once_in_order_and_only_when_due() {
        let at = Moment::from_millis;
        let mut wakes = Wakes::default();
        for (id, millis) in [(1, 30), (2, 10), (3, 20), (4, 40)] {
            wakes.set(Id(id), Some(at(millis)));
        }
        wakes.set(Id(1), Some(at(15)));
        wakes.set(Id(3), None);
        wakes.set(Id(9), None);
        assert_eq!(wakes.next(), Some(at(10)));
        assert_eq!(wakes.due(at(9)), None);
        let due: Vec<_> = std::iter::from_fn(|| wakes.due(at(39))).collect();
        assert_eq!(due, [Id(2), Id(1)]);
        assert_eq!(wakes.next(), Some(at(40)));
    }
}
