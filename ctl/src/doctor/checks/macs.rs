//! MACs that two of the node's links have.

use std::collections::BTreeMap;

use linkspan_linux::LinkKind;
use linkspan_types::MacAddr;

use super::super::facts::Facts;
use super::super::finding::Finding;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut owners: BTreeMap<MacAddr, Vec<String>> = BTreeMap::new();
    let mut add = |mac: MacAddr, owner: String| {
        let all = owners.entry(mac).or_default();
        if mac != MacAddr::ZERO && !all.contains(&owner) {
            all.push(owner);
        }
    };
    // What has a MAC of its own: a VLAN or a bridge has that of another link, the ports of a bond share one.
    for link in facts.links.links.iter().filter(|link| link.controller.is_none()) {
        let own = link.pci.is_some()
            || matches!(link.kind, LinkKind::Macvlan { .. } | LinkKind::Macvtap { .. });
        if let (Some(mac), true) = (link.mac, own) {
            let vf =
                facts.pfs.iter().flat_map(|pf| &pf.vfs).find(|vf| Some(vf.address) == link.pci);
            add(mac, vf.map_or_else(|| link.name.clone(), |vf| format!("VF {}", vf.address)));
        }
    }
    for vf in facts.pfs.iter().flat_map(|pf| &pf.vfs) {
        if let Some(settings) = &vf.settings {
            add(settings.mac, format!("VF {}", vf.address));
        }
    }
    for attachment in facts.attachments.iter().filter(|attachment| attachment.alive) {
        let device = attachment.device.as_ref();
        let owner =
            device.map_or_else(|| attachment.owner.clone(), |device| format!("VF {device}"));
        attachment.macs.iter().for_each(|mac| add(*mac, owner.clone()));
    }
    let twice = owners.into_iter().filter(|(_, owners)| owners.len() > 1);
    let findings = twice.map(|(mac, owners)| {
        Finding::error("duplicate-mac", format!("{} have the MAC {mac}", owners.join(" and ")))
            .because("switches send the frames of each to the other")
            .help(
                "give one of them another: `mac` of its network, or for a VF that no pod has: ip link set PF vf N mac \
                 00:00:00:00:00:00",
            )
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::facts::Attachment;
    use super::super::testing::{node, seen};
    use super::*;
    use linkspan_linux::VfSettings;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    fn attachment(device: Option<&str>, alive: bool) -> Attachment {
        let device = device.map(str::to_owned);
        Attachment { owner: "pod p".into(), device, alive, macs: vec![MAC] }
    }

    #[test]
    fn one_mac_of_two_links_is_told_and_one_of_one_is_not() {
        let none: [&str; 0] = [];
        let mut facts = node();
        // The VF's own, as the PF tells it.
        facts.pfs[0].vfs[0].settings = Some(VfSettings { mac: MAC, ..VfSettings::default() });
        // That of a VF, or of a link that is gone.
        facts.attachments = vec![attachment(Some("0000:3b:02.0"), true), attachment(None, false)];
        facts.links.links[2].mac = Some(MAC);
        assert_eq!(
            seen(&check(&facts)),
            none,
            "a link without a device may share one, as bridges do"
        );
        facts.links.links[0].mac = Some(MAC);
        facts.attachments.push(attachment(None, true));
        assert_eq!(
            seen(&check(&facts)),
            ["duplicate-mac: ens1 and VF 0000:3b:02.0 and pod p have the MAC 02:00:00:00:00:02"]
        );
        facts.links.links[0].controller = Some(9);
        assert_eq!(check(&facts).len(), 1);
    }
}
