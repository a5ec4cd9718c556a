//! What becomes of an address: more time, another one, its end.

use super::*;
use crate::client::Why;
use crate::packet::{FOREVER, Ignored};

const HALF_AN_HOUR: Duration = Duration::from_mins(30);

fn more_time(to: Destination) -> Sent {
    Sent { kind: REQUEST, in_use: ADDRESS, requested: None, server: None, to }
}

fn to_server() -> Destination {
    Destination::Unicast { from: ADDRESS, server: SERVER.id, server_mac: None }
}

/// A client that asks its server for more time; the lease is of an hour.
fn renewing() -> Played {
    let mut played = Played::bound(Probe::Never, 3600);
    assert_eq!(played.pass(Duration::from_secs(1799)), []);
    assert!(!played.client.listens());
    let actions = played.pass(Duration::from_secs(1));
    assert_eq!(sent(&actions), [more_time(to_server())]);
    assert_eq!(played.client.state_name(), "RENEWING");
    played
}

/// A client that asks everybody for more time.
fn rebinding() -> Played {
    let mut played = renewing();
    let actions = played.pass(Duration::from_secs(3150 - 1800));
    assert_eq!(sent(&actions).last(), Some(&more_time(Destination::BroadcastFrom(ADDRESS))));
    assert_eq!(played.client.state_name(), "REBINDING");
    played
}

#[test]
fn a_lease_is_renewed_at_half_its_time() {
    let mut played = renewing();
    let asked = played.now;
    played.now = played.now.after(Duration::from_secs(1));
    let before = played.client.lease().cloned();
    let renewed = lease(ADDRESS, SERVER, 3600, asked);
    let actions = played.ack(SERVER, terms(ADDRESS, 3600));
    assert_eq!(actions, [Action::Bound { lease: renewed.clone(), before }]);
    assert_eq!(played.client.wakes_at(), Some(renewed.renews_at));
    assert!(!played.client.listens());
}

#[test]
fn a_silent_server_is_asked_again_then_everybody_then_the_address_goes() {
    let mut played = Played::bound(Probe::Never, 3600);
    let mut asked = Vec::new();
    let began = played.now;
    let mut lost = None;
    while lost.is_none() {
        let due = played.client.wakes_at().unwrap();
        let actions = played.pass(due.since(played.now));
        let unicast = |sent: &Sent| matches!(sent.to, Destination::Unicast { .. });
        let at = played.now.since(began).as_secs();
        asked.extend(sent(&actions).iter().map(|sent| (at, sent.kind, unicast(sent))));
        lost = actions.into_iter().find(|action| matches!(action, Action::Lost(..)));
    }
    let expected = [
        // Half of what is left until 3150 each time, at least a minute.
        (1800, REQUEST, true),
        (2475, REQUEST, true),
        (2812, REQUEST, true),
        (2981, REQUEST, true),
        (3065, REQUEST, true),
        (3125, REQUEST, true),
        // Half of what is left until 3600.
        (3150, REQUEST, false),
        (3375, REQUEST, false),
        (3487, REQUEST, false),
        (3547, REQUEST, false),
        (3600, DISCOVER, false),
    ];
    assert_eq!(asked, expected);
    assert!(matches!(lost, Some(Action::Lost(_, Why::Expired))));
    assert_eq!(played.client.lease(), None);
}

#[test]
fn an_answer_is_awaited_for_ten_seconds() {
    let mut played = renewing();
    let transaction = played.client.state.exchange().unwrap().transaction;
    assert_eq!(played.pass(Duration::from_millis(9_999)), []);
    assert!(played.client.listens());
    assert_eq!(played.pass(Duration::from_millis(1)), []);
    assert!(!played.client.listens());
    let actions = played.pass(HALF_AN_HOUR / 2);
    assert_eq!(kinds(&actions), [REQUEST]);
    let other = played.client.state.exchange().unwrap().transaction;
    assert_ne!(transaction, other, "from when a server counts is known by which one it answers");
    let late = Reply { transaction, ..played.reply(SERVER, Kind::Nak) };
    assert_eq!(played.tell(Event::Received(late)), [Action::Ignored(Ignored::NotOurs)]);
}

#[test]
fn only_its_server_renews_a_lease_and_any_server_rebinds_it() {
    let mut played = renewing();
    for kind in [Kind::Nak, Kind::Ack { terms: terms(ADDRESS, 60), rapid_commit: false }] {
        let actions = played.hear(OTHER_SERVER, kind);
        assert_eq!(actions, [Action::Ignored(Ignored::OtherServer)]);
    }
    let mut played = rebinding();
    let asked = played.now;
    let before = played.client.lease().cloned();
    let actions = played.ack(OTHER_SERVER, terms(ADDRESS, 3600));
    let rebound = lease(ADDRESS, OTHER_SERVER, 3600, asked);
    assert_eq!(actions, [Action::Bound { lease: rebound, before }]);
    let Destination::Unicast { server, .. } = sent(&played.pass(HALF_AN_HOUR))[0].to else {
        panic!("renewing is between two")
    };
    assert_eq!(server, OTHER_SERVER.id);
}

#[test]
fn a_server_may_give_another_address_instead() {
    for probe in [Probe::Never, Probe::Quick] {
        let mut played = Played::bound(probe, 3600);
        played.pass(HALF_AN_HOUR);
        let (asked, before) = (played.now, played.client.lease().cloned());
        let actions = played.ack(SERVER, terms(OTHER_ADDRESS, 3600));
        let other = lease(OTHER_ADDRESS, SERVER, 3600, asked);
        assert_eq!(actions[0], Action::Bound { lease: other, before });
        let probed = [Action::Probe(OTHER_ADDRESS)];
        assert_eq!(actions[1..], probed[..usize::from(probe != Probe::Never)]);
        assert_eq!(played.taken(ADDRESS), [], "it is ours no longer");
    }
}

#[test]
fn a_refused_address_goes_at_once() {
    for mut played in [renewing(), rebinding()] {
        let before = played.client.lease().cloned().unwrap();
        let actions = played.nak(SERVER);
        assert_eq!(actions[0], Action::Lost(before, Why::Refused));
        assert_eq!((sent(&actions)[0].kind, sent(&actions)[0].requested), (DISCOVER, None));
        assert_eq!(played.client.lease(), None);
    }
}

#[test]
fn what_a_restart_finds() {
    let began = Moment::from_millis(1_000_000);
    let known = lease(ADDRESS, SERVER, 3600, began);
    let table = [
        (0, "BOUND", vec![]),
        (1799, "BOUND", vec![]),
        (1800, "RENEWING", vec![more_time(to_server())]),
        (3150, "REBINDING", vec![more_time(Destination::BroadcastFrom(ADDRESS))]),
    ];
    for (secs, state, messages) in table {
        let mut played = Played::new(Probe::Quick);
        played.now = began.after(Duration::from_secs(secs));
        let actions = played.tell(Event::Resume(known.clone()));
        assert_eq!((sent(&actions), played.client.state_name()), (messages, state), "{secs}");
        assert_eq!(played.client.lease(), Some(&known));
    }
    for event in [Event::Resume(known.clone()), Event::Reboot(known.clone())] {
        let mut played = Played::new(Probe::Quick);
        played.now = known.expires_at;
        let actions = played.tell(event);
        assert_eq!(actions[0], Action::Lost(known.clone(), Why::Expired));
        let discover = &sent(&actions)[0];
        assert_eq!((discover.kind, discover.requested), (DISCOVER, Some(ADDRESS)));
    }
    let mut played = Played::new(Probe::Quick);
    let actions = played.tell(Event::GiveBack(known));
    assert_eq!((kinds(&actions), actions.last()), (vec![RELEASE], Some(&Action::Forget)));
}

/// A client that asks whether its address still holds.
fn rebooting() -> Played {
    let mut played = Played::new(Probe::Never);
    let known = lease(ADDRESS, SERVER, 3600, played.now);
    let actions = played.tell(Event::Reboot(known));
    let reboot = Sent {
        kind: REQUEST,
        in_use: Ipv4Addr::UNSPECIFIED,
        requested: Some(ADDRESS),
        server: None,
        to: Destination::Broadcast,
    };
    assert_eq!((sent(&actions), played.client.state_name()), (vec![reboot], "REBOOTING"));
    played
}

#[test]
fn whether_an_address_still_holds_any_server_may_say() {
    let mut played = rebooting();
    let (asked, before) = (played.now, played.client.lease().cloned());
    let actions = played.ack(OTHER_SERVER, terms(ADDRESS, 600));
    let confirmed = lease(ADDRESS, OTHER_SERVER, 600, asked);
    assert_eq!(actions, [Action::Bound { lease: confirmed, before }]);

    let mut played = rebooting();
    let before = played.client.lease().cloned().unwrap();
    let actions = played.nak(OTHER_SERVER);
    assert_eq!(actions[0], Action::Lost(before, Why::Refused));
    assert_eq!(kinds(&actions), [DISCOVER]);

    // A link that was gone and is back.
    let mut played = Played::bound(Probe::Never, 3600);
    let known = played.client.lease().cloned().unwrap();
    played.tell(Event::Reboot(known));
    assert_eq!(played.client.state_name(), "REBOOTING");
}

#[test]
fn an_address_is_kept_when_nobody_says_whether_it_holds() {
    let mut played = rebooting();
    let known = played.client.lease().cloned().unwrap();
    let actions = played.pass(Duration::from_mins(1));
    assert_eq!(kinds(&actions), [REQUEST; 3]);
    let again = Action::Bound { lease: known.clone(), before: Some(known) };
    assert_eq!(actions.last(), Some(&again));
    assert_eq!(played.client.state_name(), "BOUND");
}

#[test]
fn a_release_goes_to_the_server_and_nothing_comes_after_it() {
    let release = Sent {
        kind: RELEASE,
        in_use: ADDRESS,
        requested: None,
        server: Some(SERVER.id),
        to: to_server(),
    };
    let mut requesting = Played::new(Probe::Never);
    requesting.tell(Event::Start);
    requesting.offer(SERVER, terms(ADDRESS, 3600));
    requesting.pass(Duration::from_millis(2));
    let bound = Played::bound(Probe::Never, 3600);
    for mut played in [requesting, bound, renewing(), rebinding(), rebooting()] {
        let state = played.client.state_name();
        let actions = played.tell(Event::Release);
        assert_eq!(sent(&actions), std::slice::from_ref(&release), "{state}");
        assert_eq!(actions.last(), Some(&Action::Forget), "{state}");
        assert_eq!((played.client.wakes_at(), played.client.listens()), (None, false), "{state}");
        for event in [Event::Start, Event::Due, Event::Release] {
            assert_eq!(played.tell(event), [], "{state}");
        }
    }
    let mut selecting = Played::new(Probe::Never);
    selecting.tell(Event::Start);
    assert_eq!(selecting.tell(Event::Release), [Action::Forget]);
    let mut expired = Played::bound(Probe::Never, 60);
    expired.now = expired.now.after(Duration::from_mins(2));
    assert_eq!(expired.tell(Event::Release), [Action::Forget]);
}

#[test]
fn time_leaps_past_whatever_was_due() {
    // A machine that slept: for how many seconds, and what its clients do when they wake.
    let table =
        [(2000, "RENEWING"), (3200, "REBINDING"), (3600, "SELECTING"), (u64::MAX, "SELECTING")];
    for (secs, state) in table {
        for event in [Event::Due, Event::Probed { address: ADDRESS, taken_by: None }] {
            let mut played = Played::bound(Probe::Never, 3600);
            played.now = played.now.after(Duration::from_secs(secs));
            let woken_by_due = matches!(event, Event::Due);
            let actions = played.tell(event);
            let lost = actions.iter().any(|action| matches!(action, Action::Lost(..)));
            assert_eq!(lost, secs >= 3600);
            if woken_by_due {
                assert_eq!(played.client.state_name(), state, "{secs}");
            }
        }
    }
    // One that is told of an earlier moment takes it for the last one.
    let mut played = renewing();
    let due = played.client.wakes_at();
    played.now = Moment::from_millis(0);
    assert_eq!(played.tell(Event::Due), []);
    assert_eq!(played.client.wakes_at(), due);
}

#[test]
fn a_lease_without_an_end_is_never_renewed() {
    let mut played = Played::new(Probe::Never);
    played.tell(Event::Start);
    played.offer(SERVER, terms(ADDRESS, FOREVER));
    played.pass(Duration::from_millis(2));
    let actions = played.ack(SERVER, terms(ADDRESS, FOREVER));
    assert_eq!(bound(&actions).unwrap().0.expires_at, Moment::NEVER);
    assert_eq!(played.client.wakes_at(), None);
    assert_eq!(kinds(&played.tell(Event::Release)), [RELEASE]);
}
