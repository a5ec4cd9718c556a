//! The two programs at work in one folder, in any order.

use std::collections::BTreeMap;
use std::fs;

use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::folder::{Folder, PEER, add, addresses_of, call, del};

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Tool(PEER)];
        either_program_frees_what_the_other_gave,
        the_peer_is_not_disturbed_by_what_is_beside_its_files,
        hundreds_of_calls_of_both_programs_give_no_address_twice_and_lose_none,
    ]
}

fn either_program_frees_what_the_other_gave() {
    let folder =
        Folder::new(&json!([[{ "subnet": "10.9.0.0/24" }], [{ "subnet": "fd00:9::/64" }]]));
    for (one, other) in [(&folder.ours, &folder.peers), (&folder.peers, &folder.ours)] {
        let given = add(one, "c1");
        assert_eq!(folder.addresses(), given);
        let result =
            json!({ "cniVersion": "1.0.0", "ips": [{ "address": format!("{}/24", given[0]) }] });
        for network in [one, other] {
            let checked = call(&network.with("prevResult", result.clone()), "CHECK", "c1");
            assert!(checked.success, "{checked:#?}");
        }
        del(other, "c1");
        assert_eq!(folder.addresses(), [""; 0]);
        for network in [one, other] {
            let checked = call(&network.with("prevResult", result.clone()), "CHECK", "c1");
            assert!(!checked.success, "there is nothing to be found any more");
            del(network, "c1");
        }
    }
}

fn the_peer_is_not_disturbed_by_what_is_beside_its_files() {
    let folder = Folder::new(&json!([[{ "subnet": "10.9.0.0/29" }]]));
    assert_eq!(add(&folder.ours, "c1"), ["10.9.0.2"]);
    // What an ADD of ours leaves that was killed at the worst place.
    fs::hard_link(folder.path("10.9.0.2"), folder.path(".linkspan-draft")).unwrap();
    assert_eq!(add(&folder.peers, "c2"), ["10.9.0.3"]);
    del(&folder.peers, "c1");
    del(&folder.peers, "c2");
    assert_eq!(folder.names(), [".linkspan-index", "last_reserved_ip.0", "lock"]);
    assert_eq!(add(&folder.ours, "c3"), ["10.9.0.4"]);
}

/// One call, by our program or the peer.
#[derive(Clone, Debug)]
struct Step {
    ours: bool,
    verb: &'static str,
    owner: u8,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let verb = prop_oneof![5 => Just("ADD"), 3 => Just("DEL"), 1 => Just("CHECK")];
    let step = (any::<bool>(), verb, 0u8..18);
    let step = step.prop_map(|(ours, verb, owner)| Step { ours, verb, owner });
    proptest::collection::vec(step, 60..100)
}

/// What a plain list says of the network.
#[derive(Default)]
struct Model {
    /// The last numbers of IPv4 addresses, by owner.
    taken: BTreeMap<u8, u8>,
    last: u8,
}

/// The pods' addresses of 10.9.0.0/28.
const FIRST: u8 = 2;
const LAST: u8 = 14;

impl Model {
    fn next(&self) -> Option<u8> {
        let order = (self.last + 1..=LAST).chain(FIRST..=self.last);
        order.filter(|n| (FIRST..=LAST).contains(n)).find(|n| self.taken.values().all(|t| t != n))
    }
}

fn hundreds_of_calls_of_both_programs_give_no_address_twice_and_lose_none() {
    let config =
        ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() };
    let run = |steps: Vec<Step>| {
        let folder =
            Folder::new(&json!([[{ "subnet": "10.9.0.0/28" }], [{ "subnet": "fd00:9::/64" }]]));
        let mut model = Model::default();
        for step in &steps {
            let network = if step.ours { &folder.ours } else { &folder.peers };
            apply(&mut model, step, network);
            let mut expected: Vec<String> =
                model.taken.values().map(|n| format!("10.9.0.{n}")).collect();
            expected.sort();
            let mut there = folder.addresses();
            let v6 = there.split_off(there.partition_point(|name| name.starts_with("10.")));
            assert_eq!(there, expected, "after {step:?}");
            assert_eq!(v6.len(), expected.len(), "after {step:?}");
        }
        for owner in 0..18 {
            let network = if owner % 2 == 0 { &folder.ours } else { &folder.peers };
            del(network, &format!("c{owner}"));
        }
        assert_eq!(folder.addresses(), [""; 0]);
        Ok(())
    };
    TestRunner::new(config).run(&steps(), run).unwrap();
}

fn apply(model: &mut Model, step: &Step, network: &Network) {
    let Step { ours, verb, owner } = step;
    let container = format!("c{owner}");
    let had = model.taken.get(owner).copied();
    match *verb {
        "ADD" => {
            let reply = call(network, verb, &container);
            let given = match (had, ours) {
                // The peer refuses an owner whom it finds, ours repeats its answer.
                (Some(_), false) => None,
                (Some(n), true) => Some(n),
                (None, _) => model.next(),
            };
            assert_eq!(reply.success, given.is_some(), "{step:?}: {reply:#?}");
            if let Some(n) = given {
                assert_eq!(addresses_of(&reply)[0], format!("10.9.0.{n}"), "{step:?}");
                model.taken.insert(*owner, n);
                model.last = if had.is_some() { model.last } else { n };
            }
        }
        "DEL" => {
            del(network, &container);
            model.taken.remove(owner);
        }
        _ => {
            let ips: Value =
                had.map(|n| json!({ "address": format!("10.9.0.{n}/28") })).into_iter().collect();
            let result = json!({ "cniVersion": "1.0.0", "ips": ips });
            let reply = call(&network.with("prevResult", result), verb, &container);
            assert_eq!(reply.success, had.is_some(), "{step:?}: {reply:#?}");
        }
    }
}
