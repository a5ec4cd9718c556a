//! What the runtime says about one attachment, beside the network's configuration.

use std::net::IpAddr;

use linkspan_types::MacAddr;

/// What `CNI_ARGS` asks for; each is checked where the environment is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeInputs {
    /// `MAC`; an interface can have it.
    pub mac: Option<MacAddr>,
    /// `IP`, without prefix lengths.
    pub ips: Vec<IpAddr>,
}
