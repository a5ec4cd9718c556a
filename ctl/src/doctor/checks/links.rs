//! The links that pods ride on: whether they are there, up, and large enough.

use linkspan_config::net_conf::ParentLink;
use linkspan_linux::Link;

use super::super::facts::Facts;
use super::super::finding::Finding;
use crate::networks::Network;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for network in &facts.networks {
        findings.extend(missing(facts, network));
        for link in facts.links_below(network) {
            findings.extend(mtu(network, link));
            findings.extend(state(link, &format!("network {}", network.conf.name)));
        }
    }
    for pool in &facts.pools {
        let pfs = facts.pfs_of(pool).filter_map(|pf| facts.link(pf.name.as_ref()?));
        findings.extend(pfs.filter_map(|link| state(link, &format!("pool {}", pool.name))));
        if let Some(shares) = &pool.shares {
            match facts.link(&shares.lower_device) {
                Some(link) => findings.extend(state(link, &format!("pool {}", pool.name))),
                None => findings.push(no_link(
                    &shares.lower_device.to_string(),
                    &format!("pool {}", pool.name),
                )),
            }
        }
    }
    findings.extend(vf_mtus(facts));
    let mut told: Vec<Finding> = Vec::new();
    for finding in findings {
        // One link may be below several networks and pools.
        if !told.iter().any(|one| one.check == "link-down" && one.seen == finding.seen) {
            told.push(finding);
        }
    }
    told
}

fn missing(facts: &Facts, network: &Network) -> Option<Finding> {
    let parent = network.conf.parent.as_ref().filter(|parent| !parent.in_container)?;
    let whose = format!("network {}", network.conf.name);
    match &parent.link {
        ParentLink::Named(name) if facts.link(name).is_none() => {
            Some(no_link(name.as_str(), &whose))
        }
        ParentLink::DefaultRoute if facts.default_route().is_none() => Some(
            Finding::error(
                "parent",
                format!("{whose} names no parent, and the node has no default route"),
            )
            .because("a pod's link then rides on nothing: its ADD fails")
            .help(format!("name the link in `master`: {}", network.file.display())),
        ),
        _ => None,
    }
}

fn no_link(name: &str, whose: &str) -> Finding {
    Finding::error("parent", format!("{whose} rides on {name}, which this node has not"))
        .because("pods that ask for it fail to start")
        .help("ip link; then give the name of one that is there")
}

fn mtu(network: &Network, link: &Link) -> Option<Finding> {
    let wanted = network.mtu.filter(|mtu| *mtu > link.mtu)?;
    let seen = format!(
        "network {} asks for an MTU of {wanted}, and {} below it has {}",
        network.conf.name, link.name, link.mtu
    );
    Some(
        Finding::error("mtu", seen)
            .because("the kernel refuses it, or larger frames are lost on their way")
            .help(format!(
                "ip link set {} mtu {wanted}, and the same on the switch; or lower `mtu`",
                link.name
            )),
    )
}

/// VFs of the host with more than their PF can send.
fn vf_mtus(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pf in &facts.pfs {
        let Some(pf_link) = pf.name.as_ref().and_then(|name| facts.link(name)) else { continue };
        for vf in &pf.vfs {
            let link = facts.links.links.iter().find(|link| link.pci == Some(vf.address));
            let Some(link) = link.filter(|link| link.mtu > pf_link.mtu) else { continue };
            let seen = format!(
                "VF {} has an MTU of {}, and its PF {} {}",
                link.name, link.mtu, pf_link.name, pf_link.mtu
            );
            findings.push(
                Finding::warning("mtu", seen)
                    .because("frames that are larger than the PF's MTU are lost")
                    .help(format!("ip link set {} mtu {}", pf_link.name, link.mtu)),
            );
        }
    }
    findings
}

fn state(link: &Link, whose: &str) -> Option<Finding> {
    let name = &link.name;
    let (seen, help) = if !link.up {
        (
            format!("{name} is down"),
            format!("ip link set {name} up, and in the node's own network configuration"),
        )
    } else if !link.carrier {
        let help = format!("ethtool {name}; see to the cable, the module and the switch's port");
        (format!("{name} has no carrier"), help)
    } else {
        return None;
    };
    let why = format!("{whose} rides on it: its pods start and reach nobody");
    Some(Finding::warning("link-down", seen).because(why).help(help))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{network, node, seen, with_pools};
    use super::*;
    use serde_json::json;

    #[test]
    fn what_pods_ride_on_is_looked_at() {
        let table = [
            (json!({"type": "macvlan", "master": "eth0"}), ""),
            (
                json!({"type": "macvlan", "master": "eth9"}),
                "parent: network net rides on eth9, which this node has not",
            ),
            (json!({"type": "macvlan", "master": "eth9", "linkInContainer": true}), ""),
            (
                json!({"type": "macvlan", "mtu": 1501}),
                "mtu: network net asks for an MTU of 1501, and eth0 below it has 1500",
            ),
            (json!({"type": "macvlan", "mtu": 1500}), ""),
            (
                json!({"type": "sriov", "mtu": 9000, "resourceName": "linkspan.dev/a"}),
                "mtu: network net asks for an MTU of 9000, and ens1 below it has 1500",
            ),
            (json!({"type": "sriov", "mtu": 9000, "resourceName": "linkspan.dev/b"}), ""),
        ];
        for (config, expected) in table {
            let pools = json!([{"resourceName": "a", "selectors": {"pfNames": ["ens1"]}}]);
            let facts = Facts { networks: vec![network(config)], ..with_pools(&pools) };
            assert_eq!(seen(&check(&facts)).join("; "), expected);
        }
        let mut facts = Facts { networks: vec![network(json!({"type": "ipvlan"}))], ..node() };
        facts.links.default_routes.clear();
        assert!(check(&facts)[0].seen.ends_with("the node has no default route"));
    }

    #[test]
    fn a_link_that_is_down_is_told_once() {
        let pools = json!([{"resourceName": "a", "selectors": {"pfNames": ["ens1"]}},
                           {"resourceName": "b", "selectors": {"rootDevices": ["0000:3b:00.0"]}},
                           {"resourceName": "c", "kind": "macvtap", "lowerDevice": "eth9"}]);
        let mut facts = with_pools(&pools);
        facts.links.links[0].carrier = false;
        assert_eq!(
            seen(&check(&facts)),
            [
                "link-down: ens1 has no carrier",
                "parent: pool c rides on eth9, which this node has not"
            ]
        );
        facts.links.links[0].up = false;
        assert_eq!(check(&facts)[0].seen, "ens1 is down");
    }

    #[test]
    fn a_vf_with_more_than_its_pf_is_told() {
        let mut facts = node();
        facts.links.links[1].mtu = 9000;
        assert_eq!(
            seen(&check(&facts)),
            ["mtu: VF ens1v0 has an MTU of 9000, and its PF ens1 1500"]
        );
    }
}
