//! Recorded sysfs trees: what a machine's `/sys` says of its NICs and accelerators, as a short text, and back.
//!
//! A text has a block for each device, and each directory of one that says something: its path below `devices`, then attributes
//! (`numa_node 1`) and links by the last part of what they lead to (`driver -> ice`). Lines that begin with `#` are
//! comments. `cargo run -p linkspan-tests --bin record` writes the text of the machine that it runs on.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use linkspan_types::{PciAddress, SubFunction};

use crate::sysfs_tree::SysfsTree;

/// The trees that are kept here. No machine's: written from what the drivers are known to say.
pub const TREES: [(&str, &str); 6] = [
    ("broadcom_bcm57414", include_str!("recorded/broadcom_bcm57414.txt")),
    ("intel_82576", include_str!("recorded/intel_82576.txt")),
    ("intel_e810", include_str!("recorded/intel_e810.txt")),
    ("intel_x710", include_str!("recorded/intel_x710.txt")),
    ("mellanox_cx5", include_str!("recorded/mellanox_cx5.txt")),
    ("mellanox_cx6", include_str!("recorded/mellanox_cx6.txt")),
];

const ATTRIBUTES: [&str; 10] = [
    "acpi_index",
    "modalias",
    "numa_node",
    "phys_port_name",
    "sfnum",
    "sriov_numvfs",
    "sriov_offset",
    "sriov_stride",
    "sriov_totalvfs",
    "type",
];

/// What a block says, in order.
type Lines = Vec<String>;

/// The text of a tree: of network controllers and accelerators, and of what is below them.
///
/// # Panics
///
/// If the tree can't be read.
#[must_use]
pub fn record(sysfs: &Path) -> String {
    let devices = fs::canonicalize(sysfs.join("devices")).unwrap();
    let mut blocks = BTreeMap::new();
    for link in fs::read_dir(sysfs.join("bus/pci/devices")).unwrap() {
        let device = fs::canonicalize(link.unwrap().path()).unwrap();
        let modalias = fs::read_to_string(device.join("modalias")).unwrap();
        if modalias.contains("bc02") || modalias.contains("bc12") {
            record_directory(&device, &devices, &mut blocks);
        }
    }
    let block =
        |(path, lines): (&PathBuf, &Lines)| format!("{}\n{}", path.display(), lines.concat());
    blocks.iter().map(block).collect()
}

fn record_directory(directory: &Path, devices: &Path, blocks: &mut BTreeMap<PathBuf, Lines>) {
    let mut lines = Lines::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let (name, path) = (entry.file_name().into_string().unwrap(), entry.path());
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            if matches!(&*name, "driver" | "physfn") || name.starts_with("virtfn") {
                let target = fs::read_link(&path).unwrap();
                lines.push(format!("  {name} -> {}\n", last(&target)));
            }
        } else if kind.is_dir() {
            if is_told(&name, directory) {
                record_directory(&path, devices, blocks);
            }
        } else if ATTRIBUTES.contains(&&*name) || name == "0" && last(directory) == "pkeys" {
            // Some can't be read while a link is down, or of any link of that driver.
            let Ok(text) = fs::read_to_string(&path) else { continue };
            lines.push(format!("  {name} {}\n", text.trim()));
        }
    }
    lines.sort();
    let path = directory.strip_prefix(devices).unwrap();
    if !lines.is_empty() || class(path).is_some() {
        blocks.insert(path.to_owned(), lines);
    }
}

/// Whether a directory is part of a device's story.
fn is_told(name: &str, parent: &Path) -> bool {
    matches!(name, "net" | "infiniband" | "ports" | "pkeys")
        || matches!(last(parent), "net" | "infiniband" | "ports")
        || name.parse::<SubFunction>().is_ok()
        || name.starts_with("virtio")
        || name.starts_with("vdpa")
}

fn last(path: &Path) -> &str {
    path.file_name().unwrap_or_default().to_str().unwrap()
}

/// One of the trees that are kept here.
///
/// # Panics
///
/// If there is none of that name.
#[must_use]
pub fn tree(name: &str) -> SysfsTree {
    play(TREES.iter().find(|(known, _)| *known == name).unwrap().1)
}

/// A tree that says what the text says.
///
/// # Panics
///
/// If the text is none of a tree.
#[must_use]
pub fn play(text: &str) -> SysfsTree {
    let tree = SysfsTree::new();
    let mut directory = PathBuf::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("  ") {
            None => directory = play_directory(&tree, Path::new(line)),
            Some(link) if link.contains(" -> ") => {
                let (name, target) = link.split_once(" -> ").unwrap();
                let target =
                    if name == "driver" { format!("drivers/{target}") } else { target.to_owned() };
                symlink(Path::new("..").join(target), directory.join(name)).unwrap();
            }
            Some(attribute) => {
                let (name, value) = attribute.split_once(' ').unwrap();
                fs::write(directory.join(name), format!("{value}\n")).unwrap();
            }
        }
    }
    tree
}

/// Makes a directory, and the link of its class or bus that leads to it.
fn play_directory(tree: &SysfsTree, path: &Path) -> PathBuf {
    let directory = tree.root().join("devices").join(path);
    fs::create_dir_all(&directory).unwrap();
    if let Some(class) = class(path) {
        let classes = tree.root().join(class);
        fs::create_dir_all(&classes).unwrap();
        let up = "../".repeat(class.split('/').count());
        symlink(format!("{up}devices/{}", path.display()), classes.join(last(path))).unwrap();
    }
    directory
}

/// The directory of the class or bus of a device.
fn class(path: &Path) -> Option<&'static str> {
    let name = last(path);
    match last(path.parent()?) {
        "net" => Some("class/net"),
        "infiniband" => Some("class/infiniband"),
        _ if name.parse::<PciAddress>().is_ok() => Some("bus/pci/devices"),
        _ if name.parse::<SubFunction>().is_ok() => Some("bus/auxiliary/devices"),
        _ if name.starts_with("vdpa") => Some("bus/vdpa/devices"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_played_is_recorded_as_it_was() {
        for (name, text) in TREES {
            let said: String =
                text.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect();
            assert_eq!(record(play(text).root()), said, "{name}");
        }
    }
}
