//! What holds whatever happens, in any order and at any time.

use proptest::prelude::*;

use super::*;
use crate::packet::FOREVER;

/// Something that happens, after a time.
#[derive(Clone, Debug)]
enum Happening {
    Start,
    Resume(Lease),
    Reboot(Lease),
    GiveBack(Lease),
    /// An answer; of this transaction, or of another one.
    Reply(Kind, Server, bool),
    Due,
    Probed(Ipv4Addr, Option<MacAddr>),
    Release,
}

/// When it happens.
#[derive(Clone, Copy, Debug)]
enum When {
    /// When the client wants to be woken.
    Due,
    Later(u64),
    /// The clock was put back.
    Earlier(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let address = || prop_oneof![Just(ADDRESS), Just(OTHER_ADDRESS)];
    let server = prop_oneof![Just(SERVER), Just(OTHER_SERVER)];
    let secs = || prop_oneof![Just(1), Just(60), Just(3600), Just(FOREVER), 1..FOREVER];
    let given = (address(), secs(), secs(), secs()).prop_map(|(address, lease, renew, rebind)| {
        let terms = terms(address, lease);
        Terms { renew_secs: Some(renew), rebind_secs: Some(rebind), ..terms }
    });
    let kind = prop_oneof![
        4 => given.clone().prop_map(Kind::Offer),
        4 => (given, any::<bool>())
            .prop_map(|(terms, rapid_commit)| Kind::Ack { terms, rapid_commit }),
        1 => Just(Kind::Nak),
    ];
    let known = (address(), 1..4_000_u64)
        .prop_map(|(address, secs)| lease(address, SERVER, secs, Moment::from_millis(0)));
    let neighbour = prop_oneof![Just(None), Just(Some(NEIGHBOUR)), Just(Some(MAC))];
    prop_oneof![
        2 => Just(Happening::Start),
        1 => known.clone().prop_map(Happening::Resume),
        1 => known.clone().prop_map(Happening::Reboot),
        1 => known.prop_map(Happening::GiveBack),
        12 => (kind, server, prop::bool::weighted(0.9)).prop_map(|(k, s, ours)| Happening::Reply(k, s, ours)),
        12 => Just(Happening::Due),
        3 => (address(), neighbour).prop_map(|(address, by)| Happening::Probed(address, by)),
        1 => Just(Happening::Release),
    ]
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        8 => Just(When::Due),
        8 => (0..5_u64).prop_map(When::Later),
        4 => (0..100_000_u64).prop_map(When::Later),
        // As long as a lease can be.
        1 => any::<u32>().prop_map(|secs| When::Later(u64::from(secs) * 1_000)),
        1 => any::<u64>().prop_map(When::Earlier),
    ]
}

/// What is seen of a client from outside.
struct Watched {
    played: Played,
    /// What the interface has.
    interface: Option<Lease>,
    /// The address that was written down last.
    kept: Option<Ipv4Addr>,
    forgotten: bool,
    /// The latest moment so far.
    latest: Moment,
    /// How often it was woken at that moment.
    wakes: u32,
}

impl Watched {
    fn happens(&mut self, happening: Happening, when: When) {
        let now = self.latest;
        self.played.now = match when {
            When::Due => self.played.client.wakes_at().unwrap_or(now).max(now),
            When::Later(millis) => now.after(Duration::from_millis(millis)),
            When::Earlier(millis) => Moment::from_millis(now.as_millis().saturating_sub(millis)),
        };
        self.latest = self.latest.max(self.played.now);
        let is_due = matches!(happening, Happening::Due);
        let event = match happening {
            Happening::Start => Event::Start,
            Happening::Resume(lease) => Event::Resume(lease),
            Happening::Reboot(lease) => Event::Reboot(lease),
            Happening::GiveBack(lease) => Event::GiveBack(lease),
            Happening::Reply(kind, server, ours) => {
                let mut reply = self.played.reply(server, kind);
                reply.transaction ^= u32::from(!ours);
                Event::Received(reply)
            }
            Happening::Due => Event::Due,
            Happening::Probed(address, taken_by) => Event::Probed { address, taken_by },
            Happening::Release => Event::Release,
        };
        if let (None, Event::Resume(lease) | Event::Reboot(lease)) = (&self.interface, &event)
            && self.played.client.wakes_at().is_none()
            && !self.forgotten
        {
            self.interface = Some(lease.clone());
        }
        let actions = self.played.tell(event);
        self.check(&actions, is_due);
    }

    fn check(&mut self, actions: &[Action], is_due: bool) {
        for action in actions {
            assert!(!self.forgotten || matches!(action, Action::Ignored(_)), "{action:?}");
            self.take(action);
        }
        let client = &self.played.client;
        if self.forgotten {
            assert_eq!((client.wakes_at(), client.listens()), (None, false));
            return;
        }
        assert_eq!(client.lease(), self.interface.as_ref());
        if let Some(lease) = &self.interface {
            assert!(self.latest < lease.expires_at, "used past its end");
            let awaited = client.wakes_at().unwrap_or(Moment::NEVER);
            assert!(awaited <= lease.expires_at, "its end would be missed");
        } else if client.state_name() != "INIT" || client.wakes_at().is_some() {
            let wait = client.wakes_at().expect("a way out").since(self.latest);
            assert!(wait <= Duration::from_secs(65), "{wait:?} in {}", client.state_name());
        }
        if is_due {
            // A lease may come so late that more than one thing is due at once.
            let later = client.wakes_at().is_none_or(|next| next > self.latest);
            self.wakes = if later { 0 } else { self.wakes + 1 };
            assert!(self.wakes < 3, "it spins");
        }
    }

    fn take(&mut self, action: &Action) {
        match action {
            Action::Keep(lease) => self.kept = Some(lease.address),
            Action::Bound { lease, before } => {
                assert_eq!(before, &self.interface, "never two addresses");
                if before.is_none() && self.played.client.wishes().probe != Probe::Never {
                    assert_eq!(self.kept, Some(lease.address), "written before it is used");
                }
                self.interface = Some(lease.clone());
            }
            Action::Lost(lease, _) => assert_eq!(self.interface.take().as_ref(), Some(lease)),
            Action::Forget => {
                self.forgotten = true;
                self.interface = None;
            }
            Action::Send { .. } => {
                let sent = read(action).unwrap();
                match sent.kind {
                    REQUEST if sent.server.is_some() => assert_eq!(sent.requested, self.kept),
                    REQUEST if sent.requested.is_none() => {
                        let held = self.interface.as_ref().map(|lease| lease.address);
                        assert_eq!(Some(sent.in_use), held);
                    }
                    _ => {}
                }
            }
            Action::Probe(_) | Action::Ignored(_) => {}
        }
    }

    /// From here on one server answers whatever it is asked.
    fn ends_well(mut self) {
        let running = self.played.client.wakes_at().is_some();
        let patience = self.latest.after(Duration::from_mins(3));
        while running && self.interface.is_none() && !self.forgotten {
            assert!(self.latest < patience, "{:?}", self.played.client);
            let terms = terms(OTHER_ADDRESS, 3600);
            let kind = match self.played.client.state_name() {
                "SELECTING" => Kind::Offer(terms),
                _ => Kind::Ack { terms, rapid_commit: false },
            };
            // Whoever it was that was chosen.
            for server in [SERVER, OTHER_SERVER] {
                self.happens(Happening::Reply(kind.clone(), server, true), When::Later(0));
            }
            self.happens(Happening::Due, When::Due);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn nothing_that_happens_breaks_a_promise(
        probe in prop_oneof![Just(Probe::Quick), Just(Probe::Thorough), Just(Probe::Never)],
        rapid_commit in any::<bool>(),
        happenings in prop::collection::vec((happening(), when()), 1..60),
    ) {
        let played = Played::wishing(Wishes { rapid_commit, probe, ..Wishes::default() });
        let latest = played.now;
        let mut watched = Watched { played, interface: None, kept: None, forgotten: false, latest, wakes: 0 };
        // From when on the clock may be put back.
        watched.happens(Happening::Due, When::Later(0));
        for (happening, when) in happenings {
            watched.happens(happening, when);
        }
        watched.ends_well();
    }
}
