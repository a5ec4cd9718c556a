//! What a client makes of the times that a server gives.

use super::*;
use crate::client::times;
use crate::packet::FOREVER;

/// The times of a lease asked for at 0, in milliseconds.
fn spans(lease: u32, renew: Option<u32>, rebind: Option<u32>, random: u32) -> [u64; 3] {
    let terms = Terms { renew_secs: renew, rebind_secs: rebind, ..terms(ADDRESS, lease) };
    let lease = times::lease(SERVER, terms, Moment::from_millis(0), random, None);
    [lease.renews_at, lease.rebinds_at, lease.expires_at].map(Moment::as_millis)
}

#[test]
fn what_a_server_says_is_kept_in_order() {
    let table = [
        ((3600, None, None), [1_800_000, 3_150_000, 3_600_000]),
        ((3600, Some(600), Some(1200)), [600_000, 1_200_000, 3_600_000]),
        ((3600, Some(600), None), [600_000, 3_150_000, 3_600_000]),
        // T2 before half of the time: T1 is as far before it as always.
        ((3600, None, Some(700)), [400_000, 700_000, 3_600_000]),
        // T1 after T2, T2 after the end, and both.
        ((3600, Some(2000), Some(1200)), [685_712, 1_200_000, 3_600_000]),
        ((3600, Some(600), Some(4000)), [600_000, 3_150_000, 3_600_000]),
        ((3600, Some(9000), Some(8000)), [1_800_000, 3_150_000, 3_600_000]),
        ((3600, Some(0), Some(0)), [1_800_000, 3_150_000, 3_600_000]),
        ((3600, Some(FOREVER), Some(FOREVER)), [1_800_000, 3_150_000, 3_600_000]),
        ((1, None, None), [500, 875, 1_000]),
        ((FOREVER - 1, None, None), [2_147_483_647_000, 3_758_096_382_250, 4_294_967_294_000]),
        ((FOREVER, Some(1), Some(2)), [u64::MAX; 3]),
    ];
    for ((lease, renew, rebind), expected) in table {
        assert_eq!(spans(lease, renew, rebind, 0), expected, "{lease} {renew:?} {rebind:?}");
    }
}

#[test]
fn clients_that_began_together_renew_apart() {
    let at = |random| spans(3600, None, None, random)[0];
    assert_eq!((at(0), at(500), at(999)), (1_800_000, 1_755_000, 1_710_090));
}

#[test]
fn what_is_known_of_a_lease_is_kept() {
    let began = Moment::from_millis(0);
    let mac = Some(NEIGHBOUR);
    let known = Lease { server_mac: mac, prefix_length: 20, ..lease(ADDRESS, SERVER, 60, began) };
    let told = |server, address| {
        let terms = Terms { prefix_length: None, ..terms(address, 60) };
        let lease = times::lease(server, terms, began, 0, Some(&known));
        (lease.prefix_length, lease.server_mac)
    };
    // The ACK of a renewal comes over a socket that shows no MAC.
    assert_eq!(told(SERVER, ADDRESS), (20, mac));
    assert_eq!(told(OTHER_SERVER, ADDRESS), (20, None));
    // 10.0.0.0 is a network of class A.
    assert_eq!(told(SERVER, OTHER_ADDRESS), (8, mac));
}
