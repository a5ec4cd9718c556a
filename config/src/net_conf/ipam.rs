//! The `ipam` section: who gives an attachment its addresses.

use serde_json::Map;

use super::host_local::HostLocalConf;
use super::runtime::RuntimeInputs;
use crate::Invalid;
use crate::fields::Fields;

/// Who gives an attachment its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IpamConf {
    /// Nobody: the attachment has a link and no address.
    None,
    /// Files on this node, as the reference plugin host-local keeps them.
    HostLocal(HostLocalConf),
}

/// The type of the section; none where the attachment is to have no address.
pub(super) fn ipam_type<'a>(root: &Fields<'a>) -> Result<Option<&'a str>, Invalid> {
    match root.object("ipam")? {
        None => Ok(None),
        Some(ipam) => Fields::unchecked(ipam, "ipam").text("type", "the name of an IPAM plugin"),
    }
}

impl IpamConf {
    pub(super) fn parse(
        root: &Fields<'_>,
        runtime: &Fields<'_>,
        inputs: &RuntimeInputs,
    ) -> Result<Self, Invalid> {
        let empty = Map::new();
        let ipam = root.object("ipam")?.unwrap_or(&empty);
        match ipam_type(root)? {
            Some("host-local") => {
                HostLocalConf::parse(ipam, root, runtime, inputs).map(Self::HostLocal)
            }
            Some(_) => Err(Fields::unchecked(ipam, "ipam")
                .invalid("type", "\"host-local\"; no other is supported yet")
                .advise("Use host-local, or leave `ipam` out for a link without addresses")),
            None if ipam.is_empty() => Ok(Self::None),
            None => Err(Fields::unchecked(ipam, "ipam")
                .invalid("type", "the name of an IPAM plugin, such as \"host-local\"")
                .advise("Set `ipam.type`, or leave `ipam` out for a link without addresses")),
        }
    }
}
