//! PFs and VFs: whether the pools' can be there, and have drivers.

use super::super::facts::{Facts, Pf};
use super::super::finding::Finding;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pool in &facts.pools {
        let wanted = pool.provision.as_ref().and_then(|provision| provision.num_vfs);
        for pf in facts.pfs_of(pool) {
            findings.extend(vfs(pf, &pool.name, wanted));
        }
        let named = pool.selectors.iter().flat_map(|selector| {
            let names = selector.pf_names.iter().map(|wanted| wanted.pf.to_string());
            names.chain(selector.root_devices.iter().map(|wanted| wanted.pf.to_string()))
        });
        let is_there = |name: &String| {
            let is = |pf: &Pf| pf.address.to_string() == *name;
            facts.pfs.iter().any(|pf| is(pf) || pf.name.as_ref().is_some_and(|own| own.as_str() == name))
                // A PF may have no VFs to give and be a NIC all the same.
                || facts.links.links.iter().any(|link| link.name == *name)
        };
        findings.extend(named.filter(|name| !is_there(name)).map(|name| {
            Finding::warning(
                "pf",
                format!("pool {} selects PF {name}, which this node has not", pool.name),
            )
            .because("the pool has no devices of it")
            .help(format!(
                "ip link; lspci -D | grep -i ethernet; then name the right PF in place of {name}"
            ))
        }));
    }
    for pf in &facts.pfs {
        findings.extend(drivers(pf, facts));
    }
    findings.dedup();
    findings
}

/// Whether the PF can give the VFs that a pool wants.
fn vfs(pf: &Pf, pool: &str, wanted: Option<u16>) -> Option<Finding> {
    let name = pf.called();
    let off = |seen: String| {
        Finding::error("sriov-off", seen)
            .because(format!("the PF can have no VFs, so that pool {pool} stays without them"))
            .help(
                "turn SR-IOV on in the firmware: of the machine (SR-IOV, and ARI where there is a choice), and of the \
                 NIC (mlxconfig -d DEVICE set SRIOV_EN=1 NUM_OF_VFS=N; bnxtnvm; the NIC's page in the UEFI setup); \
                 reboot. Without room for VFs the kernel says so: dmesg | grep -i 'not enough MMIO', and boots with \
                 pci=realloc",
            )
    };
    match (pf.total, wanted) {
        (None, _) => Some(off(format!("PF {name} of pool {pool} has no SR-IOV (no sriov_totalvfs)"))),
        (Some(0), _) => Some(off(format!("PF {name} of pool {pool} can have 0 VFs (sriov_totalvfs)"))),
        (Some(total), Some(wanted)) if u32::from(wanted) > total => Some(
            Finding::error("vf-count", format!("pool {pool} wants {wanted} VFs of PF {name}, which can have {total}"))
                .because("the device plugin makes none of them")
                .help(format!("set `provision.numVfs` to {total} at most, or raise the NIC's own limit in its firmware")),
        ),
        (Some(_), None) if pf.vfs.is_empty() => Some(
            Finding::warning("vf-count", format!("PF {name} of pool {pool} has no VFs"))
                .because("the pool is empty")
                .help(format!(
                    "let the pool make them (`\"provision\": {{\"numVfs\": N}}`), or echo N > \
                     /sys/bus/pci/devices/{}/sriov_numvfs",
                    pf.address
                )),
        ),
        _ => None,
    }
}

/// Functions that nothing drives.
fn drivers(pf: &Pf, facts: &Facts) -> Vec<Finding> {
    let matters = facts.pools.is_empty()
        || facts.pools.iter().any(|pool| facts.pfs_of(pool).any(|one| one.address == pf.address));
    if !matters {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if pf.driver.is_none() && pf.total.is_some() {
        findings.push(
            Finding::error("driver", format!("no driver is bound to the NIC {}", pf.address))
                .because("it has no interface and no VFs")
                .help(format!("lspci -k -s {}; modprobe the module that it names", pf.address)),
        );
    }
    let idle: Vec<String> =
        pf.vfs.iter().filter(|vf| vf.driver.is_none()).map(|vf| vf.address.to_string()).collect();
    if let Some(first) = idle.first() {
        let all =
            if idle.len() == 1 { String::new() } else { format!(" and {} more", idle.len() - 1) };
        findings.push(
            Finding::warning("driver", format!("no driver is bound to VF {first}{all} of PF {}", pf.called()))
                .because("a pod that is given it gets no interface")
                .help(format!(
                    "lspci -k -s {first}; modprobe the module that it names (iavf, mlx5_core, bnxt_en, igbvf, ...); \
                     then echo {first} > /sys/bus/pci/drivers_probe"
                )),
        );
    }
    findings
}

impl Pf {
    /// Its interface's name, or else its address.
    pub(super) fn called(&self) -> String {
        self.name.as_ref().map_or_else(|| self.address.to_string(), ToString::to_string)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{node, seen, with_pools};
    use super::*;
    use serde_json::json;

    fn pool(provision: u16, total: Option<u32>, vfs: bool) -> Vec<String> {
        let mut pool = json!({"resourceName": "a", "selectors": {"pfNames": ["ens1#0-3"]}});
        if provision > 0 {
            pool["provision"] = json!({"numVfs": provision});
        }
        let mut facts = with_pools(&json!([pool]));
        facts.pfs[0].total = total;
        if !vfs {
            facts.pfs[0].vfs.clear();
        }
        seen(&check(&facts))
    }

    #[test]
    fn pools_need_pfs_that_can_have_vfs() {
        let none: [&str; 0] = [];
        assert_eq!(pool(0, Some(8), true), none);
        assert_eq!(pool(8, Some(8), false), none);
        assert_eq!(pool(0, Some(8), false), ["vf-count: PF ens1 of pool a has no VFs"]);
        assert_eq!(
            pool(9, Some(8), true),
            ["vf-count: pool a wants 9 VFs of PF ens1, which can have 8"]
        );
        assert_eq!(
            pool(1, Some(0), false),
            ["sriov-off: PF ens1 of pool a can have 0 VFs (sriov_totalvfs)"]
        );
        assert_eq!(
            pool(1, None, false),
            ["sriov-off: PF ens1 of pool a has no SR-IOV (no sriov_totalvfs)"]
        );
    }

    #[test]
    fn a_pf_that_is_not_there_and_functions_without_drivers_are_told() {
        let facts = with_pools(
            &json!([{"resourceName": "a", "selectors": {"pfNames": ["ens9", "eth0"]}},
                                      {"resourceName": "b", "selectors": {"rootDevices": ["0000:99:00.0"]}}]),
        );
        assert_eq!(
            seen(&check(&facts)),
            [
                "pf: pool a selects PF ens9, which this node has not",
                "pf: pool b selects PF 0000:99:00.0, which this node has not"
            ]
        );
        let mut facts = node();
        facts.pfs[0].vfs[0].driver = None;
        assert_eq!(
            seen(&check(&facts)),
            ["driver: no driver is bound to VF 0000:3b:02.0 of PF ens1"]
        );
        facts.pfs[0].driver = None;
        assert_eq!(check(&facts).len(), 2);
    }
}
