use super::*;
use crate::spec::CniError;
use linkspan_linux::LinkKind;

fn link() -> Link {
    Link {
        index: 7,
        name: "ib0v0".to_owned(),
        alt_names: Vec::new(),
        mac: None,
        mtu: 2044,
        up: false,
        carrier: false,
        pci: None,
        controller: None,
        kind: LinkKind::None,
        parent: None,
        parent_is_elsewhere: false,
        link_type: Some(LinkType::Ether),
        promiscuous: false,
    }
}

#[test]
fn an_infiniband_vf_is_refused_by_name_with_what_to_use() {
    let device: PciAddress = "0000:3b:02.1".parse().unwrap();
    let error =
        usable(device, Link { link_type: Some(LinkType::Infiniband), ..link() }).unwrap_err();
    let error = CniError::from(error);
    assert_eq!(
        error.msg,
        "VF 0000:3b:02.1 (ib0v0) is an InfiniBand device, expected an Ethernet one"
    );
    assert!(error.details.contains("ib-sriov-cni"));
}

#[test]
fn a_vf_that_the_host_uses_is_refused() {
    let device: PciAddress = "0000:3b:02.1".parse().unwrap();
    let used = Link { controller: Some(3), ..link() };
    assert!(matches!(usable(device, used), Err(SriovError::InUseByHost { .. })));
    assert!(usable(device, link()).is_ok());
}
