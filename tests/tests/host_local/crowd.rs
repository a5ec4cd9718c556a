//! Very many at once on one range.

use std::collections::HashSet;
use std::thread;

use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use serde_json::json;

use crate::folder::{Folder, PEER, add, del};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    let ours = cases![&[]; two_hundred_at_once_get_an_address_each];
    let both = cases![&[Need::Tool(PEER)]; a_hundred_of_each_program_at_once_get_an_address_each];
    ours.into_iter().chain(both)
}

fn two_hundred_at_once_get_an_address_each() {
    let folder = Folder::new(&json!([[{ "subnet": "10.9.0.0/24" }]]));
    all_at_once(&folder, &folder.ours, &folder.ours);
}

fn a_hundred_of_each_program_at_once_get_an_address_each() {
    let folder = Folder::new(&json!([[{ "subnet": "10.9.0.0/24" }]]));
    all_at_once(&folder, &folder.ours, &folder.peers);
}

/// Attaches two hundred containers, and detaches each by the program that did not attach it.
fn all_at_once(folder: &Folder, one: &Network, other: &Network) {
    let of = |n: usize| if n.is_multiple_of(2) { [one, other] } else { [other, one] };
    let given: Vec<String> = thread::scope(|scope| {
        let all: Vec<_> =
            (0..200).map(|n| scope.spawn(move || add(of(n)[0], &format!("c{n}")))).collect();
        all.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(given.iter().collect::<HashSet<_>>().len(), 200, "none is given twice: {given:?}");
    assert_eq!(folder.addresses().len(), 200);
    thread::scope(|scope| {
        for n in 0..200 {
            scope.spawn(move || del(of(n)[1], &format!("c{n}")));
        }
    });
    assert_eq!(folder.addresses(), [""; 0]);
}
