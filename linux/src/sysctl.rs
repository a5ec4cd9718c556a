//! Per-link settings below `/proc/sys/net`, of the namespace that the calling thread is in.

use std::fs;
use std::io;
use std::path::PathBuf;

use linkspan_types::IfName;

/// A per-link sysctl: its folder below `/proc/sys/net` and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSysctl {
    family: &'static str,
    name: &'static str,
}

/// `arp_notify`: a gratuitous ARP is sent when the link comes up or its MAC changes.
pub const ARP_NOTIFY: LinkSysctl = LinkSysctl { family: "ipv4", name: "arp_notify" };
/// `ndisc_notify`: the same for IPv6, an unsolicited neighbour advertisement.
pub const NDISC_NOTIFY: LinkSysctl = LinkSysctl { family: "ipv6", name: "ndisc_notify" };
/// `optimistic_dad`: 1 lets addresses be optimistic (RFC 4429).
pub const OPTIMISTIC_DAD: LinkSysctl = LinkSysctl { family: "ipv6", name: "optimistic_dad" };
/// `disable_ipv6`: 1 takes IPv6 from the link.
pub const DISABLE_IPV6: LinkSysctl = LinkSysctl { family: "ipv6", name: "disable_ipv6" };
/// `keep_addr_on_down`: 1 keeps global IPv6 addresses while the link is down.
pub const KEEP_ADDR_ON_DOWN: LinkSysctl = LinkSysctl { family: "ipv6", name: "keep_addr_on_down" };

/// A sysctl that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {value} to {path}")]
pub struct SysctlError {
    path: PathBuf,
    value: u8,
    #[source]
    source: io::Error,
}

impl LinkSysctl {
    /// Writes the setting for one link. A kernel without IPv6, or without this very setting, is no error.
    pub fn set(self, link: &IfName, value: u8) -> Result<(), SysctlError> {
        let Self { family, name } = self;
        // Not built as a dotted name: a link may have dots in its own.
        let path = PathBuf::from(format!("/proc/sys/net/{family}/conf/{link}/{name}"));
        match fs::write(&path, [b'0' + value]) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(SysctlError { path, value, source })
            }
            _ => Ok(()),
        }
    }
}
