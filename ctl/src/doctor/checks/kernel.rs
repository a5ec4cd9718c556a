//! The kernel: its version, the modules that networks and pools need, and the IOMMU.

use linkspan_config::net_conf::KindName;
use linkspan_config::resource_list::SharesKind;

use super::super::facts::{Facts, Module};
use super::super::finding::Finding;

/// The oldest kernel that tells of a link which PCI function it is of.
const OLDEST: (u32, u32) = (5, 14);

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = version(&facts.kernel).into_iter().collect();
    findings.extend(modules(facts));
    findings.extend(iommu(facts));
    findings
}

fn version(release: &str) -> Option<Finding> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else { return None };
    ((major, minor) < OLDEST).then(|| {
        Finding::error("kernel", format!("the kernel is {release}, expected 5.14 or newer"))
            .because("older ones don't tell which link in a pod is which VF, so that a VF can't be brought back")
            .help("boot a newer kernel: RHEL 9, Debian 12 and Ubuntu 22.04 have one")
    })
}

fn modules(facts: &Facts) -> Vec<Finding> {
    let found =
        |name: &str| facts.modules.iter().find(|(known, _)| *known == name).map(|(_, m)| *m);
    let missing = |name: &str, whose: String, loads: bool| {
        let state = found(name)?;
        // The kernel loads the modules of links by itself; vfio-pci it never does.
        let fails = state == Module::Missing || (!loads && state == Module::Loadable);
        fails.then(|| {
            let seen = if state == Module::Missing {
                "has no module"
            } else {
                "has not loaded the module"
            };
            Finding::error("module", format!("the kernel {seen} {name}, which {whose} needs"))
                .because("pods that ask for it fail to start")
                .help(match state {
                    Module::Missing => format!(
                        "install the package with the kernel's other modules (linux-modules-extra, \
                         kernel-modules-extra), or build {name}"
                    ),
                    _ => format!("modprobe {name}; echo {name} > /etc/modules-load.d/{name}.conf"),
                })
        })
    };
    let mut findings = Vec::new();
    for kind in [KindName::Macvlan, KindName::Ipvlan, KindName::Macvtap] {
        let shares = facts.pools.iter().filter_map(|pool| pool.shares.as_ref()).any(|shares| {
            matches!(
                (shares.kind, kind),
                (SharesKind::Macvtap, KindName::Macvtap) | (SharesKind::Macvlan, KindName::Macvlan)
            )
        });
        if shares || facts.has_kind(kind) {
            findings.extend(missing(&kind.to_string(), format!("a network of kind {kind}"), true));
        }
    }
    let children = facts.networks.iter().filter(|network| network.conf.kind != KindName::Sriov);
    if let Some(network) = children.into_iter().find(|network| network.vlan.is_some()) {
        findings.extend(missing("8021q", format!("`vlan` of network {}", network.conf.name), true));
    }
    if facts.wants_vfio() {
        findings.extend(missing("vfio-pci", "a pool of vfio-pci".to_owned(), false));
    }
    findings
}

fn iommu(facts: &Facts) -> Option<Finding> {
    if !facts.wants_vfio() || facts.iommu.on {
        return None;
    }
    let seen = "/sys/kernel/iommu_groups is empty: the IOMMU is off, and a pool is of vfio-pci";
    Some(if facts.iommu.unsafe_mode {
        Finding::warning("iommu", format!("{seen}, with vfio's unsafe mode on"))
            .because("a pod with such a VF can write to all of the node's memory")
            .help("turn the IOMMU on in the firmware (VT-d, AMD-Vi, SMMU) and boot with intel_iommu=on iommu=pt")
    } else {
        Finding::error("iommu", seen)
            .because("no VF can be bound to vfio-pci, so that the pool stays empty")
            .help(
                "turn it on in the firmware (VT-d, AMD-Vi, SMMU), add intel_iommu=on iommu=pt to the kernel's \
                 command line, reboot",
            )
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::facts::Iommu;
    use super::super::testing::{network, node, seen, with_pools};
    use super::*;
    use serde_json::json;

    #[test]
    fn an_old_kernel_is_told() {
        let table = [
            ("5.14.0-427.el9", false),
            ("6.1.0", false),
            ("5.13.19", true),
            ("4.18.0-553", true),
            ("?", false),
        ];
        for (release, old) in table {
            assert_eq!(version(release).is_some(), old, "{release}");
        }
    }

    #[test]
    fn a_module_is_missed_only_where_it_is_needed() {
        let table = [
            (json!({"type": "ipvlan"}), ("ipvlan", Module::Missing), 1),
            (json!({"type": "ipvlan"}), ("ipvlan", Module::Loadable), 0),
            (json!({"type": "ipvlan"}), ("ipvlan", Module::Unknown), 0),
            (json!({"type": "macvlan"}), ("ipvlan", Module::Missing), 0),
            (json!({"type": "macvlan", "vlan": 5}), ("8021q", Module::Missing), 1),
            (json!({"type": "sriov", "vlan": 5}), ("8021q", Module::Missing), 0),
        ];
        for (config, module, count) in table {
            let facts = Facts { networks: vec![network(config)], modules: vec![module], ..node() };
            assert_eq!(check(&facts).len(), count, "{module:?}");
        }
    }

    #[test]
    fn pools_of_vfio_need_the_iommu_and_the_driver() {
        let off = Iommu { on: false, unsafe_mode: false };
        assert_eq!(seen(&check(&Facts { iommu: off, ..node() })), [""; 0]);
        let pools = json!([{"resourceName": "a", "selectors": {"pfNames": ["ens1"]},
                            "provision": {"numVfs": 1, "driver": "vfio-pci"}}]);
        let modules = vec![("vfio-pci", Module::Loadable)];
        let facts = Facts { iommu: off, modules, ..with_pools(&pools) };
        let checks: Vec<&str> = check(&facts).iter().map(|finding| finding.check).collect();
        assert_eq!(checks, ["module", "iommu"]);
        let unsafe_mode = Facts { iommu: Iommu { on: false, unsafe_mode: true }, ..facts };
        assert_eq!(
            iommu(&unsafe_mode).unwrap().severity,
            super::super::super::finding::Severity::Warning
        );
    }
}
