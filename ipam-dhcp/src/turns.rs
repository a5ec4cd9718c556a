//! Whose turn it is to ask for more time, where many want to: so many at once as a server has room for, and the next
//! when one of them is answered.

use std::collections::HashMap;
use std::time::Duration;

use linkspan_dhcp::moment::Moment;

use crate::daemon::Id;

/// How many ask at once: a UDP socket has room for some two hundred questions that its server has yet to read.
const AT_ONCE: usize = 32;
/// How long one that is not answered keeps others waiting.
const PATIENCE: Duration = Duration::from_secs(1);

/// Those who ask, and until when they keep their turn.
#[derive(Debug, Default)]
pub(crate) struct Turns(HashMap<Id, Moment>);

impl Turns {
    /// Begins a client's turn; returns whether there is one.
    pub(crate) fn begin(&mut self, id: Id, now: Moment) -> bool {
        if self.0.len() >= AT_ONCE {
            self.0.retain(|_, until| now < *until);
        }
        let is_free = self.0.len() < AT_ONCE;
        if is_free {
            self.0.insert(id, now.after(PATIENCE));
        }
        is_free
    }

    /// Ends it: the client does not wait for an answer any more.
    pub(crate) fn end(&mut self, id: Id) {
        self.0.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_ask_at_once_and_the_next_when_one_is_answered_or_never_will_be() {
        let at = Moment::from_millis;
        let mut turns = Turns::default();
        let most = u64::try_from(AT_ONCE).unwrap();
        for id in 0..most {
            assert!(turns.begin(Id(id), at(id)));
        }
        assert!(!turns.begin(Id(most), at(most)));
        turns.end(Id(7));
        assert!(turns.begin(Id(most), at(most)));
        assert!(!turns.begin(Id(7), at(999)));
        // The first has waited for a second.
        assert!(turns.begin(Id(7), at(1000)));
        assert!(!turns.begin(Id(0), at(1000)));
    }
}
