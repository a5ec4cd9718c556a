//! A DHCP message from anybody on the network.

use std::net::Ipv4Addr;

use linkspan_dhcp::lease::Settings;
use linkspan_dhcp::packet::{Kind, LARGEST, Reply};

/// Reads the input as what followed a UDP header.
pub fn dhcp_packet(input: &[u8]) {
    let Ok(reply) = Reply::parse(input, None) else { return };
    assert!(input.len() <= LARGEST);
    assert!(is_host(reply.server.id), "{reply:?}");
    if let Kind::Offer(terms) | Kind::Ack { terms, .. } = &reply.kind {
        assert!(is_host(terms.address) && terms.lease_secs > 0, "{reply:?}");
        assert!(terms.prefix_length.is_none_or(|length| (1..=32).contains(&length)), "{reply:?}");
        settings(&terms.settings);
    }
    assert_eq!(Reply::parse(input, None), Ok(reply));
}

/// What ends up in resolv.conf, in routes and on an interface.
fn settings(settings: &Settings) {
    let Settings { gateway, routes, name_servers, domain, search, time_servers, host_name, .. } =
        settings;
    let hosts = gateway.iter().chain(name_servers).chain(time_servers);
    let next_hops = routes.iter().filter_map(|route| route.gateway.as_ref());
    assert!(hosts.chain(next_hops).all(|host| is_host(*host)), "{settings:?}");
    for (index, route) in routes.iter().enumerate() {
        assert_eq!(route.destination, route.destination.trunc());
        let same = |other: &&linkspan_dhcp::lease::Route| other.destination == route.destination;
        assert_eq!(routes.iter().position(|r| same(&r)), Some(index), "{routes:?}");
    }
    for name in search.iter().chain(domain).chain(host_name) {
        assert!((1..=253).contains(&name.len()), "{name:?}");
        for label in name.split('.') {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            assert!((1..=63).contains(&label.len()) && label.bytes().all(plain), "{name:?}");
        }
    }
}

fn is_host(address: Ipv4Addr) -> bool {
    !(address.is_loopback() || address.octets()[0] == 0 || address.octets()[0] >= 224)
}
