//! STATUS: whether an ADD could work now, and if not, why.

use linkspan_config::NetworkName;
use linkspan_config::net_conf::{IpamConf, KindName, ParentLink, StatusConf};
use linkspan_linux::RouteSocket;

use crate::ipam::{delegate::Delegate, dhcp, host_local};
use crate::kind::{Claim, child};
use crate::node::Node;
use crate::spec::{CniError, Code, Network};

/// Asks for everything that an ADD needs and that may be missing; the first thing that is, is the error.
pub fn status(node: &Node, network: &Network, called_as: Option<KindName>) -> Result<(), CniError> {
    let conf = StatusConf::parse(&network.config, called_as)?;
    match &conf.parent {
        // Its link is the pod's, or the device's, and neither is known before ADD.
        Some(parent) if parent.in_container || matches!(parent.link, ParentLink::Device(_)) => {}
        Some(parent) => {
            let found = child::find_parent(node, &mut RouteSocket::open()?, parent);
            found.map_err(|error| unavailable(error.into()))?;
        }
        None if conf.kind == KindName::Sriov => a_vf_is_left(node)?,
        None => {}
    }
    an_address_is_left(&conf.ipam, &conf.name, network)
}

/// A VF is left if no attachment has it. (Which of them the kubelet has promised to a pod is not known here.)
fn a_vf_is_left(node: &Node) -> Result<(), CniError> {
    let claims = node.journal().claims()?;
    let (mut all, mut left) = (0, 0);
    for device in node.sysfs.pci_addresses().map_err(|e| CniError::caused_by(Code::Io, &e, ""))? {
        if node.sysfs.pci(device).physfn().is_ok_and(|pf| pf.is_some()) {
            all += 1;
            left += u32::from(!claims.contains(&Claim::Device(device).to_string()));
        }
    }
    if left > 0 {
        return Ok(());
    }
    Err(unavailable(match all {
        0 => CniError::new(
            Code::NotAvailable,
            "this node has no VF",
            "Create some: echo 4 > /sys/class/net/PF/device/sriov_numvfs",
        ),
        _ => CniError::new(
            Code::NotAvailable,
            format!("all {all} VFs of this node are in pods"),
            "Delete a pod that has one, or create more VFs",
        ),
    }))
}

/// Asks who gives the addresses of a network.
pub(crate) fn an_address_is_left(
    ipam: &IpamConf,
    name: &NetworkName,
    network: &Network,
) -> Result<(), CniError> {
    match ipam {
        IpamConf::HostLocal(conf) if host_local::is_exhausted(conf, name)? => Err(CniError::new(
            Code::NotAvailable,
            format!("network {name}: every address of a set of ranges is taken"),
            "Widen `ipam.ranges`, or delete pods of this network",
        )),
        IpamConf::None | IpamConf::HostLocal(_) | IpamConf::Static(_) => Ok(()),
        IpamConf::Dhcp(conf) => dhcp::status(&conf.socket, name),
        IpamConf::Delegate(plugin) => Delegate::new(plugin, network).status(),
    }
}

/// The same error as STATUS gives it: the spec has one code for it.
fn unavailable(error: CniError) -> CniError {
    CniError { code: Code::NotAvailable, ..error }
}
