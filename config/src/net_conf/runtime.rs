//! What the runtime says about one attachment, beside the network's configuration.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use linkspan_types::{MacAddr, ParseError};

use crate::names::parse_error;

/// What `CNI_ARGS` asks for; each is checked where the environment is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeInputs {
    /// `MAC`; an interface can have it.
    pub mac: Option<MacAddr>,
    /// `IP`.
    pub ips: Vec<RequestedIp>,
    /// `GATEWAY`.
    pub gateways: Vec<IpAddr>,
}

/// An address that is asked for: `10.1.2.3`, or `10.1.2.3/24` where its subnet is told too. An IPv4
/// one that is written as IPv6 (`::ffff:10.1.2.3`) is IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedIp {
    /// Whoever gives the address knows its subnet.
    Address(IpAddr),
    /// The address and its subnet.
    InSubnet(IpNet),
}

impl RequestedIp {
    /// The address alone.
    #[must_use]
    pub fn address(self) -> IpAddr {
        match self {
            Self::Address(address) => address,
            Self::InSubnet(net) => net.addr(),
        }
    }
}

impl FromStr for RequestedIp {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const EXPECTED: &str = "an IP address with or without a prefix length";
        let parsed = match text.parse() {
            Ok(net) => canonical(net).map(Self::InSubnet),
            Err(_) => text.parse().ok().map(|a: IpAddr| Self::Address(a.to_canonical())),
        };
        parsed.ok_or_else(|| parse_error(text, EXPECTED))
    }
}

/// The prefix length of `::ffff:10.1.2.3/120` counts the 96 bits that say it is IPv4.
fn canonical(net: IpNet) -> Option<IpNet> {
    match net.addr().to_canonical() {
        v4 @ IpAddr::V4(_) if net.addr().is_ipv6() => {
            IpNet::new(v4, net.prefix_len().checked_sub(96)?).ok()
        }
        _ => Some(net),
    }
}

impl fmt::Display for RequestedIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::InSubnet(net) => net.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_tell_its_subnet() {
        for (text, shown, address) in [
            ("10.1.2.3", "10.1.2.3", "10.1.2.3"),
            ("10.1.2.3/24", "10.1.2.3/24", "10.1.2.3"),
            ("fd00::3/64", "fd00::3/64", "fd00::3"),
            ("::ffff:10.1.2.3", "10.1.2.3", "10.1.2.3"),
            ("::ffff:10.1.2.3/120", "10.1.2.3/24", "10.1.2.3"),
        ] {
            let ip: RequestedIp = text.parse().unwrap();
            assert_eq!(
                (ip.to_string().as_str(), ip.address().to_string().as_str()),
                (shown, address)
            );
        }
        for text in ["", "10.1.2", "10.1.2.3/33", "10.1.2.3/", "::ffff:10.1.2.3/64", " 10.1.2.3"] {
            assert!(text.parse::<RequestedIp>().is_err(), "{text:?} was taken");
        }
    }
}
