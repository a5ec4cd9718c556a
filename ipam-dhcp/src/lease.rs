//! What a server gave: an address for a while, and what goes with it. Its form in JSON is that of the lease store.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use linkspan_types::{MacAddr, Mtu};
use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// An address that a server gave, or is being asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The pod's.
    pub address: Ipv4Addr,
    /// That of its network, at most 32.
    pub prefix_length: u8,
    /// The server's identifier (option 54): whom to ask again, and whom to give it back.
    pub server: Ipv4Addr,
    /// Where the frame with the server's answer came from: the server, or a relay agent on this link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_mac: Option<MacAddr>,
    /// When the server is asked for more time (T1). All three are [`Moment::NEVER`] for a lease without an end.
    pub renews_at: Moment,
    /// When any server is asked (T2).
    pub rebinds_at: Moment,
    /// When the address must not be used any more.
    pub expires_at: Moment,
    /// What goes with the address.
    #[serde(flatten)]
    pub settings: Settings,
}

/// What goes with an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The next hop of the default route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv4Addr>,
    /// All other routes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// By preference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub name_servers: Vec<Ipv4Addr>,
    /// The domain that the host is in, without a dot at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Domains to search short names in, by preference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// The interface's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Mtu>,
    /// NTP servers, by preference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub time_servers: Vec<Ipv4Addr>,
    /// How the server calls the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
}

/// A route that goes with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where it leads; without host bits.
    pub destination: Ipv4Net,
    /// The next hop; none where the destination is on the link itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv4Addr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_reads_back_as_it_was_written() {
        let lease = Lease {
            address: Ipv4Addr::new(10, 0, 0, 7),
            prefix_length: 24,
            server: Ipv4Addr::new(10, 0, 0, 1),
            server_mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
            renews_at: Moment::from_millis(60_000),
            rebinds_at: Moment::from_millis(105_000),
            expires_at: Moment::NEVER,
            settings: Settings {
                routes: vec![Route {
                    destination: "10.1.0.0/16".parse().unwrap(),
                    gateway: Some(Ipv4Addr::new(10, 0, 0, 2)),
                }],
                mtu: Mtu::try_from(1400).ok(),
                search: vec!["example.org".into()],
                ..Settings::default()
            },
        };
        let text = serde_json::to_string(&lease).unwrap();
        assert_eq!(serde_json::from_str::<Lease>(&text).unwrap(), lease, "{text}");
    }
}
