//! Facts for the tests of the checks: a node with one PF, which is fine.

use linkspan_config::resource_list::ResourceList;
use linkspan_linux::{HostLinks, Link, LinkKind, VfSettings};
use linkspan_types::LinkType;
use serde_json::{Value, json};

use super::super::facts::{Facts, Iommu, Pf, Vf};
use super::super::finding::Finding;
use crate::networks::{Network, Plugin};

/// A link of the host with its index as the last byte of its MAC.
pub(in super::super) fn link(index: u8, name: &str) -> Link {
    Link {
        index: index.into(),
        name: name.to_owned(),
        alt_names: Vec::new(),
        mac: Some(linkspan_types::MacAddr([2, 0, 0, 0, 0, index])),
        mtu: 1500,
        up: true,
        carrier: true,
        pci: None,
        controller: None,
        kind: LinkKind::None,
        parent: None,
        parent_is_elsewhere: false,
        link_type: Some(LinkType::Ether),
        promiscuous: false,
    }
}

/// A node with the PF `ens1` at 0000:3b:00.0, its one VF, and `eth0`.
pub(in super::super) fn node() -> Facts {
    let pf = Link { pci: "0000:3b:00.0".parse().ok(), ..link(1, "ens1") };
    let vf = Link { pci: "0000:3b:02.0".parse().ok(), ..link(2, "ens1v0") };
    Facts {
        kernel: "6.12.0-9-amd64".to_owned(),
        iommu: Iommu { on: true, unsafe_mode: false },
        links: HostLinks {
            links: vec![pf, vf, link(3, "eth0")],
            addresses: Vec::new(),
            default_routes: vec![3],
        },
        pfs: vec![Pf {
            address: "0000:3b:00.0".parse().unwrap(),
            name: "ens1".parse().ok(),
            driver: Some("ice".to_owned()),
            total: Some(8),
            vfs: vec![Vf {
                number: 0,
                address: "0000:3b:02.0".parse().unwrap(),
                driver: Some("iavf".to_owned()),
                settings: Some(VfSettings::default()),
            }],
        }],
        ..Facts::default()
    }
}

/// A network of the node's folder.
pub(in super::super) fn network(config: Value) -> Network {
    let mut config = config;
    config["name"] = "net".into();
    let config = serde_json::from_value(config).unwrap();
    let plugin = Plugin { file: "/etc/cni/net.d/net.conf".into(), config };
    plugin.network().unwrap().unwrap()
}

/// The node with resources.
pub(in super::super) fn with_pools(resources: &Value) -> Facts {
    let list = ResourceList::from_json(&json!({ "resourceList": resources })).unwrap();
    Facts { pools: list.resources, ..node() }
}

/// What was seen, without the rest, each behind its check.
pub(in super::super) fn seen(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|one| format!("{}: {}", one.check, one.seen)).collect()
}
