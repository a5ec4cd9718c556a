//! What is left of pods that are gone: attachments, settings of VFs, and what peers keep.

use super::super::facts::Facts;
use super::super::finding::Finding;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = orphans(facts);
    findings.extend(tagged_vfs(facts));
    findings.extend(sriov_cni(facts));
    findings.extend(reservations(facts));
    findings
}

fn orphans(facts: &Facts) -> Vec<Finding> {
    let orphans = facts.attachments.iter().filter(|attachment| !attachment.alive);
    let findings = orphans.map(|attachment| {
        let device = attachment
            .device
            .as_ref()
            .map(|device| format!(" with VF {device}"))
            .unwrap_or_default();
        Finding::warning(
            "orphan",
            format!("{}{device} has a record, and its pod's namespace is gone", attachment.owner),
        )
        .because("no DEL came: its VF keeps the pod's settings, and its addresses are not free")
        .help("linkspan gc --dry-run shows it, linkspan gc puts it right")
    });
    findings.collect()
}

/// VFs of the host that are in a VLAN though nobody has them.
fn tagged_vfs(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pf in &facts.pfs {
        for vf in &pf.vfs {
            let address = vf.address.to_string();
            let is_held = facts.attachments.iter().any(|a| a.device.as_ref() == Some(&address))
                || facts.peers.sriov.iter().any(|held| held.device == vf.address && held.alive);
            let vlan = vf.settings.as_ref().map_or(0, |settings| u16::from(settings.vlan.id));
            if is_held || vlan == 0 {
                continue;
            }
            let (name, number) = (pf.called(), vf.number);
            findings.push(
                Finding::warning("left-vlan", format!("VF {address} is in VLAN {vlan}, and no pod has it"))
                    .because("a pod whose network sets no VLAN gets into that one")
                    .help(format!("if it is not meant so: ip link set {name} vf {number} vlan 0 mac 00:00:00:00:00:00")),
            );
        }
    }
    findings
}

fn sriov_cni(facts: &Facts) -> Vec<Finding> {
    let stale = facts.peers.sriov.iter().filter(|held| !held.alive);
    let findings = stale.map(|held| {
        let seen =
            format!("sriov-cni has given VF {} to a pod whose namespace is gone", held.device);
        Finding::warning("peer-state", seen)
            .because(
                "it has not brought the VF back: it may have the pod's name, MAC and VLAN still",
            )
            .help(format!("rm {}, once the VF is as it should be: ip -d link", held.file.display()))
    });
    findings.collect()
}

fn reservations(facts: &Facts) -> Vec<Finding> {
    let left = facts.peers.left_reservations();
    let findings = left.into_iter().filter_map(|(network, left)| {
        let (first, count) = (left.first()?, left.len());
        let seen = match count {
            1 => format!("address {} of network {network} is reserved for a container that no runtime knows", first.address),
            _ => format!(
                "{count} addresses of network {network} are reserved for containers that no runtime knows, such as {}",
                first.address
            ),
        };
        let folder = first.file.parent()?.display().to_string();
        Some(
            Finding::warning("peer-state", seen)
                .because("they are lost to pods until somebody frees them; in the end there are none left")
                .help(format!(
                    "crictl pods -q --no-trunc lists the containers that there are; remove the files in {folder} that \
                     name another"
                )),
        )
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::facts::Attachment;
    use super::super::testing::{node, seen};
    use super::*;
    use crate::peer_state::{HeldVf, Reservation};
    use linkspan_linux::VfSettings;
    use linkspan_types::VlanTag;

    #[test]
    fn what_pods_have_left_is_told() {
        let mut facts = node();
        let tag = VlanTag { id: 100.try_into().unwrap(), ..VlanTag::default() };
        facts.pfs[0].vfs[0].settings = Some(VfSettings { vlan: tag, ..VfSettings::default() });
        assert_eq!(
            seen(&check(&facts)),
            ["left-vlan: VF 0000:3b:02.0 is in VLAN 100, and no pod has it"]
        );
        let device = Some("0000:3b:02.0".to_owned());
        let owner = "interface net1".to_owned();
        facts.attachments = vec![Attachment { owner, device, alive: true, macs: Vec::new() }];
        assert_eq!(seen(&check(&facts)), [""; 0]);
        facts.attachments[0].alive = false;
        assert_eq!(
            seen(&check(&facts)),
            [
                "orphan: interface net1 with VF 0000:3b:02.0 has a record, and its pod's namespace is gone"
            ]
        );
        facts.attachments.clear();
        let device = "0000:3b:02.0".parse().unwrap();
        facts.peers.sriov =
            vec![HeldVf { device, file: "/var/lib/cni/sriov/pci/x".into(), alive: true }];
        assert_eq!(seen(&check(&facts)), [""; 0]);
        facts.peers.sriov[0].alive = false;
        assert_eq!(check(&facts).len(), 2);
    }

    #[test]
    fn reservations_are_told_by_network() {
        let one = |address: &str, is_known| Reservation {
            network: "net".into(),
            address: address.parse().unwrap(),
            file: "/var/lib/cni/networks/net/x".into(),
            is_known,
        };
        let mut facts = node();
        facts.peers.knows_containers = true;
        facts.peers.reservations =
            vec![one("10.0.0.1", true), one("10.0.0.2", false), one("10.0.0.3", false)];
        assert_eq!(
            seen(&check(&facts)),
            [
                "peer-state: 2 addresses of network net are reserved for containers that no runtime knows, such as 10.0.0.2"
            ]
        );
    }
}
