//! Who gives an attachment its addresses.

pub mod host_local;

use std::path::Path;

use linkspan_config::NetworkName;
use linkspan_config::net_conf::IpamConf;

use crate::spec::{AddResult, AttachmentId, CniError, Code};

/// Reserves what the configuration asks for, as an IPAM plugin's result: no interfaces.
pub fn reserve(
    conf: &IpamConf,
    network: &NetworkName,
    owner: &AttachmentId,
) -> Result<AddResult, CniError> {
    match conf {
        IpamConf::None => Ok(AddResult::default()),
        IpamConf::HostLocal(conf) => Ok(host_local::reserve(conf, network, owner, &[])?),
        IpamConf::Static(_) | IpamConf::Delegate(_) => Err(CniError::new(
            Code::UnsupportedField,
            "`ipam.type` is another than \"host-local\", and no other is there yet",
            "",
        )),
    }
}

/// Frees what an attachment has of host-local in a data folder; that there is nothing is no error.
pub fn release(
    data_dir: &Path,
    network: &NetworkName,
    owner: &AttachmentId,
) -> Result<(), CniError> {
    Ok(host_local::release(data_dir, network, owner, &[])?)
}
