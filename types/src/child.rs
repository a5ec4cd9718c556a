//! How a child link (macvlan, macvtap, ipvlan) shares its parent with the other children.

use crate::text::named;

/// The mode of a macvlan or macvtap link (`enum macvlan_mode` in the kernel's `if_link.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MacvlanMode {
    /// Children of one parent reach each other directly.
    #[default]
    Bridge,
    /// They never do.
    Private,
    /// They do through the switch that the parent is connected to, if it sends frames back.
    Vepa,
    /// The only child of its parent, which takes over the parent's MAC.
    Passthru,
    /// Only frames from listed source MACs are taken.
    Source,
}

/// The mode of an ipvlan link (`enum ipvlan_mode` in the kernel's `if_link.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IpvlanMode {
    /// Frames are switched by address; each child answers ARP itself.
    #[default]
    L2,
    /// Packets are routed by the parent's namespace; no broadcast, no multicast.
    L3,
    /// As `L3`, and the parent's netfilter sees the packets.
    L3s,
}

/// Whether the children of one ipvlan parent reach each other (`IPVLAN_F_*` in `if_link.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IpvlanFlag {
    /// Directly.
    #[default]
    Bridge,
    /// Never.
    Private,
    /// Through the switch that the parent is connected to.
    Vepa,
}

named!(
    MacvlanMode,
    "a macvlan mode: bridge, private, vepa, passthru or source",
    Bridge = "bridge",
    Private = "private",
    Vepa = "vepa",
    Passthru = "passthru",
    Source = "source",
);
named!(IpvlanMode, "an ipvlan mode: l2, l3 or l3s", L2 = "l2", L3 = "l3", L3s = "l3s");
named!(
    IpvlanFlag,
    "an ipvlan flag: bridge, private or vepa",
    Bridge = "bridge",
    Private = "private",
    Vepa = "vepa",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_is_known_by_its_name_alone() {
        assert_eq!("passthru".parse(), Ok(MacvlanMode::Passthru));
        assert_eq!(IpvlanMode::L3s.to_string(), "l3s");
        assert_eq!(
            "passthrough".parse::<MacvlanMode>().map_err(|e| e.to_string()),
            Err("\"passthrough\" is not a macvlan mode: bridge, private, vepa, passthru or source"
                .to_owned())
        );
        for text in ["", "L2", "bridge "] {
            assert!(text.parse::<IpvlanMode>().is_err() && text.parse::<IpvlanFlag>().is_err());
        }
    }
}
