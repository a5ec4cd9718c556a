//! The keys of kind `macvlan`, which are the reference plugin's and some more.

use linkspan_types::{MacAddr, MacvlanMode};

use super::ipam::IpamConf;
use super::mac::MacChoice;
use super::parent::ParentConf;
use super::sources::Sources;
use crate::Invalid;
use crate::fields::Fields;

/// What an attachment of kind `macvlan` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacvlanConf {
    /// What the link rides on.
    pub parent: ParentConf,
    /// How it shares its parent.
    pub sharing: MacvlanSharing,
    /// The MAC of the link.
    pub mac: MacChoice,
}

/// How a macvlan or macvtap link shares its parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MacvlanSharing {
    /// The mode.
    pub mode: MacvlanMode,
    /// In mode `source`, the MACs whose frames are taken, at most 1024; empty in all others.
    pub sources: Vec<MacAddr>,
    /// How many broadcast frames may wait for the children of the parent (`bcqueuelen`); none leaves
    /// it to the kernel.
    pub broadcast_queue: Option<u32>,
}

/// A netlink attribute holds 65535 bytes, and each MAC takes 12 of them; a pod that listens to more
/// than this many senders wants another mode.
const MAX_SOURCES: usize = 1024;

impl MacvlanConf {
    pub(super) fn parse(sources: &Sources<'_>, ipam: &IpamConf) -> Result<Self, Invalid> {
        Ok(Self {
            parent: ParentConf::parse(sources)?,
            sharing: MacvlanSharing::parse(&sources.root)?,
            mac: MacChoice::parse(sources, ipam)?,
        })
    }
}

impl MacvlanSharing {
    pub(super) fn parse(root: &Fields<'_>) -> Result<Self, Invalid> {
        const QUEUE: &str = "a number of frames from 0 to 4294967295, 0 for the kernel's own";
        let mode = root.parsed("mode", MacvlanMode::EXPECTED)?.unwrap_or_default();
        Ok(Self {
            mode,
            sources: parse_sources(root, mode)?,
            broadcast_queue: root.number::<u32, u32>("bcqueuelen", QUEUE)?.filter(|n| *n != 0),
        })
    }
}

fn parse_sources(root: &Fields<'_>, mode: MacvlanMode) -> Result<Vec<MacAddr>, Invalid> {
    const KEY: &str = "sourceMacs";
    const ONE: &str = "the MAC address of a sender, such as \"02:00:00:00:00:01\"";
    let assignable = |text: &str| text.parse().ok().filter(|mac: &MacAddr| mac.is_assignable());
    let macs = root.each(KEY, ONE, assignable)?;
    match mode {
        MacvlanMode::Source if macs.is_empty() => {
            let expected = "a list of one or more MAC addresses where `mode` is \"source\"";
            Err(root.invalid(KEY, expected).advise("List those whose frames the pod is to get"))
        }
        MacvlanMode::Source if macs.len() > MAX_SOURCES => {
            Err(root.invalid(KEY, format!("at most {MAX_SOURCES} MAC addresses")))
        }
        MacvlanMode::Source => Ok(macs),
        _ if macs.is_empty() => Ok(macs),
        _ => Err(root
            .invalid(KEY, "no such key where `mode` is not \"source\"")
            .advise("Set `mode` to \"source\", or remove `sourceMacs`")),
    }
}
