//! From nothing to an address.

use super::*;
use crate::client::Why;
use crate::packet::Ignored;

const MOMENT: Duration = Duration::from_millis(2);

#[test]
fn four_messages_and_a_quick_probe() {
    let mut played = Played::new(Probe::Quick);
    let discover = Sent {
        kind: DISCOVER,
        in_use: Ipv4Addr::UNSPECIFIED,
        requested: None,
        server: None,
        to: Destination::Broadcast,
    };
    assert_eq!(sent(&played.tell(Event::Start)), [discover]);
    assert!(played.client.listens());

    assert_eq!(played.offer(SERVER, terms(ADDRESS, 3600)), []);
    let actions = played.pass(MOMENT);
    let asked = played.now;
    let wanted = lease(ADDRESS, SERVER, 3600, asked);
    let [Action::Keep(kept), request @ Action::Send { .. }, Action::Probe(ADDRESS)] = &actions[..]
    else {
        panic!("{actions:?}")
    };
    assert_eq!(kept, &wanted);
    let request = read(request).unwrap();
    assert_eq!(request.kind, REQUEST);
    assert_eq!((request.requested, request.server), (Some(ADDRESS), Some(SERVER.id)));
    assert_eq!(request.to, Destination::Broadcast);

    assert_eq!(played.ack(SERVER, terms(ADDRESS, 3600)), [], "the neighbours have 2 ms more");
    assert!(!played.client.listens());
    assert_eq!(played.pass(MOMENT), [Action::Bound { lease: wanted.clone(), before: None }]);
    assert_eq!(played.client.lease(), Some(&wanted));
    assert_eq!(played.client.state_name(), "BOUND");
}

#[test]
fn how_long_the_neighbours_are_waited_for() {
    // The probe, whether it ends before the ACK comes, and after how long the address is used.
    let table = [
        (Probe::Never, false, 0),
        (Probe::Quick, false, 2),
        (Probe::Quick, true, 0),
        (Probe::Thorough, false, 10_000),
        (Probe::Thorough, true, 0),
    ];
    for (probe, ends, millis) in table {
        let mut played = Played::new(probe);
        played.tell(Event::Start);
        played.offer(SERVER, terms(ADDRESS, 3600));
        played.pass(MOMENT);
        if ends {
            played.tell(Event::Probed { address: ADDRESS, taken_by: None });
        }
        let mut actions = played.ack(SERVER, terms(ADDRESS, 3600));
        if millis > 0 {
            assert_eq!(actions, [], "{probe:?}");
            assert_eq!(played.pass(Duration::from_millis(millis - 1)), [], "{probe:?}");
            actions = played.pass(Duration::from_millis(1));
        }
        assert!(bound(&actions).is_some(), "{probe:?} {ends}: {actions:?}");
    }
}

#[test]
fn a_thorough_probe_may_end_after_the_ack() {
    let mut played = Played::new(Probe::Thorough);
    played.tell(Event::Start);
    played.offer(SERVER, terms(ADDRESS, 3600));
    played.pass(MOMENT);
    played.ack(SERVER, terms(ADDRESS, 3600));
    assert_eq!(played.tell(Event::Probed { address: OTHER_ADDRESS, taken_by: None }), []);
    let actions = played.tell(Event::Probed { address: ADDRESS, taken_by: None });
    assert!(bound(&actions).is_some(), "{actions:?}");
}

#[test]
fn the_best_offer_wins() {
    let plain = terms(ADDRESS, 600);
    let longer = terms(OTHER_ADDRESS, 3600);
    let without_mask = Terms { prefix_length: None, ..terms(OTHER_ADDRESS, 3600) };
    let with_gateway = Terms {
        settings: Settings { gateway: Some(SERVER.id), ..Settings::default() },
        ..terms(OTHER_ADDRESS, 60)
    };
    let table = [
        ("the longer", plain.clone(), longer.clone(), OTHER_ADDRESS),
        ("the longer, in whichever order", longer, plain.clone(), OTHER_ADDRESS),
        ("one that says its network", without_mask, plain.clone(), ADDRESS),
        ("one with what was asked for", plain.clone(), with_gateway, OTHER_ADDRESS),
        ("the first of two that are alike", plain.clone(), terms(OTHER_ADDRESS, 600), ADDRESS),
    ];
    for (what, first, second, address) in table {
        let mut played = Played::new(Probe::Never);
        played.tell(Event::Start);
        played.offer(SERVER, first);
        played.now = played.now.after(Duration::from_millis(1));
        played.offer(OTHER_SERVER, second);
        let actions = played.pass(Duration::from_millis(1));
        assert_eq!(sent(&actions)[0].requested, Some(address), "{what}");
    }
    // After a lease has expired, its address is worth more than a long time.
    let mut played = Played::bound(Probe::Never, 60);
    played.pass(Duration::from_mins(1));
    assert_eq!(played.client.state_name(), "SELECTING");
    played.offer(SERVER, terms(ADDRESS, 60));
    played.offer(OTHER_SERVER, terms(OTHER_ADDRESS, 3600));
    assert_eq!(sent(&played.pass(MOMENT))[0].requested, Some(ADDRESS));
}

#[test]
fn a_discover_is_repeated_more_and_more_seldom() {
    let mut played = Played::new(Probe::Quick);
    let first = played.tell(Event::Start);
    let mut waited = Vec::new();
    for _ in 0..6 {
        let due = played.client.wakes_at().unwrap();
        let wait = due.since(played.now);
        waited.push(wait.as_secs());
        let actions = played.pass(wait);
        assert_eq!(kinds(&actions), [DISCOVER]);
        let (Action::Send { message, .. }, Action::Send { message: before, .. }) =
            (&actions[0], &first[0])
        else {
            panic!("{actions:?}")
        };
        assert_eq!(message[4..8], before[4..8], "the transaction stays: late offers count");
        let secs = u16::from_be_bytes([message[8], message[9]]);
        assert_eq!(u64::from(secs), waited.iter().sum::<u64>());
    }
    assert_eq!(waited, [4, 8, 16, 32, 64, 64]);
}

#[test]
fn a_wait_differs_by_a_second_at_most() {
    for random in [0, 1, 999, 1_000, 2_000, 2_001, u32::MAX] {
        for (tries, secs) in [(1, 4), (2, 8), (5, 64), (u32::MAX, 64)] {
            let wait = crate::client::times::retransmit(tries, random).as_millis();
            let around = secs * 1_000 - 1_000..=secs * 1_000 + 1_000;
            assert!(around.contains(&wait), "{tries} {random}: {wait}");
        }
    }
}

#[test]
fn a_request_whose_answer_is_lost_is_repeated_for_a_minute() {
    let mut played = Played::new(Probe::Never);
    played.tell(Event::Start);
    played.offer(SERVER, terms(ADDRESS, 3600));
    played.pass(MOMENT);
    let asked = played.now;
    assert_eq!(kinds(&played.pass(Duration::from_secs(30))), [REQUEST; 3]);
    let actions = played.ack(SERVER, terms(ADDRESS, 3600));
    // The server may have counted from the first of them.
    assert_eq!(bound(&actions).unwrap().0, &lease(ADDRESS, SERVER, 3600, asked));

    let mut played = Played::new(Probe::Never);
    played.tell(Event::Start);
    played.offer(SERVER, terms(ADDRESS, 3600));
    played.pass(MOMENT);
    let actions = played.pass(Duration::from_mins(1));
    assert_eq!(kinds(&actions), [REQUEST, REQUEST, REQUEST, DISCOVER]);
    assert_eq!(sent(&actions)[3].requested, Some(ADDRESS), "it may be ours already");
}

#[test]
fn a_refusal_begins_anew_and_a_second_one_after_a_while() {
    let mut played = Played::new(Probe::Never);
    played.tell(Event::Start);
    let mut waits = Vec::new();
    for _ in 0..7 {
        played.offer(SERVER, terms(ADDRESS, 3600));
        played.pass(MOMENT);
        let actions = played.nak(SERVER);
        if kinds(&actions) == [DISCOVER] {
            waits.push(0);
        } else {
            assert_eq!((&actions[..], played.client.state_name()), (&[][..], "INIT"));
            let wait = played.client.wakes_at().unwrap().since(played.now);
            waits.push(wait.as_secs());
            assert_eq!(kinds(&played.pass(wait)), [DISCOVER]);
        }
    }
    assert_eq!(waits, [0, 10, 20, 40, 64, 64, 64]);
}

/// Two that were offered one address would ask at the same time again and again.
#[test]
fn clients_that_were_refused_together_do_not_begin_anew_together() {
    let waits = [7, 500, 999].map(|random| {
        let mut client = Client::new(MAC, Wishes::default()).unwrap();
        let mut now = Moment::from_millis(1_000_000);
        drop(step(&mut client, Event::Start, now, random));
        for _ in 0..2 {
            let transaction = client.state.exchange().unwrap().transaction;
            let hear = |kind| {
                let server = SERVER;
                Event::Received(Reply { kind, transaction, mac: MAC, client_id: None, server })
            };
            drop(step(&mut client, hear(Kind::Offer(terms(ADDRESS, 3600))), now, random));
            now = now.after(MOMENT);
            drop(step(&mut client, Event::Due, now, random));
            drop(step(&mut client, hear(Kind::Nak), now, random));
        }
        client.wakes_at().unwrap().since(now).as_millis()
    });
    assert_eq!(waits, [10_035, 12_500, 14_995]);
}

#[test]
fn rapid_commit_takes_two_messages() {
    let wishes = Wishes { rapid_commit: true, probe: Probe::Quick, ..Wishes::default() };
    let mut played = Played::wishing(wishes.clone());
    let actions = played.tell(Event::Start);
    let Action::Send { message, .. } = &actions[0] else { panic!("{actions:?}") };
    assert_eq!(option(message, 80), Some(&[][..]));
    let asked = played.now;
    let kind = Kind::Ack { terms: terms(ADDRESS, 3600), rapid_commit: true };
    let wanted = lease(ADDRESS, SERVER, 3600, asked);
    let actions = played.hear(SERVER, kind.clone());
    assert_eq!(actions, [Action::Keep(wanted.clone()), Action::Probe(ADDRESS)]);
    assert_eq!(played.pass(MOMENT), [Action::Bound { lease: wanted, before: None }]);

    // A server that does not know of it offers, and that is as good.
    let mut played = Played::wishing(wishes);
    played.tell(Event::Start);
    played.offer(SERVER, terms(ADDRESS, 3600));
    assert_eq!(kinds(&played.pass(MOMENT)), [REQUEST]);

    // One who did not ask for it gets none.
    let mut played = Played::new(Probe::Quick);
    played.tell(Event::Start);
    assert_eq!(played.hear(SERVER, kind), [Action::Ignored(Ignored::NotAwaited)]);
}

#[test]
fn an_address_that_a_neighbour_has_is_declined() {
    let decline = |address| Sent {
        kind: DECLINE,
        in_use: Ipv4Addr::UNSPECIFIED,
        requested: Some(address),
        server: Some(SERVER.id),
        to: Destination::Broadcast,
    };
    // Before the ACK, after it, and in use.
    for acks in 0..3 {
        let mut played = Played::new(Probe::Quick);
        played.tell(Event::Start);
        played.offer(SERVER, terms(ADDRESS, 3600));
        played.pass(MOMENT);
        if acks > 0 {
            played.ack(SERVER, terms(ADDRESS, 3600));
        }
        if acks > 1 {
            played.pass(MOMENT);
        }
        assert_eq!(played.taken(OTHER_ADDRESS), [], "that is no matter of ours");
        let own = Event::Probed { address: ADDRESS, taken_by: Some(MAC) };
        assert_eq!(played.tell(own), [], "a switch sent our own question back");
        let actions = played.taken(ADDRESS);
        let lost = |action: &Action| matches!(action, Action::Lost(_, Why::Taken(NEIGHBOUR)));
        assert_eq!(actions.iter().position(lost), (acks > 1).then_some(0), "{actions:?}");
        let sent = sent(&actions);
        assert_eq!(sent[0], decline(ADDRESS));
        assert_eq!((sent[1].kind, sent[1].requested), (DISCOVER, None));
        assert_eq!(played.client.lease(), None);

        // Whoever has it again has to wait.
        played.offer(SERVER, terms(OTHER_ADDRESS, 3600));
        played.pass(MOMENT);
        assert_eq!(super::sent(&played.taken(OTHER_ADDRESS)), [decline(OTHER_ADDRESS)]);
        assert_eq!(played.pass(Duration::from_millis(9_999)), []);
        assert_eq!(kinds(&played.pass(Duration::from_millis(1))), [DISCOVER]);
    }
}

#[test]
fn answers_that_are_not_for_us_are_ignored() {
    let mut played = Played::new(Probe::Never);
    played.tell(Event::Start);
    let offer = Kind::Offer(terms(ADDRESS, 3600));
    let good = played.reply(SERVER, offer.clone());
    let table = [
        (Reply { transaction: good.transaction ^ 1, ..good.clone() }, Ignored::NotOurs),
        (Reply { mac: NEIGHBOUR, ..good.clone() }, Ignored::NotOurs),
        (Reply { client_id: Some(b"\0other".to_vec()), ..good.clone() }, Ignored::NotOurs),
        (Reply { kind: Kind::Nak, ..good.clone() }, Ignored::NotAwaited),
    ];
    for (reply, ignored) in table {
        let what = format!("{reply:?}");
        assert_eq!(played.tell(Event::Received(reply)), [Action::Ignored(ignored)], "{what}");
    }
    let same = Reply { client_id: Some(b"\0id".to_vec()), ..good };
    assert_eq!(played.tell(Event::Received(same)), []);

    played.pass(MOMENT);
    assert_eq!(played.nak(OTHER_SERVER), [Action::Ignored(Ignored::OtherServer)]);
    let other = played.ack(OTHER_SERVER, terms(ADDRESS, 60));
    assert_eq!(other, [Action::Ignored(Ignored::OtherServer)]);
    assert_eq!(played.hear(SERVER, offer), [Action::Ignored(Ignored::NotAwaited)], "too late");
    played.ack(SERVER, terms(ADDRESS, 3600));
    let twice = played.ack(SERVER, terms(ADDRESS, 3600));
    assert_eq!(twice, [Action::Ignored(Ignored::NotAwaited)]);
}

#[test]
fn a_client_identifier_that_is_provided_is_the_one() {
    let provide = vec![(61, b"\0mine".to_vec()), (60, b"class".to_vec())];
    let wishes = Wishes { provide, client_id: b"\0id".to_vec(), ..Wishes::default() };
    let mut played = Played::wishing(wishes);
    let mut messages = played.tell(Event::Start);
    let reply = played.reply(SERVER, Kind::Offer(terms(ADDRESS, 3600)));
    let reply = Reply { client_id: Some(b"\0mine".to_vec()), ..reply };
    assert_eq!(played.tell(Event::Received(reply)), []);
    messages.extend(played.pass(MOMENT));
    messages.extend(played.tell(Event::Release));
    let messages: Vec<_> = messages
        .iter()
        .filter_map(|action| match action {
            Action::Send { message, .. } => Some((option(message, 61), option(message, 60))),
            _ => None,
        })
        .collect();
    let (id, class) = (Some(&b"\0mine"[..]), Some(&b"class"[..]));
    assert_eq!(messages, [(id, class), (id, class), (id, None)], "RELEASE has the identifier too");
}

#[test]
fn what_has_no_room_in_a_message_is_refused() {
    let wishes = Wishes { provide: vec![(43, vec![0; 1_300])], ..Wishes::default() };
    let error = Client::new(MAC, wishes).unwrap_err().to_string();
    assert!(error.contains("provide fewer"), "{error}");
    let wishes = Wishes { provide: vec![(43, vec![0; 1_000])], ..Wishes::default() };
    assert!(Client::new(MAC, wishes).is_ok());
}
