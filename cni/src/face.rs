//! What this program is, which the name says that it was called by: itself, or a peer whose place it takes.

use std::ffi::OsStr;
use std::path::Path;

use linkspan_config::net_conf::{IpamName, KindName};

/// What the program is for this call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// `linkspan`, whatever else it is called: the configuration says the kind.
    Linkspan,
    /// The peer whose configuration a kind takes: `sriov`, `macvlan`, `ipvlan` or `macvtap`.
    Main(KindName),
    /// An IPAM plugin, for the main plugins of others: `host-local`, `static` or `dhcp`.
    Ipam(IpamName),
}

impl Face {
    /// The face of the program that was started as `program`, its path or its name (`argv[0]`).
    #[must_use]
    pub fn of(program: &OsStr) -> Self {
        let name = Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default();
        let ipam = || name.parse().map_or(Self::Linkspan, Self::Ipam);
        name.parse().map_or_else(|_| ipam(), Self::Main)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_the_program_is() {
        let table = [
            ("linkspan", Face::Linkspan),
            ("/opt/cni/bin/linkspan", Face::Linkspan),
            ("/opt/cni/bin/sriov", Face::Main(KindName::Sriov)),
            ("macvlan", Face::Main(KindName::Macvlan)),
            ("./ipvlan", Face::Main(KindName::Ipvlan)),
            ("/x/macvtap", Face::Main(KindName::Macvtap)),
            ("/usr/lib/cni/host-local", Face::Ipam(IpamName::HostLocal)),
            ("static", Face::Ipam(IpamName::Static)),
            ("/opt/cni/bin/dhcp", Face::Ipam(IpamName::Dhcp)),
            ("linkspan-next", Face::Linkspan),
            ("/macvlan/linkspan", Face::Linkspan),
            ("Macvlan", Face::Linkspan),
            ("", Face::Linkspan),
            ("/", Face::Linkspan),
        ];
        for (program, face) in table {
            assert_eq!(Face::of(OsStr::new(program)), face, "{program}");
        }
    }
}
