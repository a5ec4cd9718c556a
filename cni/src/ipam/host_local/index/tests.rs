//! An index that is written and read again tells what a plain list of reservations does.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const SEAL: Seal = Seal { boot: BootId(7), modified: 1_700_000_000 };

fn address(n: u16) -> IpAddr {
    let [a, b] = n.to_be_bytes();
    // Both families, and addresses that touch.
    if a & 1 == 0 { IpAddr::from([10, 1, a, b]) } else { IpAddr::V6(Ipv6Addr::from(u128::from(n))) }
}

/// An index, and what it should tell.
struct Checked {
    folder: TempDir,
    index: Index,
    /// Whose each address is.
    model: BTreeMap<IpAddr, u64>,
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, u16),
    /// So many addresses in a row.
    InsertMany(u64, u16, u16),
    Remove(prop::sample::Index),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few keys, so that one has many addresses, and of those that differ some are of one page.
    let key = || (0u64..8).prop_map(|n| n * 0x1000_0000_0000);
    let step = prop_oneof![
        4 => (key(), any::<u16>()).prop_map(|(key, n)| Step::Insert(key, n)),
        1 => (key(), any::<u16>(), 1u16..300).prop_map(|(key, n, more)| Step::InsertMany(key, n, more)),
        4 => any::<prop::sample::Index>().prop_map(Step::Remove),
        2 => Just(Step::Reopen),
    ];
    vec(step, 1..60)
}

impl Checked {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, index: Index::of(&[]), model: BTreeMap::new() }
    }

    fn insert(&mut self, key: u64, address: IpAddr) {
        // An address has one holder.
        if let Entry::Vacant(free) = self.model.entry(address) {
            free.insert(key);
            self.index.insert(key, address);
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Insert(key, n) => self.insert(*key, address(*n)),
            Step::InsertMany(key, n, more) => {
                (0..*more).for_each(|i| self.insert(*key, address(n.wrapping_add(i))));
            }
            Step::Remove(which) if !self.model.is_empty() => {
                let addresses: Vec<IpAddr> = self.model.keys().copied().collect();
                let address = *which.get(&addresses);
                let key = self.model.remove(&address).unwrap();
                self.index.remove(key, address);
            }
            Step::Remove(_) => {}
            Step::Reopen => self.reopen(),
        }
    }

    fn reopen(&mut self) {
        self.index.save(self.folder.path(), SEAL).unwrap();
        let (seal, index) = Index::open(self.folder.path()).unwrap();
        assert_eq!(seal, SEAL);
        self.index = index;
    }

    #[track_caller]
    fn check(&mut self) {
        for key in (0..9).map(|n| n * 0x1000_0000_0000) {
            let mut found = self.index.addresses_of(key).unwrap();
            found.sort_unstable();
            let expected = self.model.iter().filter(|(_, holder)| **holder == key);
            assert!(found.iter().eq(expected.map(|entry| entry.0)), "the addresses of {key:x}");
        }
        let mut taken = self.index.taken().iter().flat_map(Span::addresses);
        assert!(taken.all(|address| self.model.contains_key(&address)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_tells_what_a_list_does(steps in steps()) {
        let mut checked = Checked::new();
        for step in &steps {
            checked.apply(step);
        }
        checked.check();
        checked.reopen();
        checked.check();
    }

    #[test]
    fn no_content_makes_it_panic(
        bytes in vec(any::<u8>(), 0..64), place in 0usize..HEAD + 9000, key: u64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let addresses: Vec<_> = (0..200).map(|n| (u64::from(n), address(n))).collect();
        Index::of(&addresses).save(folder.path(), SEAL).unwrap();
        let path = folder.path().join(NAME);
        let mut content = fs::read(&path).unwrap();
        let place = place.min(content.len() - bytes.len());
        content[place..place + bytes.len()].copy_from_slice(&bytes);
        fs::write(&path, content).unwrap();
        if let Some((_, mut index)) = Index::open(folder.path()) {
            let _ = index.addresses_of(key);
            index.insert(key, address(9));
            index.remove(key, address(9));
            let _ = index.save(folder.path(), SEAL);
        }
    }
}

#[test]
fn all_is_taken_that_is_reserved_where_there_are_few_spans() {
    let mut checked = Checked::new();
    (0..u16::try_from(MOST_SPANS).unwrap()).for_each(|n| checked.insert(1, address(2 * n)));
    checked.reopen();
    let taken = checked.index.taken().iter().flat_map(Span::addresses);
    assert!(taken.eq(checked.model.keys().copied()));
}

#[test]
fn of_very_many_spans_the_longest_stay() {
    let mut checked = Checked::new();
    let v4 = |n: u32| IpAddr::V4(Ipv4Addr::from(0x0a01_0000 + n));
    (0..1000).for_each(|n| checked.insert(1, v4(2 * n)));
    (5000..5100).for_each(|n| checked.insert(2, v4(n)));
    checked.reopen();
    let longest = checked.index.taken().iter().max_by_key(Span::count).unwrap();
    assert_eq!((longest.first(), longest.last()), (v4(5000), v4(5099)));
    assert_eq!(checked.index.taken().iter().len(), MOST_SPANS);
    checked.check();
}

#[test]
fn one_that_is_not_whole_or_of_another_version_is_none() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Index::open(folder.path()).is_none());
    Index::of(&[(1, address(1))]).save(folder.path(), SEAL).unwrap();
    let path = folder.path().join(NAME);
    let whole = fs::read(&path).unwrap();
    for content in [&whole[..whole.len() - 1], &whole[..HEAD], &whole[..9], &[][..], &[0; HEAD]] {
        fs::write(&path, content).unwrap();
        assert!(Index::open(folder.path()).is_none(), "of {} bytes", content.len());
    }
    let mut other = whole.clone();
    other[7] += 1;
    fs::write(&path, other).unwrap();
    assert!(Index::open(folder.path()).is_none());
    fs::write(&path, whole).unwrap();
    assert!(Index::open(folder.path()).is_some());
}
