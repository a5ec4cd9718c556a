//! Looks at the node: the one part of the doctor that is not a function of plain data.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use linkspan_config::net_conf::IpamConf;
use linkspan_config::resource_list::ResourceList;
use linkspan_linux::pci::{PciDevice, Sysfs, SysfsError};
use linkspan_linux::{
    HostLinks, LinkKind, Netns, OpenNetnsError, RouteSocket, VfSettings, hear_lldp,
};
use linkspan_types::MacAddr;

use super::facts::{Attachment, Facts, Iommu, Module, Names, Pf, Socket, Vf, Whose};
use super::lldp::Neighbour;
use super::systemd;
use crate::answer::Answer;
use crate::networks::{self, Network};
use crate::peer_state::PeerState;
use linkspan_cni::journal::{Journal, Record};

/// Where things are on a node.
pub(super) struct Places {
    /// What stands before every path: `/`, or a folder of a test's, or the node's as a container has it mounted.
    pub(super) root: PathBuf,
    /// The device plugin's configuration.
    pub(super) pools: PathBuf,
}

/// The modules that somebody may need.
const MODULES: [&str; 5] = ["macvlan", "ipvlan", "macvtap", "8021q", "vfio-pci"];

/// The folders of `NetworkManager`'s configuration, and of udev's and systemd's rules.
const NETWORK_MANAGER: [&str; 3] =
    ["etc/NetworkManager/conf.d", "usr/lib/NetworkManager/conf.d", "run/NetworkManager/conf.d"];
const RULES: [&str; 2] = ["etc/udev/rules.d", "etc/systemd/network"];

impl Facts {
    /// Looks at the node. What can't be looked at is as if it were not there, but for the links.
    pub(super) fn gather(places: &Places, lldp: Option<Duration>) -> Result<Self, String> {
        let at = |path: &str| places.root.join(path);
        let links = HostLinks::look().map_err(|error| error.to_string())?;
        let (plugins, mut refused) = networks::plugins(&at(networks::FOLDER));
        let mut own: Vec<Network> = Vec::new();
        for plugin in &plugins {
            match plugin.network() {
                Some(Ok(network)) => own.push(network),
                Some(Err(error)) => refused.push((plugin.file.clone(), error)),
                None => {}
            }
        }
        let file = at(places
            .pools
            .strip_prefix("/")
            .unwrap_or(&places.pools)
            .to_str()
            .unwrap_or_default());
        let pools = match ResourceList::read(&file) {
            Ok(list) => list.resources,
            Err(error) if error.is_missing() && places.pools == Path::new(networks::POOLS) => {
                Vec::new()
            }
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                refused.push((file, source.unwrap_or_else(|| error.to_string())));
                Vec::new()
            }
        };
        let attachments = attachments(&at("run/linkspan")).unwrap_or_else(|error| {
            refused.push((at("run/linkspan/attachments"), error));
            Vec::new()
        });
        let kernel = text(&at("proc/sys/kernel/osrelease")).unwrap_or_default();
        let mut facts = Self {
            modules: MODULES.map(|name| (name, module(&places.root, &kernel, name))).to_vec(),
            kernel,
            iommu: iommu(&places.root),
            pfs: pfs(&Sysfs::at(at("sys"))).unwrap_or_default(),
            links,
            sockets: sockets(&places.root, &own),
            networks: own,
            refused,
            pools,
            attachments,
            peers: PeerState::read(&places.root),
            names: names(&places.root),
            neighbours: None,
        };
        facts.neighbours = lldp.map(|bound| facts.listen(bound)).transpose()?;
        Ok(facts)
    }

    /// Listens to the switches of those links on which a network's pods ride.
    fn listen(&self, bound: Duration) -> Result<Vec<(u32, Neighbour)>, String> {
        let below = self.networks.iter().flat_map(|network| self.links_below(network));
        let mut links: Vec<u32> = below.map(|link| link.index).collect();
        links.sort_unstable();
        links.dedup();
        let heard = hear_lldp(&links, bound).map_err(|error| error.to_string())?;
        let parse = |(index, frame): (u32, Vec<u8>)| Some((index, Neighbour::parse(&frame)?));
        Ok(heard.into_iter().filter_map(parse).collect())
    }
}

fn text(file: &Path) -> Option<String> {
    fs::read_to_string(file).ok().map(|text| text.trim().to_owned())
}

/// The names in a folder, in order.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    all.sort();
    all
}

/// `modules.dep` and `modules.builtin` name each module's file, with `-` or `_` as its author liked.
fn module(root: &Path, kernel: &str, name: &str) -> Module {
    let file_name = name.replace('-', "_");
    if root.join("sys/module").join(&file_name).exists() {
        return Module::There;
    }
    let folders = ["lib/modules", "usr/lib/modules"].map(|folder| root.join(folder).join(kernel));
    let listed = |list: &str| {
        let text = folders.iter().find_map(|folder| fs::read_to_string(folder.join(list)).ok())?;
        let file =
            |line: &str| line.split(':').next()?.rsplit('/').next().map(|f| f.replace('-', "_"));
        let is = |file: String| file.split('.').next() == Some(file_name.as_str());
        Some(text.lines().filter_map(file).any(is))
    };
    match (listed("modules.builtin"), listed("modules.dep")) {
        (Some(true), _) => Module::There,
        (_, Some(true)) => Module::Loadable,
        (Some(false), Some(false)) => Module::Missing,
        _ => Module::Unknown,
    }
}

fn iommu(root: &Path) -> Iommu {
    let unsafe_mode = root.join("sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
    Iommu {
        on: !entries(&root.join("sys/kernel/iommu_groups")).is_empty(),
        unsafe_mode: text(&unsafe_mode).is_some_and(|text| text == "Y"),
    }
}

/// The network functions that are no VFs, and their VFs.
fn pfs(sysfs: &Sysfs) -> Result<Vec<Pf>, SysfsError> {
    const NETWORK: u32 = 0x02;
    let mut socket = RouteSocket::open().ok();
    let mut pfs = Vec::new();
    for address in sysfs.pci_addresses()? {
        let device = sysfs.pci(address);
        if device.identity().is_ok_and(|device| device.class >> 16 == NETWORK)
            && device.physfn()?.is_none()
        {
            pfs.push(pf(sysfs, &device, socket.as_mut())?);
        }
    }
    Ok(pfs)
}

fn pf(
    sysfs: &Sysfs,
    device: &PciDevice,
    socket: Option<&mut RouteSocket>,
) -> Result<Pf, SysfsError> {
    let name = device.net_names()?.into_iter().next();
    let functions = device.virtual_functions()?;
    let settings = match (&name, socket) {
        (Some(name), Some(socket)) if !functions.is_empty() => {
            let index = socket.link_by_name(name).map(|link| link.index);
            index.and_then(|index| socket.vf_settings(index)).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let vf = |(number, address)| {
        let settings: Option<VfSettings> =
            usize::try_from(number).ok().and_then(|number| settings.get(number).cloned());
        Ok(Vf { number, address, driver: sysfs.pci(address).driver()?, settings })
    };
    Ok(Pf {
        address: device.address(),
        name,
        driver: device.driver()?,
        total: device.total_vfs()?,
        vfs: functions.into_iter().map(vf).collect::<Result<_, _>>()?,
    })
}

fn attachments(state: &Path) -> Result<Vec<Attachment>, String> {
    let records = Journal::below(state).all().map_err(|error| error.to_string())?;
    let one = |record: &Record| {
        let netns = Netns::open(&record.netns);
        Attachment {
            owner: record.key.to_string(),
            device: record.link.device(),
            alive: !netns.as_ref().is_err_and(OpenNetnsError::is_gone),
            macs: netns.ok().map(|netns| macs(&netns, record)).unwrap_or_default(),
        }
    };
    Ok(records.iter().map(one).collect())
}

/// The MACs of an attachment's link in its pod; an ipvlan link has its parent's.
fn macs(netns: &Netns, record: &Record) -> Vec<MacAddr> {
    let Ok(links) = RouteSocket::open_in(netns).and_then(|mut socket| socket.links()) else {
        return Vec::new();
    };
    let own = |kind: &LinkKind| !matches!(kind, LinkKind::Ipvlan { .. });
    let name = record.key.interface.as_str();
    links
        .into_iter()
        .filter(|link| link.name == name && own(&link.kind))
        .filter_map(|link| link.mac)
        .collect()
}

fn sockets(root: &Path, networks: &[Network]) -> Vec<Socket> {
    let fixed = [
        (Whose::Kubelet, "var/lib/kubelet/device-plugins/kubelet.sock"),
        (Whose::PodResources, "var/lib/kubelet/pod-resources/kubelet.sock"),
        (Whose::DevicePlugin, "run/linkspan/devices.sock"),
        (Whose::Dhcp, "run/cni/dhcp.sock"),
    ];
    let mut all: Vec<(Whose, PathBuf)> =
        fixed.into_iter().map(|(whose, path)| (whose, root.join(path))).collect();
    for network in networks {
        if let IpamConf::Dhcp(dhcp) = &network.conf.ipam {
            all.push((
                Whose::Dhcp,
                root.join(dhcp.socket.strip_prefix("/").unwrap_or(&dhcp.socket)),
            ));
        }
    }
    // A network that names another socket does not need the usual one.
    if all.len() > fixed.len() {
        all.remove(3);
    }
    all.dedup_by(|one, other| one.1 == other.1);
    all.into_iter().map(|(whose, path)| Socket { whose, state: Answer::of(&path), path }).collect()
}

fn names(root: &Path) -> Names {
    let processes = entries(&root.join("proc"));
    // The kernel keeps 15 characters of a name.
    let runs = |name: &str| {
        let name = &name[..name.len().min(15)];
        processes.iter().any(|process| text(&process.join("comm")).is_some_and(|comm| comm == name))
    };
    let files = |ending| systemd::files(root, ending);
    let mut configurations = vec![root.join("etc/NetworkManager/NetworkManager.conf")];
    configurations.extend(NETWORK_MANAGER.iter().flat_map(|folder| entries(&root.join(folder))));
    let says = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().map(str::trim).any(|line| {
            line.starts_with("unmanaged-devices") || line.replace(' ', "").starts_with("managed=0")
        })
    };
    let rules = RULES.iter().flat_map(|folder| entries(&root.join(folder)));
    Names {
        network_manager: runs("NetworkManager"),
        networkd: if runs("systemd-networkd") { files("network") } else { Vec::new() },
        udev: if runs("systemd-udevd") { files("link") } else { Vec::new() },
        lent_macs: lent_macs(root),
        unmanaged: configurations.iter().any(says),
        by_mac: rules
            .filter_map(|file| Some((names_by_mac(&fs::read_to_string(&file).ok()?)?, file)))
            .map(|(line, file)| (file, line))
            .collect(),
    }
}

/// The links whose MAC was made up, by the kernel or by somebody after it.
fn lent_macs(root: &Path) -> Vec<String> {
    let links = entries(&root.join("sys/class/net")).into_iter();
    let lent = links.filter(|link| {
        let kind = text(&link.join("addr_assign_type"));
        let mac = text(&link.join("address")).unwrap_or_default();
        let first = u8::from_str_radix(mac.get(..2).unwrap_or_default(), 16).unwrap_or_default();
        kind.is_some_and(|kind| kind != "0") && first & 2 != 0
    });
    lent.filter_map(|link| link.file_name()?.to_str().map(str::to_owned)).collect()
}

/// The line of a udev rule, or of a file for systemd's links, that names links by their MACs.
fn names_by_mac(text: &str) -> Option<usize> {
    let is_rule = |line: &str| {
        let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        !line.starts_with('#') && line.contains("ATTR{address}==") && line.contains("NAME=\"")
    };
    if let Some(line) = text.lines().position(is_rule) {
        return Some(line + 1);
    }
    let begins = |key: &str| text.lines().position(|line| line.trim().starts_with(key));
    // `PermanentMACAddress=` is no matter: that of a VF is its own.
    begins("Name=")
        .filter(|_| text.contains("[Link]"))
        .and(begins("MACAddress="))
        .map(|line| line + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn root(files: &[(&str, &str)]) -> TempDir {
        let root = TempDir::new().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_module_is_there_loadable_missing_or_unknown() {
        let root = root(&[
            ("sys/module/8021q/refcnt", "0"),
            ("lib/modules/6.1.0/modules.builtin", "kernel/drivers/net/macvlan.ko\n"),
            (
                "lib/modules/6.1.0/modules.dep",
                "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/x/ipvlan.ko\n",
            ),
        ]);
        let table = [
            ("8021q", Module::There),
            ("macvlan", Module::There),
            ("vfio-pci", Module::Loadable),
            ("ipvlan", Module::Missing),
        ];
        for (name, state) in table {
            assert_eq!(module(root.path(), "6.1.0", name), state, "{name}");
        }
        assert_eq!(module(root.path(), "6.2.0", "macvlan"), Module::Unknown);
    }

    #[test]
    fn who_else_manages_links_is_found() {
        let nothing = root(&[]);
        assert!(!names(nothing.path()).network_manager);
        let rules = "# ATTR{address}==\"x\", NAME=\"y\"\nSUBSYSTEM==\"net\", ATTR{address} == \"02:..\", NAME=\"a\"\n";
        let root = root(&[
            ("proc/77/comm", "NetworkManager\n"),
            ("proc/78/comm", "systemd-udevd\n"),
            ("etc/systemd/network/20-c.network", "[Match]\nName=*\n"),
            ("sys/class/net/ens1/addr_assign_type", "0\n"),
            ("sys/class/net/ens1/address", "02:00:00:00:00:01\n"),
            ("sys/class/net/ens1v0/addr_assign_type", "3\n"),
            ("sys/class/net/ens1v0/address", "02:00:00:00:00:02\n"),
            ("sys/class/net/ens1v1/addr_assign_type", "3\n"),
            ("sys/class/net/ens1v1/address", "3c:00:00:00:00:02\n"),
            ("etc/NetworkManager/conf.d/a.conf", "[keyfile]\nunmanaged-devices+=driver:iavf\n"),
            ("etc/udev/rules.d/70-net.rules", rules),
            ("etc/udev/rules.d/80-net.rules", "SUBSYSTEM==\"net\", NAME=\"$env{ID_NET_NAME}\"\n"),
            (
                "etc/systemd/network/10-a.link",
                "[Match]\nMACAddress=02:00:00:00:00:01\n[Link]\nName=a\n",
            ),
            ("etc/systemd/network/20-b.link", "[Match]\nPath=pci-*\n[Link]\nName=b\n"),
        ]);
        let found = names(root.path());
        assert!(found.network_manager && found.unmanaged);
        assert!(found.networkd.is_empty() && found.udev.len() == 2, "who runs: udev");
        assert_eq!(found.lent_macs, ["ens1v0"]);
        let files: Vec<(String, usize)> = found
            .by_mac
            .iter()
            .map(|(file, line)| (file.file_name().unwrap().to_string_lossy().into_owned(), *line))
            .collect();
        assert_eq!(files, [("70-net.rules".to_owned(), 2), ("10-a.link".to_owned(), 2)]);
    }

    #[test]
    fn a_socket_is_missing_deaf_or_served() {
        let root = root(&[("run/cni/x", ""), ("var/lib/kubelet/pod-resources/x", "")]);
        let path = root.path().join("run/cni/dhcp.sock");
        assert_eq!(Answer::of(&path), Answer::Missing);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(Answer::of(&path), Answer::Listening(Some(_))));
        drop(listener);
        assert!(matches!(Answer::of(&path), Answer::Refused(_)));
        let states: Vec<Answer> =
            sockets(root.path(), &[]).into_iter().map(|socket| socket.state).collect();
        assert_eq!(states[0], Answer::Missing);
        assert!(matches!(states[3], Answer::Refused(_)));
    }

    #[test]
    fn a_node_is_looked_at_below_its_root() {
        let root = root(&[
            ("proc/sys/kernel/osrelease", "5.4.0\n"),
            (
                "etc/cni/net.d/10-a.conf",
                r#"{"name": "a", "type": "macvlan", "master": "nobodys0", "mtu": 9000}"#,
            ),
            (
                "etc/cni/net.d/20-b.conflist",
                r#"{"name": "b", "plugins": [{"type": "sriov", "vlan": 4095}]}"#,
            ),
            ("etc/cni/net.d/30-c.conf", "{"),
            ("etc/pcidp/config.json", r#"{"resourceList": [{"resourceName": "x"}]}"#),
            ("sys/kernel/iommu_groups/0/type", "DMA"),
        ]);
        let places =
            Places { root: root.path().to_owned(), pools: "/etc/pcidp/config.json".into() };
        let facts = Facts::gather(&places, None).unwrap();
        let elsewhere = Places { pools: "/etc/elsewhere.json".into(), ..places };
        let without = Facts::gather(&elsewhere, None).unwrap();
        assert!(without.refused.iter().any(|(file, _)| file.ends_with("etc/elsewhere.json")));
        assert_eq!(facts.kernel, "5.4.0");
        assert!(facts.iommu.on);
        assert_eq!((facts.networks.len(), facts.networks[0].mtu), (1, Some(9000)));
        let refused: Vec<String> = facts
            .refused
            .iter()
            .map(|(file, _)| file.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(refused, ["30-c.conf", "20-b.conflist", "config.json"]);
        let checks: Vec<&str> =
            super::super::checks::all(&facts).iter().map(|one| one.check).collect();
        assert_eq!(checks, ["configuration", "configuration", "configuration", "kernel", "parent"]);
    }
}
