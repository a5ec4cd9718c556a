//! What is read of a server's messages, and what is written to it.

mod garbage;
mod settings;
mod written;

use std::net::Ipv4Addr;

use linkspan_types::{MacAddr, Mtu};

use super::*;
use crate::lease::Route;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xa]);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);
const TRANSACTION: u32 = 0x0102_0304;

/// Options by code, in the order in which they are in a message.
type Codes<'a> = &'a [(u8, &'a [u8])];

/// What every offer has.
const OFFER: Codes = &[(53, &[2]), (54, &[10, 0, 0, 1]), (51, &[0, 0, 14, 16])];

/// The message of a server, with these options.
fn message(options: &[Codes]) -> Vec<u8> {
    let mut bytes = vec![2, 1, 6, 0];
    bytes.extend(TRANSACTION.to_be_bytes());
    bytes.resize(16, 0);
    bytes.extend(ADDRESS.octets());
    bytes.resize(28, 0);
    bytes.extend(MAC.0);
    bytes.resize(236, 0);
    bytes.extend(MAGIC);
    for (code, value) in options.concat() {
        bytes.extend(encoded(code, value));
    }
    bytes.push(255);
    bytes
}

fn encoded(code: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap();
    [&[code, length], value].concat()
}

/// What comes with an offer that has these options besides.
fn offered(options: Codes) -> Terms {
    let reply = Reply::parse(&message(&[OFFER, options]), None);
    match reply {
        Ok(Reply { kind: Kind::Offer(terms), .. }) => terms,
        other => panic!("{options:?}: {other:?}"),
    }
}

#[test]
fn an_offer_with_all_that_is_read() {
    let search = b"\x03lab\x07example\x03org\x00\xc0\x04";
    let options: Codes = &[
        (1, &[255, 255, 240, 0]),
        (3, &[10, 0, 0, 1, 10, 0, 0, 2]),
        (6, &[10, 0, 0, 3, 10, 0, 0, 4]),
        (12, b"web-0"),
        (15, b"example.org"),
        (26, &[5, 120]),
        (33, &[192, 168, 9, 0, 10, 0, 0, 2]),
        (42, &[10, 0, 0, 5]),
        (58, &[0, 0, 0, 100]),
        (59, &[0, 0, 0, 200]),
        (61, b"\0id"),
        (119, search),
    ];
    let from = MacAddr([2, 0, 0, 0, 0, 1]);
    let route = Route { destination: "192.168.9.0/24".parse().unwrap(), gateway: Some(host(2)) };
    let terms = Terms {
        address: ADDRESS,
        prefix_length: Some(20),
        lease_secs: 3600,
        renew_secs: Some(100),
        rebind_secs: Some(200),
        settings: Settings {
            gateway: Some(host(1)),
            routes: vec![route],
            name_servers: vec![host(3), host(4)],
            domain: Some("example.org".into()),
            search: vec!["lab.example.org".into(), "example.org".into()],
            mtu: Mtu::try_from(1400).ok(),
            time_servers: vec![host(5)],
            host_name: Some("web-0".into()),
        },
    };
    let expected = Reply {
        kind: Kind::Offer(terms),
        transaction: TRANSACTION,
        mac: MAC,
        client_id: Some(b"\0id".to_vec()),
        server: Server { id: SERVER, mac: Some(from) },
    };
    assert_eq!(Reply::parse(&message(&[OFFER, options]), Some(from)), Ok(expected));
}

#[test]
fn an_ack_and_a_nak() {
    let options: Codes = &[(53, &[5]), (54, &[10, 0, 0, 1]), (51, &[255; 4])];
    for (rapid, rapid_commit) in [(&[][..], false), (&[(80, &[][..])][..], true)] {
        let reply = Reply::parse(&message(&[options, rapid]), None).unwrap();
        let Kind::Ack { terms, rapid_commit: read } = reply.kind else { panic!("{reply:?}") };
        assert_eq!((read, terms.lease_secs), (rapid_commit, FOREVER));
    }
    let options: Codes = &[(53, &[6]), (54, &[10, 0, 0, 1]), (56, b"not yours")];
    let mut bytes = message(&[options]);
    bytes[16..20].fill(0);
    assert_eq!(Reply::parse(&bytes, None).unwrap().kind, Kind::Nak);
}

#[test]
fn options_in_pieces_are_joined() {
    // RFC 3396: wherever the pieces are, the file's name before the server's.
    let mut bytes = message(&[OFFER, &[(52, &[3]), (15, b"a"), (1, &[255; 4]), (15, b"b")]]);
    bytes[108..112].copy_from_slice(&[15, 1, b'c', 255]);
    bytes[44..48].copy_from_slice(&[15, 1, b'd', 255]);
    let Kind::Offer(terms) = Reply::parse(&bytes, None).unwrap().kind else { panic!() };
    assert_eq!(terms.settings.domain.as_deref(), Some("abcd"));
    // The fields are options only where the message says so.
    for (overload, domain) in [(1, "abc"), (2, "abd")] {
        bytes[257] = overload;
        assert_eq!(bytes[255..257], [52, 1]);
        let Kind::Offer(terms) = Reply::parse(&bytes, None).unwrap().kind else { panic!() };
        assert_eq!(terms.settings.domain.as_deref(), Some(domain));
    }
    // More than an option has room for: sixty routes of five bytes.
    let routes: Vec<u8> = (1..=60).flat_map(|net| [8, net, 10, 0, 0, 2]).collect();
    let terms = offered(&[(121, &routes[..255]), (121, &routes[255..])]);
    assert_eq!(terms.settings.routes.len(), 60);
}

fn host(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}
