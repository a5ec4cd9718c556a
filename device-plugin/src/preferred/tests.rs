#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use linkspan_linux::HostLinks;
use linkspan_linux::pci::{Seen, Sysfs};
use linkspan_tests::sysfs_tree::{Pf, SysfsTree};
use proptest::prelude::*;

use super::*;
use crate::inventory::{Asked, Inventory};
use crate::pools::{Needs, Reason};

/// Four PFs `a` to `d`, the first two on NUMA node 0 and the others on node 1, of eight VFs each but
/// for `d`, which has four. Each is below a root of its own: `pci0000:0a`, ...
fn members() -> Vec<Member> {
    let tree = SysfsTree::new();
    for (bus, (numa_node, vfs)) in (0xa..).zip([(0, 8), (0, 8), (1, 8), (1, 4)]) {
        let address = format!("0000:0{bus:x}:00.0").leak();
        let pf = Pf { numa_node, ..Pf::igb(address, format!("ens{bus}").leak()) };
        tree.add_pf(&pf);
        tree.set_num_vfs(&pf, vfs);
    }
    let (inventory, _) = Inventory::read(
        &Sysfs::at(tree.root()),
        &mut Seen::default(),
        Asked::default(),
        &HostLinks::default(),
    )
    .unwrap();
    let vfs = inventory.devices.into_iter().filter(|device| device.index().is_some());
    let member = |mut device: Device| {
        device.root = format!("pci{}", &device.pf().address.to_string()[..7]).parse().ok();
        Member { device, health: Health::Healthy, needs: Needs::default() }
    };
    vfs.map(member).collect()
}

/// `a0` is the first VF of the first PF.
fn id(name: &str) -> String {
    let (pf, index) = name.split_at(1);
    let function: u32 = index.parse::<u32>().unwrap() * 2;
    format!("0000:0{pf}:1{}.{}", function / 8, function % 8)
}

fn name(id: &str) -> String {
    let digit = |at: usize| id[at..=at].parse::<u32>().unwrap();
    format!("{}{}", &id[6..7], digit(9) * 4 + digit(11) / 2)
}

/// `a0-3 b7` as IDs.
fn ids(names: &str) -> Vec<String> {
    let range = |names: &str| -> Vec<String> {
        let (pf, range) = names.split_at(1);
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().unwrap(), last.parse().unwrap());
        (first..=last).map(|index| id(&format!("{pf}{index}"))).collect()
    };
    names.split_whitespace().flat_map(range).collect()
}

fn prefer_names(
    policy: AllocationPolicy,
    available: &str,
    included: &str,
    size: usize,
) -> Option<String> {
    let (available, included) = (ids(available), ids(included));
    let wanted = Wanted { available: &available, included: &included, size };
    let chosen = prefer(policy, &members(), wanted)?;
    Some(chosen.iter().map(|id| name(id)).collect::<Vec<_>>().join(" "))
}

#[test]
fn each_policy_has_its_own_choice() {
    use AllocationPolicy::{Balanced, NearRoot, Numa, Packed};
    const ALL: &str = "a0-7 b0-7 c0-7 d0-3";
    let near = |root: &str| NearRoot(root.parse().unwrap());
    let table = [
        // Nothing is used: the PF that has the fewest and enough.
        (Packed, ALL, "", 2, "d0 d1"),
        (Packed, ALL, "", 5, "a0 a1 a2 a3 a4"),
        // b is used most.
        (Packed, "a0-6 b3-6 c0-7 d0-3", "", 1, "b3"),
        (Packed, "a0-6 b3-6 c0-7 d0-3", "", 5, "a0 a1 a2 a3 a4"),
        // No PF is enough: the largest, then, of those that are enough for the rest, the most used.
        (Packed, "a0-3 b0-5 d0-1", "", 8, "b0 b1 b2 b3 b4 b5 a0 a1"),
        // What must be included is on c: its PF first.
        (Packed, "a0-6 c0-7", "c5", 3, "c5 c0 c1"),
        (Packed, ALL, "c5 a1", 2, "a1 c5"),
        (Balanced, ALL, "", 3, "a0 b0 c0"),
        (Balanced, "a0-2 b0 d0-3", "", 4, "d0 a0 d1 a1"),
        (Balanced, "a0-2 b0-1", "a0", 3, "a0 a1 b0"),
        // Node 0 has 4, which is enough, and node 1 has 12.
        (Numa, "a0-1 b0-1 c0-7 d0-3", "", 4, "a0 a1 b0 b1"),
        (Numa, "a0-1 b0-1 c0-7 d0-3", "d1", 4, "d1 d0 d2 d3"),
        (Numa, "a0-1 b0 d0-1", "", 4, "a0 a1 b0 d0"),
        (near("pci0000:0b"), ALL, "", 2, "b0 b1"),
        (near("pci0000:0b"), "a0-7 b7 c0-7 d0", "", 3, "b7 a0 a1"),
        (near("pci0000:0b"), "c0-7 d0", "", 1, "d0"),
        (near("pci0000:0b"), "b0-7 d0", "d0", 2, "d0 b0"),
        (near("pci0000:77"), "a0-7 d0", "", 1, "d0"),
        (Packed, ALL, "", 0, ""),
    ];
    for (policy, available, included, size, expected) in table {
        let chosen = prefer_names(policy, available, included, size);
        assert_eq!(
            chosen.as_deref(),
            Some(expected),
            "{policy:?} {size} of {available:?}, {included:?}"
        );
    }
}

#[test]
fn what_can_not_be_is_left_to_the_kubelet() {
    let table = [("a0-1", "", 3), ("a0-1", "b0", 1), ("a0-3", "a0-2", 2)];
    for (available, included, size) in table {
        assert_eq!(prefer_names(AllocationPolicy::Packed, available, included, size), None);
    }
}

#[test]
fn a_device_that_is_gone_or_unhealthy_is_taken_last() {
    let mut members = members();
    members[0].health = Health::Unhealthy(Reason::NoDriver);
    let available = [ids("a0 b0"), vec!["0000:99:00.1".to_owned()]].concat();
    let first = |size| {
        let wanted = Wanted { available: &available, included: &[], size };
        prefer(AllocationPolicy::Packed, &members, wanted).unwrap()
    };
    assert_eq!(first(1), ids("b0"));
    assert_eq!(first(3).len(), 3);
}

/// How many devices of each group are among these.
fn count<K: Ord>(
    ids: &[String],
    members: &[Member],
    key: impl Fn(&Device) -> K,
) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for Member { device, .. } in members {
        if ids.contains(&device.id.to_string()) {
            *counts.entry(key(device)).or_default() += 1;
        }
    }
    counts
}

/// The fewest groups that are enough, by trying all of them.
fn fewest<K: Ord>(
    available: &BTreeMap<K, usize>,
    included: &BTreeMap<K, usize>,
    size: usize,
) -> usize {
    let sets = 0..1_u32 << available.len();
    let enough = sets.filter(|set| {
        let within = |index: usize| set & (1 << index) != 0;
        let of = available.iter().enumerate();
        let has_all = included
            .keys()
            .all(|key| available.keys().position(|known| known == key).is_some_and(within));
        has_all
            && of.filter(|(index, _)| within(*index)).map(|(_, (_, count))| count).sum::<usize>()
                >= size
    });
    enough.map(u32::count_ones).min().unwrap() as usize
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_many_as_asked_for_with_the_included_and_nothing_else(
        free in any::<u32>(),
        include in any::<[u32; 2]>(),
        share in 0.0..=1.0,
        policy in prop_oneof![
            Just(AllocationPolicy::Packed), Just(AllocationPolicy::Balanced), Just(AllocationPolicy::Numa),
            (0xa..0xe_u8).prop_map(|bus| AllocationPolicy::NearRoot(format!("pci0000:0{bus:x}").parse().unwrap())),
        ],
    ) {
        thread_local!(static MEMBERS: Vec<Member> = members());
        let members = MEMBERS.with(Clone::clone);
        let masked = |mask: u32| -> Vec<String> {
            let free = members.iter().enumerate().filter(|(index, _)| mask & (1 << index) != 0);
            free.map(|(_, member)| member.device.id.to_string()).collect()
        };
        let (available, included) = (masked(free), masked(free & include[0] & include[1]));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "0 to 28")]
        let size = included.len() + ((available.len() - included.len()) as f64 * share) as usize;
        let wanted = Wanted { available: &available, included: &included, size };
        let chosen = prefer(policy, &members, wanted).unwrap();

        let distinct: BTreeSet<&String> = chosen.iter().collect();
        prop_assert_eq!((distinct.len(), chosen.len()), (size, size));
        prop_assert!(chosen.iter().all(|id| available.contains(id)));
        prop_assert!(included.iter().all(|id| chosen.contains(id)));
        let by_pf = |ids: &[String]| count(ids, &members, |device| device.pf().address);
        let by_node = |ids: &[String]| count(ids, &members, |device| device.numa_node);
        match policy {
            AllocationPolicy::Packed => {
                let expected = fewest(&by_pf(&available), &by_pf(&included), size);
                prop_assert_eq!(by_pf(&chosen).len(), expected);
            }
            AllocationPolicy::Numa => {
                let expected = fewest(&by_node(&available), &by_node(&included), size);
                prop_assert_eq!(by_node(&chosen).len(), expected);
            }
            AllocationPolicy::Balanced => {
                let left = |pf: &PciAddress| {
                    by_pf(&available)[pf] - by_pf(&chosen).get(pf).copied().unwrap_or_default()
                };
                for (taken, count) in by_pf(&chosen) {
                    let own = count > by_pf(&included).get(&taken).copied().unwrap_or_default();
                    let most = by_pf(&available).keys().map(left).max().unwrap();
                    prop_assert!(!own || left(&taken) + 1 >= most);
                }
            }
            AllocationPolicy::NearRoot(root) => {
                let near = |ids: &[String]| count(ids, &members, |device| device.root == Some(root));
                let get = |ids: &[String]| near(ids).get(&true).copied().unwrap_or_default();
                let far = included.len() - get(&included);
                prop_assert_eq!(get(&chosen), get(&available).min(size - far));
            }
        }
    }
}
