//! The MAC of an attachment: the runtime's wins over that of `CNI_ARGS`, and both over the
//! configuration's.

use linkspan_types::MacAddr;

use super::ipam::IpamConf;
use super::sources::Sources;
use crate::Invalid;
use crate::fields::Fields;

/// Which MAC a child is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacChoice {
    /// Any: a random one.
    Any,
    /// This one; an interface can have it.
    This(MacAddr),
    /// One that is made of the attachment's first address, the same on every node.
    FromIp,
}

impl MacChoice {
    pub(super) fn parse(sources: &Sources<'_>, ipam: &IpamConf) -> Result<Self, Invalid> {
        const EXPECTED: &str = "\"ip\"";
        let root = &sources.root;
        let fixed = fixed(sources)?;
        match root.text("macFrom", EXPECTED)? {
            None => return Ok(fixed.map_or(Self::Any, Self::This)),
            Some("ip") => {}
            Some(_) => return Err(root.invalid("macFrom", EXPECTED)),
        }
        if root.is_set("mac") {
            let error = root.invalid("macFrom", "no such key where `mac` is set");
            return Err(error.advise("Remove one of the two"));
        }
        if !gives_before_the_link_is_made(ipam) {
            return Err(root
                .invalid("macFrom", "no such key where no address is known before the link is made")
                .advise("Set `ipam` to host-local or static, or remove `macFrom`"));
        }
        Ok(fixed.map_or(Self::FromIp, Self::This))
    }
}

/// The MAC that is asked for. All are checked, so that a wrong one is not found only when a better one
/// is gone.
pub(super) fn fixed(sources: &Sources<'_>) -> Result<Option<MacAddr>, Invalid> {
    let configured = assignable(&sources.root)?;
    Ok(assignable(&sources.runtime)?.or(sources.inputs.mac).or(configured))
}

fn assignable(place: &Fields<'_>) -> Result<Option<MacAddr>, Invalid> {
    const EXPECTED: &str = "a MAC address such as 02:00:00:00:00:01";
    const ASSIGNABLE: &str = "a MAC address that an interface can have: neither zero nor multicast";
    match place.parsed::<MacAddr>("mac", EXPECTED)? {
        Some(mac) if !mac.is_assignable() => Err(place.invalid("mac", ASSIGNABLE)),
        mac => Ok(mac),
    }
}

/// A DHCP server answers to a link's MAC, so there is no address of its before there is a link.
fn gives_before_the_link_is_made(ipam: &IpamConf) -> bool {
    match ipam {
        IpamConf::None => false,
        IpamConf::HostLocal(_) => true,
        IpamConf::Static(conf) => !conf.addresses.is_empty(),
        IpamConf::Delegate(_) => !ipam.is_dhcp(),
    }
}
