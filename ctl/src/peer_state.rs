//! What the programs that Linkspan stands in for have left on a node, or still use.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use linkspan_linux::Netns;
use linkspan_types::PciAddress;

/// What there is of peers on a node.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerState {
    /// The VFs that sriov-cni has given to pods, as its files say.
    pub(super) sriov: Vec<HeldVf>,
    /// host-local's reservations, also those that Linkspan has made: the layout is the same.
    pub(super) reservations: Vec<Reservation>,
    /// Whether a runtime's cache of results is there, by which it is told who still is.
    pub(super) knows_containers: bool,
}

/// A VF that sriov-cni has given to a pod.
#[derive(Clone, Debug)]
pub(super) struct HeldVf {
    pub(super) device: PciAddress,
    /// sriov-cni's own file.
    pub(super) file: PathBuf,
    /// Whether the pod's namespace is there.
    pub(super) alive: bool,
}

/// An address that host-local has given to a container.
#[derive(Clone, Debug)]
pub(super) struct Reservation {
    pub(super) network: String,
    pub(super) address: IpAddr,
    pub(super) file: PathBuf,
    /// Whether a runtime's cache has the container.
    pub(super) is_known: bool,
}

/// Where runtimes and Multus keep the results of attachments; each name has the container's ID in it.
const CACHES: [&str; 3] =
    ["var/lib/cni/results", "var/lib/cni/multus", "var/lib/cni/multus/results"];

impl PeerState {
    /// Reads it below the root of a node's files.
    pub(super) fn read(root: &Path) -> Self {
        let known: Vec<String> = CACHES.iter().flat_map(|cache| names(&root.join(cache))).collect();
        let knows_containers = root.join(CACHES[0]).is_dir();
        Self {
            sriov: held_vfs(root),
            reservations: reservations(&root.join("var/lib/cni/networks"), &known),
            knows_containers,
        }
    }

    /// The reservations of containers that no runtime knows, by network.
    pub(super) fn left_reservations(&self) -> BTreeMap<&str, Vec<&Reservation>> {
        let mut by_network: BTreeMap<&str, Vec<&Reservation>> = BTreeMap::new();
        let left = self.reservations.iter().filter(|one| self.knows_containers && !one.is_known);
        for one in left {
            by_network.entry(&one.network).or_default().push(one);
        }
        by_network
    }
}

fn held_vfs(root: &Path) -> Vec<HeldVf> {
    let folder = root.join("var/lib/cni/sriov/pci");
    let held = names(&folder).into_iter().filter_map(|name| {
        let file = folder.join(&name);
        let netns = fs::read_to_string(&file).ok()?;
        let path = root.join(netns.trim().trim_start_matches('/'));
        let alive = !Netns::open(&path).is_err_and(|error| error.is_gone());
        Some(HeldVf { device: name.parse().ok()?, file, alive })
    });
    held.collect()
}

fn reservations(folder: &Path, known: &[String]) -> Vec<Reservation> {
    let mut all = Vec::new();
    for network in names(folder) {
        for name in names(&folder.join(&network)) {
            let Ok(address) = name.parse() else { continue };
            let file = folder.join(&network).join(&name);
            let Ok(text) = fs::read_to_string(&file) else { continue };
            let container = text.lines().next().unwrap_or_default().trim().to_owned();
            let is_known =
                !container.is_empty() && known.iter().any(|name| name.contains(&container));
            all.push(Reservation { network: network.clone(), address, file, is_known });
        }
    }
    all
}

/// The names in a folder, in order; none where it can't be read.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn what_peers_have_left_is_told_from_what_they_use() {
        let root = TempDir::new().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("var/lib/cni/sriov/pci/0000:3b:02.1", "/run/netns/gone");
        write("var/lib/cni/sriov/pci/vf_lock/0000:3b:02.1.lock", "");
        write("var/lib/cni/networks/fast/10.1.2.3", "aaaa\r\neth0");
        write("var/lib/cni/networks/fast/10.1.2.4", "bbbb\r\nnet1");
        write("var/lib/cni/networks/fast/10.1.2.5", "");
        write("var/lib/cni/networks/fast/last_reserved_ip.0", "10.1.2.4");
        let before = PeerState::read(root.path());
        assert!(before.left_reservations().is_empty(), "nobody knows who still is");
        write("var/lib/cni/results/fast-aaaa-eth0", "{}");
        let state = PeerState::read(root.path());
        assert_eq!(state.sriov.len(), 1);
        assert!(!state.sriov[0].alive);
        let left: Vec<String> =
            state.left_reservations()["fast"].iter().map(|one| one.address.to_string()).collect();
        assert_eq!(left, ["10.1.2.4", "10.1.2.5"]);
    }
}
