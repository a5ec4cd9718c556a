//! Random calls, some of them the reference plugin's, give what a plain list of addresses would.

use std::collections::BTreeMap;
use std::fs;

use linkspan_config::net_conf::{IpamConf, NetConf, RuntimeInputs};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::super::{find, is_exhausted, release, reserve, retain};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Add(u8),
    Del(u8),
    /// The reference plugin gives an address of the first set.
    PeerAdds(u8),
    /// The reference plugin frees all that an owner has.
    PeerFrees(u8),
    /// GC with these owners only.
    Keep(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let owner = || 0u8..14;
    let step = prop_oneof![
        6 => owner().prop_map(Step::Add),
        4 => owner().prop_map(Step::Del),
        3 => owner().prop_map(Step::PeerAdds),
        2 => owner().prop_map(Step::PeerFrees),
        1 => (owner(), owner()).prop_map(|(from, to)| Step::Keep(from, to)),
    ];
    proptest::collection::vec(step, 1..40)
}

/// The reservations, and a plain list of who has what.
struct Checked {
    conf: HostLocalConf,
    network: NetworkName,
    taken: BTreeMap<IpAddr, u8>,
    last: Vec<Option<IpAddr>>,
    _dir: TempDir,
}

impl Checked {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let conf = json!({
            "name": "fast", "type": "sriov", "deviceID": "0000:3b:02.1",
            "ipam": { "type": "host-local", "dataDir": dir.path(), "ranges": [
                [{"subnet": "10.1.0.0/29", "exclude": ["10.1.0.3-10.1.0.4"]},
                 {"subnet": "10.2.0.0/28", "rangeStart": "10.2.0.4", "rangeEnd": "10.2.0.9",
                  "gateway": "10.2.0.6", "exclude": ["10.2.0.8", "10.2.0.12/30"]}],
                [{"subnet": "fd00::/124", "rangeStart": "fd00::5"}],
            ]},
        });
        let conf = serde_json::from_value(conf).unwrap();
        let conf = NetConf::parse(&conf, &RuntimeInputs::default(), None).unwrap();
        let IpamConf::HostLocal(conf) = conf.ipam else { unreachable!("it has such an IPAM") };
        let (network, taken) = ("fast".parse().unwrap(), BTreeMap::new());
        Self { conf, network, taken, last: vec![None; 2], _dir: dir }
    }

    /// What a set gives next.
    fn next(&self, set: usize) -> Option<IpAddr> {
        let ranges = &self.conf.sets[set].ranges;
        let mut all: Vec<IpAddr> =
            ranges.iter().flat_map(|range| range.span().addresses()).collect();
        let after = all.iter().position(|address| Some(*address) == self.last[set]);
        all.rotate_left(after.map_or(0, |place| place + 1));
        let withheld = ["10.1.0.1", "10.1.0.3", "10.1.0.4", "10.2.0.6", "10.2.0.8", "fd00::1"];
        all.retain(|address| !withheld.contains(&address.to_string().as_str()));
        all.into_iter().find(|address| !self.taken.contains_key(address))
    }

    fn of(&self, owner: u8) -> Vec<IpAddr> {
        let own = self.taken.iter().filter(|(_, other)| **other == owner);
        own.map(|(address, _)| *address).collect()
    }

    /// What an ADD should give.
    fn add(&mut self, owner: u8) -> Option<Vec<IpAddr>> {
        let before = self.taken.clone();
        let mut given = Vec::new();
        for set in 0..2 {
            let range_of = |address| self.conf.sets[set].range_of(address).is_some();
            let had = self.of(owner).into_iter().find(|address| range_of(*address));
            let Some(address) = had.or_else(|| self.next(set)) else {
                self.taken = before;
                return None;
            };
            if had.is_none() {
                self.taken.insert(address, owner);
                self.last[set] = Some(address);
            }
            given.push(address);
        }
        Some(given)
    }

    fn apply(&mut self, step: &Step) {
        let folder = self.conf.data_dir.join("fast");
        match *step {
            Step::Add(n) => {
                let result = reserve(&self.conf, &self.network, &owner(n)).ok();
                let given = result.map(|r| r.ips.iter().map(|ip| ip.address.addr()).collect());
                assert_eq!(given, self.add(n));
            }
            Step::Del(n) => {
                release(&self.conf.data_dir, &self.network, &owner(n)).unwrap();
                self.taken.retain(|_, other| *other != n);
            }
            Step::PeerAdds(n) => {
                let Some(address) = self.next(0) else { return };
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join(address.to_string()), Holder::of(&owner(n)).text()).unwrap();
                fs::write(folder.join("last_reserved_ip.0"), address.to_string()).unwrap();
                self.taken.insert(address, n);
                self.last[0] = Some(address);
            }
            Step::PeerFrees(n) => {
                for address in self.of(n) {
                    fs::remove_file(folder.join(address.to_string())).unwrap();
                }
                self.taken.retain(|_, other| *other != n);
            }
            Step::Keep(from, to) => {
                let valid: Vec<_> = (from..=to).map(owner).collect();
                let freed = retain(&self.conf.data_dir, &self.network, &valid).unwrap();
                let before = self.taken.len();
                self.taken.retain(|_, other| (from..=to).contains(other));
                assert_eq!(freed.len(), before - self.taken.len());
            }
        }
    }

    fn check(&self) {
        for n in 0..14 {
            let found = find(&self.conf.data_dir, &self.network, &owner(n)).unwrap();
            assert_eq!(found, self.of(n), "of {n}");
        }
        let full = self.next(0).is_none() || self.next(1).is_none();
        assert_eq!(is_exhausted(&self.conf, &self.network).unwrap(), full);
        let names = fs::read_dir(self.conf.data_dir.join("fast")).into_iter().flatten();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut addresses: Vec<IpAddr> = names.filter_map(|name| name.parse().ok()).collect();
        addresses.sort_unstable();
        assert!(addresses.iter().eq(self.taken.keys()));
    }
}

fn owner(n: u8) -> AttachmentId {
    AttachmentId {
        container_id: format!("container-{n}").parse().unwrap(),
        if_name: "net1".parse().unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn addresses_are_given_as_a_plain_list_would(steps in steps()) {
        let mut checked = Checked::new();
        for step in &steps {
            checked.apply(step);
        }
        checked.check();
    }
}
