//! What goes with an address, where servers are careless or hostile.

use super::*;

#[test]
fn a_mask_without_holes() {
    let table: &[(&[u8], Option<u8>)] = &[
        (&[255, 255, 255, 0], Some(24)),
        (&[255, 255, 255, 255], Some(32)),
        (&[128, 0, 0, 0], Some(1)),
        (&[0, 0, 0, 0], None),
        (&[255, 0, 255, 0], None),
        (&[0, 0, 0, 255], None),
        (&[255, 255, 255], None),
        (&[255, 255, 255, 0, 0], None),
    ];
    for (mask, length) in table {
        assert_eq!(offered(&[(1, mask)]).prefix_length, *length, "{mask:?}");
    }
}

#[test]
fn the_class_of_an_address() {
    for (first, length) in [(1, 8), (127, 8), (128, 16), (191, 16), (192, 24), (223, 24)] {
        assert_eq!(class_prefix(Ipv4Addr::new(first, 0, 0, 1)), length, "{first}");
    }
}

#[test]
fn what_is_not_meant_is_not_there() {
    let none = Settings::default();
    let table: &[(&str, Codes)] = &[
        ("an MTU that no link has", &[(26, &[0, 67])]),
        ("a part of an MTU", &[(26, &[5])]),
        ("a gateway that is none", &[(3, &[0; 4])]),
        ("a part of a gateway", &[(3, &[10, 0, 0])]),
        ("a name server and a half", &[(6, &[10, 0, 0, 3, 10, 0])]),
        ("a group of name servers", &[(6, &[224, 0, 0, 1])]),
        ("another line", &[(15, b"a\nnameserver 192.0.2.1")]),
        ("a space", &[(15, b"a.org b.org")]),
        ("an empty label", &[(15, b"a..org")]),
        ("a name that is none", &[(15, b"."), (12, b"")]),
        ("an option of a program", &[(12, b"-rf")]),
        ("no text", &[(12, &[0xff, 0xfe])]),
        ("a long label", &[(12, &[b'a'; 64])]),
    ];
    for (what, options) in table {
        assert_eq!(offered(options).settings, none, "{what}");
    }
    // Two dots are one too many, zeros at the end are C's.
    let settings = offered(&[(15, b"example.org.\0\0"), (12, b"web_0\0")]).settings;
    assert_eq!(settings.domain.as_deref(), Some("example.org"));
    assert_eq!(settings.host_name.as_deref(), Some("web_0"));
    let doubled = offered(&[(6, &[10, 0, 0, 3, 0, 0, 0, 0, 10, 0, 0, 3])]).settings;
    assert_eq!(doubled.name_servers, [host(3)]);
}

/// The default route's next hop, and the other routes as text.
fn routes(options: Codes) -> (Option<Ipv4Addr>, Vec<String>) {
    let settings = offered(options).settings;
    let text = |route: &Route| match route.gateway {
        Some(gateway) => format!("{} via {gateway}", route.destination),
        None => route.destination.to_string(),
    };
    (settings.gateway, settings.routes.iter().map(text).collect())
}

#[test]
fn classless_routes_replace_the_others() {
    let router: (u8, &[u8]) = (3, &[10, 0, 0, 1]);
    let classful: (u8, &[u8]) = (33, &[192, 168, 9, 0, 10, 0, 0, 9]);
    let classless: (u8, &[u8]) = (121, &[16, 172, 16, 10, 0, 0, 2]);
    let microsofts: (u8, &[u8]) = (249, &[16, 172, 17, 10, 0, 0, 3]);
    let cut: (u8, &[u8]) = (121, &[16, 172, 16, 10, 0, 0]);
    let table: &[(Codes, Option<Ipv4Addr>, &[&str])] = &[
        (&[router], Some(host(1)), &[]),
        (&[router, classful], Some(host(1)), &["192.168.9.0/24 via 10.0.0.9"]),
        (&[router, classful, microsofts], None, &["172.17.0.0/16 via 10.0.0.3"]),
        (&[router, classful, microsofts, classless], None, &["172.16.0.0/16 via 10.0.0.2"]),
        (&[router, microsofts, cut], None, &["172.17.0.0/16 via 10.0.0.3"]),
        (&[router, cut], Some(host(1)), &[]),
        (&[router, (121, &[])], Some(host(1)), &[]),
        (&[router, (121, &[33, 1, 2, 3, 4, 5, 10, 0, 0, 2])], Some(host(1)), &[]),
    ];
    for (options, gateway, expected) in table {
        let expected = expected.iter().map(ToString::to_string).collect();
        assert_eq!(routes(options), (*gateway, expected), "{options:?}");
    }
}

#[test]
fn routes_of_every_length() {
    let table: &[(&[u8], Option<Ipv4Addr>, &[&str])] = &[
        (&[0, 10, 0, 0, 2], Some(host(2)), &[]),
        (&[0, 0, 0, 0, 0], None, &["0.0.0.0/0"]),
        (&[8, 172, 0, 0, 0, 0], None, &["172.0.0.0/8"]),
        (&[32, 10, 9, 8, 7, 10, 0, 0, 2], None, &["10.9.8.7/32 via 10.0.0.2"]),
        // Bits past the length mean nothing (RFC 3442), and the first of two to one place counts.
        (&[12, 172, 31, 0, 0, 0, 0, 12, 172, 16, 10, 0, 0, 2], None, &["172.16.0.0/12"]),
        (&[1, 255, 10, 0, 0, 2], None, &["128.0.0.0/1 via 10.0.0.2"]),
        (&[8, 9, 224, 0, 0, 1, 8, 11, 10, 0, 0, 2], None, &["11.0.0.0/8 via 10.0.0.2"]),
        (&[0, 10, 0, 0, 2, 0, 10, 0, 0, 3], Some(host(2)), &[]),
    ];
    for (value, gateway, expected) in table {
        let expected = expected.iter().map(ToString::to_string).collect();
        assert_eq!(routes(&[(121, value)]), (*gateway, expected), "{value:?}");
    }
}

#[test]
fn routes_to_classes_and_to_hosts() {
    let table: &[(&[u8], &[&str])] = &[
        (&[11, 0, 0, 0, 10, 0, 0, 2], &["11.0.0.0/8 via 10.0.0.2"]),
        (&[172, 16, 0, 0, 10, 0, 0, 2], &["172.16.0.0/16 via 10.0.0.2"]),
        (&[192, 168, 1, 9, 10, 0, 0, 2], &["192.168.1.9/32 via 10.0.0.2"]),
        (&[0, 0, 0, 0, 10, 0, 0, 2], &[]),
        (&[11, 0, 0, 0, 0, 0, 0, 0], &[]),
        (&[11, 0, 0, 0, 10, 0, 0], &[]),
    ];
    for (value, expected) in table {
        assert_eq!(routes(&[(33, value)]).1, *expected, "{value:?}");
    }
}

#[test]
fn a_search_list_as_dns_writes_it() {
    let long = [&[63][..], &[b'a'; 63]].concat();
    let too_long = [&long[..], &long, &long, &long, &[0]].concat();
    let table: &[(&str, &[u8], &[&str])] = &[
        ("two names", b"\x01a\x00\x01b\x01c\x00", &["a", "b.c"]),
        ("a name in another", b"\x01a\x03org\x00\x01b\xc0\x02", &["a.org", "b.org"]),
        ("the same twice", b"\x01a\x00\xc0\x00", &["a"]),
        ("the root", b"\x00\x01a\x00", &["a"]),
        ("a name that refers to itself", b"\x01a\x00\xc0\x03", &["a"]),
        ("a name that refers to a later one", b"\xc0\x02\x01a\x00", &[]),
        ("two that refer to each other", b"\x01a\xc0\x04\x01b\xc0\x00", &[]),
        ("one that refers to nowhere", b"\x01a\x00\xc0\xff", &["a"]),
        ("half a reference", b"\x01a\x00\xc0", &["a"]),
        ("a name without an end", b"\x01a\x00\x01b", &["a"]),
        ("a label of another kind", b"\x01a\x00\x41b\x00", &["a"]),
        ("a dot in a label", b"\x03a.b\x00\x01c\x00", &["a.b", "c"]),
        ("another line", b"\x03a\nb\x00\x01c\x00", &["c"]),
        ("a name that is too long", &too_long[..], &[]),
    ];
    for (what, value, expected) in table {
        let (first, second) = value.split_at(value.len().min(255));
        let search = offered(&[(119, first), (119, second)]).settings.search;
        assert_eq!(search, *expected, "{what}");
    }
}

#[test]
fn a_search_list_is_read_for_so_long() {
    // Names that refer to the one before, each read by way of all others, and a last one.
    let mut value = b"\x01a\x00".to_vec();
    while value.len() < 512 {
        let before = u16::try_from(value.len().saturating_sub(2)).unwrap();
        let before = if value.len() == 3 { 0 } else { before };
        value.extend((0xc000 | before).to_be_bytes());
    }
    for (length, expected) in [(509, &["a", "z"][..]), (511, &["a"])] {
        let value = [&value[..length], b"\x01z\x00"].concat();
        let pieces: Vec<(u8, &[u8])> = value.chunks(255).map(|piece| (119, piece)).collect();
        assert_eq!(offered(&pieces).settings.search, expected, "{length}");
    }
}
