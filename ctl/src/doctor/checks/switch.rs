//! What the switches say of their ports, against what networks want of them.

use super::super::facts::Facts;
use super::super::finding::Finding;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Some(neighbours) = &facts.neighbours else { return Vec::new() };
    let mut findings = Vec::new();
    for network in &facts.networks {
        for link in facts.links_below(network) {
            let heard = neighbours.iter().find(|(index, _)| *index == link.index);
            let Some((_, neighbour)) = heard else {
                findings.push(
                    Finding::warning("lldp", format!("no switch was heard on {}", link.name))
                        .because("which VLANs its port passes is not known")
                        .help("turn LLDP on for the switch's port, and listen for 30 s or more: --lldp 35"),
                );
                continue;
            };
            let name = &network.conf.name;
            if let Some(vlan) = network.vlan.filter(|vlan| !neighbour.passes(*vlan)) {
                let seen = format!(
                    "network {name} is in VLAN {vlan}, and the switch at {} ({}) passes {}",
                    link.name,
                    neighbour.called(),
                    neighbour.listed()
                );
                findings.push(
                    Finding::warning("vlan", seen)
                        .because("frames of that VLAN are dropped at the switch: pods start and reach nobody")
                        .help(format!("add VLAN {vlan}, tagged, to that port of the switch")),
                );
            }
            let mtu = network.mtu.unwrap_or(link.mtu);
            if let Some(frame) = neighbour.max_frame.filter(|frame| u32::from(*frame) < mtu + 18) {
                let seen = format!(
                    "network {name} has an MTU of {mtu}, and the switch at {} takes frames of {frame} bytes at most",
                    link.name
                );
                findings.push(
                    Finding::warning("mtu", seen)
                        .because("larger frames are dropped at the switch")
                        .help(format!(
                            "allow frames of {} bytes at that port of the switch",
                            mtu + 18
                        )),
                );
            }
        }
    }
    findings.dedup();
    findings
}

#[cfg(test)]
mod tests {
    use super::super::super::lldp::Neighbour;
    use super::super::testing::{network, node, seen};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_vlan_that_the_switch_does_not_pass_is_told() {
        let networks = vec![network(json!({"type": "macvlan", "master": "eth0", "vlan": 100}))];
        let mut facts = Facts { networks, ..node() };
        let none: [&str; 0] = [];
        assert_eq!(seen(&check(&facts)), none, "nobody has listened");
        facts.neighbours = Some(Vec::new());
        assert_eq!(seen(&check(&facts)), ["lldp: no switch was heard on eth0"]);
        let mut neighbour =
            Neighbour { system: "sw1".into(), port: "Eth1/7".into(), ..Neighbour::default() };
        facts.neighbours = Some(vec![(3, neighbour.clone())]);
        assert_eq!(seen(&check(&facts)), none, "it tells of no VLAN");
        neighbour.vlans = vec![5, 7];
        neighbour.max_frame = Some(1518);
        facts.neighbours = Some(vec![(3, neighbour.clone())]);
        assert_eq!(
            seen(&check(&facts)),
            ["vlan: network net is in VLAN 100, and the switch at eth0 (sw1, Eth1/7) passes 5, 7"]
        );
        neighbour.vlans.push(100);
        neighbour.max_frame = Some(1500);
        facts.neighbours = Some(vec![(3, neighbour)]);
        assert_eq!(
            seen(&check(&facts)),
            [
                "mtu: network net has an MTU of 1500, and the switch at eth0 takes frames of 1500 bytes at most"
            ]
        );
    }
}
