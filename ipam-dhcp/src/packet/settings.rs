//! What goes with an address, read from options. A value that can't be meant is as if it were not there: a pod is
//! better off with an address alone than without one.

use std::net::Ipv4Addr;

use dhcproto::v4::Decoder;
use ipnet::Ipv4Net;
use linkspan_types::Mtu;

use super::is_host;
use super::options::Options;
use crate::lease::{Route, Settings};

pub(super) fn read(options: &Options) -> Settings {
    let (gateway, routes) = routes(options);
    Settings {
        gateway,
        routes,
        name_servers: hosts(options, 6),
        domain: options.get(15).and_then(name),
        search: search(options),
        mtu: options.get(26).and_then(mtu),
        time_servers: hosts(options, 42),
        host_name: options.get(12).and_then(name),
    }
}

/// The prefix length that a mask stands for, if it has no holes.
pub(super) fn prefix_length(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let length = bits.leading_ones();
    let whole = length > 0 && length + bits.trailing_zeros() >= u32::BITS;
    whole.then(|| u8::try_from(length).ok()).flatten()
}

/// The prefix length of an address whose server does not tell its mask: that of its class (RFC 950).
pub(crate) fn class_prefix(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        ..128 => 8,
        128..192 => 16,
        _ => 24,
    }
}

fn hosts(options: &Options, code: u8) -> Vec<Ipv4Addr> {
    let mut hosts = Vec::new();
    for address in options.addresses(code) {
        if is_host(address) && !hosts.contains(&address) {
            hosts.push(address);
        }
    }
    hosts
}

fn mtu(value: &[u8]) -> Option<Mtu> {
    Mtu::try_from(u32::from(u16::from_be_bytes(value.try_into().ok()?))).ok()
}

/// The default route's next hop, and all other routes. Classless routes replace the others, gateway and all
/// (RFC 3442); 249 is what Microsoft's servers call 121.
fn routes(options: &Options) -> (Option<Ipv4Addr>, Vec<Route>) {
    let classless = [121, 249].into_iter().find_map(|code| classless(options.get(code)?));
    if let Some(mut routes) = classless {
        let default = routes
            .iter()
            .position(|route| route.destination.prefix_len() == 0 && route.gateway.is_some());
        let gateway = default.and_then(|index| routes.remove(index).gateway);
        return (gateway, routes);
    }
    (hosts(options, 3).first().copied(), classful(options))
}

/// The routes of option 121; nothing at all where one of them is cut off.
fn classless(value: &[u8]) -> Option<Vec<Route>> {
    let mut routes = Vec::new();
    let mut decoder = Decoder::new(value);
    while let Ok(length) = decoder.read_u8() {
        let digits = decoder.read_slice(usize::from(length.div_ceil(8))).ok()?;
        let mut destination = [0; 4];
        destination.get_mut(..digits.len())?.copy_from_slice(digits);
        let gateway = decoder.read_ipv4(4).ok()?;
        add(&mut routes, Ipv4Net::new(destination.into(), length).ok()?, gateway);
    }
    (!routes.is_empty()).then_some(routes)
}

/// The routes of option 33, each to a network of a class, or to a host.
fn classful(options: &Options) -> Vec<Route> {
    let value = options.get(33).unwrap_or_default();
    let mut routes = Vec::new();
    for (destination, gateway) in
        Decoder::new(value).read_pair_ipv4s(value.len()).unwrap_or_default()
    {
        let network = Ipv4Net::new(destination, class_prefix(destination)).ok();
        let network = network.filter(|network| network.network() == destination);
        // The default route can't be given by this option (RFC 2132, section 5.8).
        if is_host(destination) && is_host(gateway) {
            add(&mut routes, network.unwrap_or_else(|| destination.into()), gateway);
        }
    }
    routes
}

/// The first of two routes to the same place counts; 0.0.0.0 as the next hop means that there is none.
fn add(routes: &mut Vec<Route>, destination: Ipv4Net, gateway: Ipv4Addr) {
    let destination = destination.trunc();
    let known = routes.iter().any(|route| route.destination == destination);
    if !known && (gateway.is_unspecified() || is_host(gateway)) {
        let gateway = Some(gateway).filter(|gateway| !gateway.is_unspecified());
        routes.push(Route { destination, gateway });
    }
}

/// A search list may be as long as a message. Its names refer to each other, so that reading takes the square of its
/// length; that has a bound.
const LONGEST_SEARCH: usize = 512;

/// The domains of option 119, which are written as DNS does (RFC 3397); up to the first that can't be read.
fn search(options: &Options) -> Vec<String> {
    let value = options.get(119).unwrap_or_default();
    let value = &value[..value.len().min(LONGEST_SEARCH)];
    let mut search = Vec::new();
    for domain in Decoder::new(value).read_domains(value.len()).unwrap_or_default() {
        let labels: Vec<&[u8]> = domain.iter().collect();
        search.extend(name(&labels.join(&b'.')).filter(|name| !search.contains(name)));
    }
    search
}

/// A name of DNS as text: it ends up in `/etc/resolv.conf` or as a host's name, and must not be anything else there.
fn name(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?.trim_end_matches('\0');
    let text = text.strip_suffix('.').unwrap_or(text);
    let valid = text.len() <= 253 && text.split('.').all(is_label);
    valid.then(|| text.to_owned())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
