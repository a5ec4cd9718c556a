//! What a client's messages say, byte for byte.

use super::*;
use crate::wishes::Wishes;

fn wishes() -> Wishes {
    Wishes { client_id: b"\0id".to_vec(), request: vec![1, 3, 6], ..Wishes::default() }
}

fn written(asked: Asked, wishes: &Wishes) -> Vec<u8> {
    Request { asked, transaction: TRANSACTION, secs: 0x0506, mac: MAC, wishes }.bytes()
}

/// The options of a message in their order; what comes after their end is all zeros.
fn options(bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut options = Vec::new();
    let mut rest = &bytes[240..];
    while rest[0] != 255 {
        let (value, next) = rest[2..].split_at(rest[1].into());
        options.push((rest[0], value));
        rest = next;
    }
    assert!(rest[1..].iter().all(|byte| *byte == 0));
    options
}

#[test]
fn a_discover_as_it_goes_out() {
    let bytes = written(Asked::Any(Some(ADDRESS)), &wishes());
    assert_eq!(bytes.len(), 300, "no shorter than a message of BOOTP");
    let mut header = vec![1, 1, 6, 0, 1, 2, 3, 4, 5, 6, 0, 0];
    header.resize(28, 0);
    header.extend(MAC.0);
    header.resize(236, 0);
    header.extend([99, 130, 83, 99]);
    assert_eq!(bytes[..240], header);
    let expected: Codes =
        &[(53, &[1]), (50, &[10, 0, 0, 7]), (61, b"\0id"), (57, &[5, 220]), (55, &[1, 3, 6])];
    assert_eq!(options(&bytes), expected);
}

#[test]
fn each_message_has_what_table_5_says() {
    let (address, server) = (ADDRESS, SERVER);
    let (none, held) = ([0; 4], [10, 0, 0, 7]);
    let table: &[(Asked, [u8; 4], u8, &[u8])] = &[
        (Asked::Any(None), none, 1, &[53, 61, 57, 55, 60]),
        (Asked::Selected { address, server }, none, 3, &[53, 50, 54, 61, 57, 55, 60]),
        (Asked::Known(address), none, 3, &[53, 50, 61, 57, 55, 60]),
        (Asked::MoreTime(address), held, 3, &[53, 61, 57, 55, 60]),
        (Asked::Declined { address, server }, none, 4, &[53, 50, 54, 61]),
        (Asked::Released { address, server }, held, 7, &[53, 54, 61]),
    ];
    for (asked, in_use, kind, codes) in table {
        let wishes = Wishes { provide: vec![(60, b"class".to_vec())], broadcast: true, ..wishes() };
        let bytes = written(*asked, &wishes);
        assert_eq!(bytes[12..16], *in_use, "{asked:?}");
        let options = options(&bytes);
        assert_eq!(options[0].1, [*kind], "{asked:?}");
        assert_eq!(options.iter().map(|(code, _)| *code).collect::<Vec<_>>(), *codes, "{asked:?}");
        // Whoever has the address hears what is sent to it.
        assert_eq!(bytes[10], if *in_use == none { 0x80 } else { 0 }, "{asked:?}");
    }
}

#[test]
fn what_is_provided_replaces_what_is_not_the_protocols() {
    let long = vec![7; 300];
    let provide = vec![
        (77, b"class".to_vec()),
        (55, vec![121]),
        (43, long.clone()),
        (61, b"\0mine".to_vec()),
        (80, Vec::new()),
        (53, vec![9]),
        (54, vec![9; 4]),
        (50, vec![9; 4]),
        (52, vec![3]),
        (255, vec![]),
        (0, vec![]),
    ];
    let bytes = written(Asked::Any(None), &Wishes { provide, ..wishes() });
    let expected: Codes = &[
        (53, &[1]),
        (61, b"\0mine"),
        (57, &[5, 220]),
        (55, &[121]),
        (77, b"class"),
        (43, &long[..255]),
        (43, &long[255..]),
        (80, &[]),
    ];
    assert_eq!(options(&bytes), expected);
}

#[test]
fn only_a_discover_asks_for_rapid_commit() {
    let wishes = Wishes { rapid_commit: true, ..wishes() };
    let has = |asked| options(&written(asked, &wishes)).contains(&(80, &[]));
    assert!(has(Asked::Any(None)));
    assert!(!has(Asked::Known(ADDRESS)));
}

#[test]
fn a_message_has_room_for_so_much() {
    let fits = |length| fits(&Wishes { provide: vec![(43, vec![0; length])], ..Wishes::default() });
    // 240 of the header, 3 + 6 + 6 + 4 of the client's own options, a length and a code for every 255, an end.
    assert!(fits(1_472 - 240 - 19 - 2 * 5 - 1));
    assert!(!fits(1_472 - 240 - 19 - 2 * 5));
}
