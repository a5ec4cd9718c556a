//! Who else names and manages the links that pods get: `NetworkManager`, systemd-networkd and udev.

use super::super::facts::Facts;
use super::super::facts::Vf;
use super::super::finding::Finding;
use super::super::systemd::{self, LinkFile};
use linkspan_types::MacAddr;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut drivers: Vec<&str> =
        facts.pfs.iter().flat_map(|pf| &pf.vfs).filter_map(|vf| vf.driver.as_deref()).collect();
    drivers.retain(|driver| *driver != "vfio-pci");
    drivers.sort_unstable();
    drivers.dedup();
    if drivers.is_empty() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if facts.names.network_manager && !facts.names.unmanaged {
        let rule: Vec<String> = drivers.iter().map(|driver| format!("driver:{driver}")).collect();
        findings.push(
            Finding::warning("network-manager", "NetworkManager runs, and no file tells it to leave VFs alone")
                .because("it configures a VF that comes back from a pod: asks for addresses, sets it up, changes its MAC")
                .help(format!(
                    "printf '[keyfile]\\nunmanaged-devices+={}\\n' > /etc/NetworkManager/conf.d/linkspan.conf; \
                     systemctl reload NetworkManager",
                    rule.join(";")
                )),
        );
    }
    for (file, line) in &facts.names.by_mac {
        findings.push(
            Finding::warning("udev", format!("{}:{line} names links by their MACs", file.display()))
                .because("a VF whose MAC a pod has changed gets another link's name when it comes back, or can't have its own")
                .help(format!("name links by their place (ID_PATH, Path=) in {}", file.display())),
        );
    }
    findings.extend(networkd(facts));
    findings.extend(mac_policy(facts));
    findings
}

/// The VFs that have a name on the host now, with their drivers.
fn named_vfs(facts: &Facts) -> impl Iterator<Item = (&Vf, &str, &str)> {
    let vfs = facts.pfs.iter().flat_map(|pf| &pf.vfs);
    vfs.filter_map(|vf| {
        let link = facts.links.links.iter().find(|link| link.pci == Some(vf.address))?;
        Some((vf, link.name.as_str(), vf.driver.as_deref()?))
    })
}

/// The files that decide about a VF, each with the first one.
fn deciding<'a>(
    facts: &'a Facts,
    files: &'a [LinkFile],
    matters: impl Fn(&LinkFile, &Vf, &str) -> bool,
) -> Vec<(&'a LinkFile, &'a str, &'a str)> {
    let mut found: Vec<(&LinkFile, &str, &str)> = Vec::new();
    for (vf, name, driver) in named_vfs(facts) {
        let Some(file) = systemd::deciding(files, name, driver) else { continue };
        if matters(file, vf, name) && !found.iter().any(|(other, ..)| other.path == file.path) {
            found.push((file, name, driver));
        }
    }
    found
}

fn place(file: &LinkFile) -> String {
    format!("{}:{}", file.path.display(), file.line.unwrap_or_default())
}

fn networkd(facts: &Facts) -> Vec<Finding> {
    let taken = deciding(facts, &facts.names.networkd, |file, _, _| !file.unmanaged);
    let finding = |(file, name, driver): (&LinkFile, &str, &str)| {
        Finding::warning("networkd", format!("{} gives VF {name} to systemd-networkd", place(file)))
            .because("it configures a VF that comes back from a pod: sets it up, asks for addresses, changes its MTU")
            .help(format!(
                "printf '[Match]\\nDriver={driver}\\n[Link]\\nUnmanaged=yes\\n' > \
                 /etc/systemd/network/05-linkspan.network; networkctl reload"
            ))
    };
    taken.into_iter().map(finding).collect()
}

/// udev makes up a MAC where the driver had to make up one: not where the PF has set it.
fn mac_policy(facts: &Facts) -> Vec<Finding> {
    let is_lent = |vf: &Vf, name: &str| {
        let set_by_pf = vf.settings.as_ref().is_some_and(|set| set.mac != MacAddr::default());
        !set_by_pf && facts.names.lent_macs.iter().any(|lent| lent == name)
    };
    let given =
        deciding(facts, &facts.names.udev, |file, vf, name| file.gives_macs && is_lent(vf, name));
    let finding = |(file, name, driver): (&LinkFile, &str, &str)| {
        Finding::warning("mac-policy", format!("{} has udev give VF {name} a MAC", place(file)))
            .because(
                "it does so whenever the VF appears, also after a reset, when a pod may have it already; and \
                 machines with one machine-id get the same MACs",
            )
            .help(format!(
                "printf '[Match]\\nDriver={driver}\\n[Link]\\nNamePolicy=keep kernel database onboard slot path\\n\
                 MACAddressPolicy=none\\n' > /etc/systemd/network/05-linkspan.link; udevadm control --reload"
            ))
    };
    given.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::facts::Names;
    use super::super::testing::{node, seen};
    use super::*;

    #[test]
    fn others_matter_where_there_are_vfs() {
        let names = Names {
            network_manager: true,
            unmanaged: false,
            by_mac: vec![("/etc/udev/rules.d/70-net.rules".into(), 3)],
            ..Names::default()
        };
        let mut facts = Facts { names, ..node() };
        let found = check(&facts);
        assert_eq!(found.len(), 2);
        assert!(found[0].help.contains("unmanaged-devices+=driver:iavf"), "{}", found[0].help);
        assert_eq!(found[1].seen, "/etc/udev/rules.d/70-net.rules:3 names links by their MACs");
        facts.names.unmanaged = true;
        assert_eq!(check(&facts).len(), 1);
        facts.pfs[0].vfs[0].driver = Some("vfio-pci".to_owned());
        assert_eq!(seen(&check(&facts)), [""; 0]);
    }

    #[test]
    fn systemd_matters_where_its_files_fit_a_vf() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/systemd/network");
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        let look = |facts: &mut Facts| {
            facts.names.networkd = systemd::files(root.path(), "network");
            facts.names.udev = systemd::files(root.path(), "link");
            check(facts)
        };
        let mut facts = node();
        write("80-all.network", "[Match]\nName=en*\n");
        write("99-default.link", "[Match]\nOriginalName=*\n[Link]\nMACAddressPolicy=persistent\n");
        let found = look(&mut facts);
        assert_eq!(found.len(), 1, "the VF's MAC is its own: {found:?}");
        assert!(found[0].seen.ends_with("80-all.network:2 gives VF ens1v0 to systemd-networkd"));
        assert!(found[0].help.contains("[Match]\\nDriver=iavf\\n[Link]\\nUnmanaged=yes"));
        write("05-linkspan.network", "[Match]\nDriver=iavf\n[Link]\nUnmanaged=yes\n");
        assert_eq!(seen(&look(&mut facts)), [""; 0]);

        facts.names.lent_macs = vec!["ens1v0".to_owned()];
        let found = look(&mut facts);
        assert_eq!((found.len(), found[0].check), (1, "mac-policy"), "{found:?}");
        assert!(found[0].seen.ends_with("99-default.link:2 has udev give VF ens1v0 a MAC"));
        facts.pfs[0].vfs[0].settings.as_mut().unwrap().mac = MacAddr([2, 0, 0, 0, 0, 9]);
        assert_eq!(seen(&look(&mut facts)), [""; 0], "the PF gives it one");
        facts.pfs[0].vfs[0].settings.as_mut().unwrap().mac = MacAddr::default();
        write("05-linkspan.link", "[Match]\nDriver=iavf\n[Link]\nMACAddressPolicy=none\n");
        assert_eq!(seen(&look(&mut facts)), [""; 0]);
    }
}
