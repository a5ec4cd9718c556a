//! A look that builds on earlier ones shows what one does that knows nothing, whatever has happened in between: told
//! by an event or not.

use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;

const PFS: [(&str, &str); 2] = [("0000:01:00.0", "ens1"), ("0000:81:00.0", "ens2")];
const VFS: u32 = 4;
const NAMES: [&str; 5] = ["ens1", "ens1v0", "eth0", "eth1", "ens2v1"];
const DRIVERS: [Option<&str>; 4] = [None, Some("igbvf"), Some("vfio-pci"), Some("igb")];
/// What else belongs to devices.
const PARTS: [(&str, [&str; 2]); 3] = [
    ("class/infiniband", ["mlx5_0", "mlx5_1"]),
    ("bus/vdpa/devices", ["vdpa0", "vdpa1"]),
    ("bus/auxiliary/devices", ["mlx5_core.sf.1", "mlx5_core.sf.2"]),
];

/// Something that happens to a tree; what can't be done at that moment is left.
#[derive(Clone, Debug)]
enum Step {
    /// A PF is plugged in, or out.
    Plug(Pf),
    SetVfs(Pf, u32),
    /// A VF goes without its PF's doing, or comes back.
    Vf(Pf, u32),
    /// Another device takes the place of one.
    Replace(PciAddress, u16),
    Bind(PciAddress, Option<&'static str>),
    TakeInterfaces(PciAddress),
    AddInterface(PciAddress, &'static str),
    Rename(&'static str, &'static str),
    /// Something comes to belong to a device, or goes.
    Part(PciAddress, &'static str, &'static str),
    NumaNode(PciAddress, &'static str),
    Look,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pf = || proptest::sample::select(PFS.to_vec()).prop_map(|(at, name)| Pf::igb(at, name));
    let vf = (pf(), 0..VFS).prop_map(|(pf, index)| pf.vf(index));
    let at = || prop_oneof![pf().prop_map(|pf| pf.address.parse().unwrap()), vf.clone()];
    let name = || proptest::sample::select(NAMES.to_vec());
    let part = proptest::sample::select(PARTS.to_vec())
        .prop_flat_map(|(class, names)| (Just(class), proptest::sample::select(names.to_vec())));
    let drivers = proptest::sample::select(DRIVERS.to_vec());
    let nodes = proptest::sample::select(vec!["-1", "0", "1", "nonsense"]);
    let step = prop_oneof![
        1 => pf().prop_map(Step::Plug),
        3 => (pf(), 0..=VFS).prop_map(|(pf, count)| Step::SetVfs(pf, count)),
        3 => (pf(), 0..VFS).prop_map(|(pf, index)| Step::Vf(pf, index)),
        2 => (at(), 1..9u16).prop_map(|(at, number)| Step::Replace(at, number)),
        2 => (at(), drivers).prop_map(|(at, driver)| Step::Bind(at, driver)),
        1 => at().prop_map(Step::TakeInterfaces),
        3 => (at(), name()).prop_map(|(at, name)| Step::AddInterface(at, name)),
        2 => (name(), name()).prop_map(|(from, to)| Step::Rename(from, to)),
        3 => (at(), part).prop_map(|(at, (class, name))| Step::Part(at, class, name)),
        1 => (at(), nodes).prop_map(|(at, node)| Step::NumaNode(at, node)),
        6 => Just(Step::Look),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Whether there is anything at a path, a link that leads nowhere included.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn do_step(tree: &SysfsTree, step: Step) {
    let has = |at: PciAddress| tree.device(at).is_dir();
    let net = |name: &str| tree.root().join("class/net").join(name);
    match step {
        Step::Plug(pf) => match pf.address.parse() {
            Ok(at) if has(at) => tree.remove_device(at),
            _ if is_there(&net(pf.name)) => {}
            _ => tree.add_pf(&pf),
        },
        Step::SetVfs(pf, _)
            if !tree.device(pf.address.parse().unwrap()).join("sriov_numvfs").exists() => {}
        Step::SetVfs(pf, count) => {
            let wanted = |index: u32| index < count;
            (0..VFS).filter(|index| wanted(*index) != has(pf.vf(*index))).for_each(|index| {
                do_step(tree, Step::Vf(pf.clone(), index));
            });
        }
        Step::Vf(pf, index) => {
            let at = pf.vf(index);
            let virtfn = tree.device(pf.address.parse().unwrap()).join(format!("virtfn{index}"));
            match (has(at), is_there(&virtfn)) {
                (true, true) => tree.remove_vf(&pf, index),
                (true, false) => tree.remove_device(at),
                (false, true) => fs::remove_file(virtfn).unwrap(),
                (false, false) => {
                    let name = format!("{}v{index}", pf.name);
                    if virtfn.parent().unwrap().is_dir() && !is_there(&net(&name)) {
                        tree.add_vf(&pf, index);
                    }
                }
            }
        }
        Step::Replace(at, number) if has(at) => {
            tree.remove_device(at);
            tree.add_device(at, 0x15b3, number, 0);
            match number {
                1 => tree.write(at, "modalias", &modalias(0x15b3, number, "bc01sc08i02")),
                2 => tree.write(at, "modalias", "nonsense"),
                _ => {}
            }
        }
        Step::Bind(at, driver) if has(at) => tree.bind(at, driver),
        Step::TakeInterfaces(at) if has(at) => tree.take_interfaces(at),
        Step::AddInterface(at, name) if has(at) && !is_there(&net(name)) => {
            tree.add_interface(at, name);
        }
        Step::Rename(from, to) if is_there(&net(from)) && !is_there(&net(to)) => {
            let directory = fs::canonicalize(net(from)).unwrap();
            fs::rename(&directory, directory.with_file_name(to)).unwrap();
            let target = fs::read_link(net(from)).unwrap().with_file_name(to);
            fs::remove_file(net(from)).unwrap();
            symlink(target, net(to)).unwrap();
        }
        Step::Part(at, class, name) => {
            let directory = tree.root().join(class);
            fs::create_dir_all(&directory).unwrap();
            let link = directory.join(name);
            if is_there(&link) {
                fs::remove_file(link).unwrap();
            } else {
                symlink(format!("../../devices/pci0000:00/{at}/{name}"), link).unwrap();
            }
        }
        Step::NumaNode(at, node) if has(at) => tree.write(at, "numa_node", node),
        _ => {}
    }
}

fn look(tree: &SysfsTree, seen: &mut Seen) -> (Inventory, Vec<String>) {
    let read = Inventory::read(&Sysfs::at(tree.root()), seen, ALL, &HostLinks::default());
    let (inventory, errors) = read.unwrap();
    (inventory, errors.iter().map(ToString::to_string).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_look_that_builds_on_others_shows_what_a_first_one_does(steps in steps()) {
        let (tree, mut seen) = (SysfsTree::new(), Seen::default());
        for step in PFS.map(|(at, name)| Step::Plug(Pf::igb(at, name))).into_iter().chain(steps) {
            if let Step::Look = step {
                prop_assert_eq!(look(&tree, &mut seen), look(&tree, &mut Seen::default()));
            }
            do_step(&tree, step);
        }
        prop_assert_eq!(look(&tree, &mut seen), look(&tree, &mut Seen::default()));
    }
}
