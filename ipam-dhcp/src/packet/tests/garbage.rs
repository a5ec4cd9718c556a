//! Messages that are none, and what of them is nevertheless read.

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_no_message_of_a_server() {
    type Spoil = fn(&mut Vec<u8>);
    let table: &[(&str, Spoil)] = &[
        ("nothing", Vec::clear),
        ("a header that is cut off", |bytes| bytes.truncate(239)),
        ("no options", |bytes| bytes.truncate(240)),
        ("an option without its length", |bytes| bytes.truncate(bytes.len() - 7)),
        ("an option that is cut off", |bytes| bytes.truncate(bytes.len() - 2)),
        ("too large", |bytes| bytes.resize(LARGEST + 1, 0)),
        ("a client's", |bytes| bytes[0] = 1),
        ("no Ethernet", |bytes| bytes[1] = 6),
        ("no MAC", |bytes| bytes[2] = 0),
        ("a longer MAC", |bytes| bytes[2] = 16),
        ("a MAC longer than its field", |bytes| bytes[2] = 255),
        ("another cookie", |bytes| bytes[236] = 0),
        ("no address", |bytes| bytes[16..20].fill(0)),
        ("an address of this host", |bytes| bytes[16] = 127),
        ("a group's address", |bytes| bytes[16] = 224),
        ("everybody's address", |bytes| bytes[16..20].fill(255)),
    ];
    let whole = message(&[OFFER, &[(12, b"web-0")]]);
    assert!(Reply::parse(&whole, None).is_ok());
    for (what, spoil) in table {
        let mut bytes = whole.clone();
        spoil(&mut bytes);
        assert_eq!(Reply::parse(&bytes, None), Err(Ignored::Malformed), "{what}");
    }
}

#[test]
fn what_a_message_has_to_have() {
    let (kind, server, lease) = (OFFER[0], OFFER[1], OFFER[2]);
    let table: &[(&str, Codes)] = &[
        ("no kind", &[server, lease]),
        ("an empty kind", &[(53, &[]), server, lease]),
        ("two kinds", &[kind, server, lease, (53, &[5])]),
        ("a client's kind", &[(53, &[1]), server, lease]),
        ("an unknown kind", &[(53, &[77]), server, lease]),
        ("no server", &[kind, lease]),
        ("a part of a server", &[kind, lease, (54, &[10, 0, 0])]),
        ("two servers", &[kind, server, lease, server]),
        ("a server that is none", &[kind, lease, (54, &[0; 4])]),
        ("a group of servers", &[kind, lease, (54, &[224, 0, 0, 1])]),
        ("a NAK of nobody", &[(53, &[6])]),
        ("no time", &[kind, server]),
        ("no time at all", &[kind, server, (51, &[0; 4])]),
        ("a part of a time", &[kind, server, (51, &[0, 0, 14])]),
        ("options nowhere", &[kind, server, lease, (52, &[0])]),
        ("options everywhere", &[kind, server, lease, (52, &[4])]),
        ("options in two ways", &[kind, server, lease, (52, &[1, 1])]),
    ];
    for (what, options) in table {
        let read = Reply::parse(&message(&[options]), None);
        assert_eq!(read, Err(Ignored::Malformed), "{what}");
    }
    let mut bytes = message(&[OFFER, &[(52, &[1])]]);
    bytes[235] = 15;
    assert_eq!(Reply::parse(&bytes, None), Err(Ignored::Malformed), "cut off at a field's end");
}

#[test]
fn a_frame_from_a_group_is_from_nobody() {
    let group = MacAddr([1, 0, 0x5e, 0, 0, 1]);
    for from in [None, Some(group), Some(MacAddr::ZERO)] {
        assert_eq!(Reply::parse(&message(&[OFFER]), from).unwrap().server.mac, None);
    }
}

/// What no message may bring past this module.
fn promises(reply: &Reply) {
    let host = |address: Ipv4Addr| {
        !(address.is_unspecified()
            || address.is_loopback()
            || address.is_multicast()
            || address.is_broadcast())
    };
    assert!(host(reply.server.id));
    let (Kind::Offer(terms) | Kind::Ack { terms, .. }) = &reply.kind else { return };
    assert!(host(terms.address) && terms.lease_secs > 0);
    assert!(terms.prefix_length.is_none_or(|length| (1..=32).contains(&length)));
    let settings = &terms.settings;
    assert!(settings.gateway.into_iter().chain(settings.name_servers.iter().copied()).all(host));
    for route in &settings.routes {
        assert_eq!(route.destination, route.destination.trunc());
        assert!(route.gateway.is_none_or(host));
    }
    let names = settings.search.iter().chain(&settings.domain).chain(&settings.host_name);
    for name in names {
        assert!(!name.is_empty() && name.len() <= 253, "{name:?}");
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{name:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn no_bytes_break_a_promise(bytes in prop::collection::vec(any::<u8>(), 0..1600)) {
        let _ = Reply::parse(&bytes, None).inspect(promises);
    }

    #[test]
    fn no_options_break_a_promise(
        options in prop::collection::vec(
            (
                prop::sample::select(vec![1, 3, 6, 12, 15, 26, 33, 42, 51, 52, 58, 59, 80, 119, 121, 249]),
                prop::collection::vec(prop_oneof![any::<u8>(), 0..5_u8, Just(0xc0), Just(b'a')], 0..40),
            ),
            0..12,
        ),
        fields in prop::collection::vec(any::<u8>(), 192),
        cut in 0..8_usize,
    ) {
        let options: Vec<(u8, &[u8])> = options.iter().map(|(code, value)| (*code, &value[..])).collect();
        let mut bytes = message(&[&options, OFFER]);
        bytes[44..236].copy_from_slice(&fields);
        bytes.truncate(bytes.len() - cut);
        let _ = Reply::parse(&bytes, None).inspect(promises);
    }
}
