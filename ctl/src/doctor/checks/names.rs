//! Who else names and manages the links that pods get: `NetworkManager` and udev.

use super::super::facts::Facts;
use super::super::finding::Finding;

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
    findings
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
}
