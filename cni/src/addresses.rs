//! The last steps in the pod: addresses, up, routes, and an announcement to the neighbours.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use linkspan_config::net_conf::{self, Duplicates};
use linkspan_linux::sysctl::{self, SysctlError};
use linkspan_linux::{
    Link, LinkChange, LinkEvents, NetlinkError, Netns, Route, RouteSocket, probe,
};
use linkspan_types::IfName;

use crate::spec::{AddResult, CniError, Code};

/// How long an ADD waits for a carrier, without which an announcement is lost.
const CARRIER_BOUND: Duration = Duration::from_millis(500);
/// How long an ADD waits for an answer to its probes of an IPv4 address (RFC 5227, section 1.1, has seconds, for
/// links of 1982).
const PROBE_BOUND: Duration = Duration::from_millis(200);
/// How long the kernel may look for a duplicate of an IPv6 address: a second by default, and as much again.
const DAD_BOUND: Duration = Duration::from_secs(5);

/// Gives a link the addresses and routes of a result, and sets it up in between: an address that is there
/// when the link comes up is announced by the kernel, and a route needs a link that is up.
pub fn configure(
    pod: &mut RouteSocket,
    netns: &Netns,
    name: &IfName,
    link: &Link,
    result: &AddResult,
    duplicates: Duplicates,
) -> Result<(), CniError> {
    if result.ips.is_empty() && result.routes.is_empty() {
        return Ok(set_up(pod, link)?);
    }
    let has_ipv6 = result.ips.iter().any(|ip| ip.address.addr().is_ipv6());
    netns
        .within(|| prepare(name, has_ipv6, duplicates))
        .map_err(|e| CniError::caused_by(Code::KernelRefused, &e, ""))?
        .map_err(|e| CniError::caused_by(Code::KernelRefused, &e, "Is /proc/sys read-only?"))?;
    if duplicates.probe_v4 {
        set_up(pod, link)?;
        refuse_duplicates(pod, netns, link, &ipv4_of(result))?;
    }
    for ip in &result.ips {
        pod.add_address(link.index, ip.address)?;
    }
    set_up(pod, link)?;
    for route in routes_of(result) {
        pod.add_route(link.index, &route)?;
    }
    if duplicates.wait_v6 && has_ipv6 {
        wait_for_dad(pod, netns, link)?;
    }
    Ok(())
}

fn set_up(pod: &mut RouteSocket, link: &Link) -> Result<(), NetlinkError> {
    if link.up {
        return Ok(());
    }
    pod.change_link(link.index, &LinkChange { up: Some(true), ..LinkChange::default() })
}

/// Has the kernel announce the addresses (a gratuitous ARP, an unsolicited neighbour advertisement), and,
/// unless ADD is to wait, use those of IPv6 at once, without the second that it takes to look for a duplicate.
fn prepare(link: &IfName, has_ipv6: bool, duplicates: Duplicates) -> Result<(), SysctlError> {
    sysctl::ARP_NOTIFY.set(link, 1)?;
    sysctl::NDISC_NOTIFY.set(link, 1)?;
    if has_ipv6 {
        sysctl::DISABLE_IPV6.set(link, 0)?;
        sysctl::KEEP_ADDR_ON_DOWN.set(link, 1)?;
        if !duplicates.wait_v6 {
            sysctl::OPTIMISTIC_DAD.set(link, 1)?;
        }
    }
    Ok(())
}

/// Tells the neighbours of the IPv4 addresses as soon as the link has a carrier, which a VF has some
/// milliseconds after it is up: too late for the kernel's own announcement. (That of IPv6 comes in time: the
/// kernel waits for the carrier before it looks for duplicates, and announces after that.)
///
/// Without a carrier, or where it fails, the neighbours find out by themselves; the pod is attached.
pub fn tell_neighbours(pod: &mut RouteSocket, netns: &Netns, link: &Link, result: &AddResult) {
    let addresses = ipv4_of(result);
    let Some(mac) = link.mac.filter(|_| !addresses.is_empty()) else { return };
    let told = netns.within(|| {
        if wait_for_carrier(pod, link)? {
            pod.announce(link.index, mac, &addresses)
        } else {
            Ok(())
        }
    });
    if let Err(e) = told.and_then(|sent| sent) {
        eprintln!("linkspan: the neighbours of {} were not told of its addresses: {e}", link.name);
    }
}

/// Whether the link has a carrier in time; the calling thread is in the pod's namespace.
fn wait_for_carrier(pod: &mut RouteSocket, link: &Link) -> io::Result<bool> {
    let mut has_carrier = || {
        let now = pod.link(link.index).map_err(io::Error::other)?;
        Ok::<_, io::Error>(now.carrier.then_some(()))
    };
    // A link that is made has it from the first moment, and nothing to be waited for.
    if has_carrier()?.is_some() {
        return Ok(true);
    }
    Ok(LinkEvents::subscribe()?.wait_for(CARRIER_BOUND, has_carrier)?.is_some())
}

fn ipv4_of(result: &AddResult) -> Vec<IpNet> {
    result.ips.iter().map(|ip| ip.address).filter(|net| net.addr().is_ipv4()).collect()
}

/// Asks the neighbours whether one of them has an address already.
fn refuse_duplicates(
    pod: &mut RouteSocket,
    netns: &Netns,
    link: &Link,
    addresses: &[IpNet],
) -> Result<(), CniError> {
    let Some(mac) = link.mac else { return Ok(()) };
    let asked = netns.within(|| {
        wait_for_carrier(pod, link)?;
        for address in addresses {
            let IpAddr::V4(address) = address.addr() else { continue };
            if let Some(owner) = probe(link.index, mac, address, PROBE_BOUND)? {
                return Ok(Some((address, owner)));
            }
        }
        Ok::<_, io::Error>(None)
    });
    match asked.and_then(|asked| asked) {
        Ok(None) => Ok(()),
        Ok(Some((address, owner))) => Err(CniError::new(
            Code::AddressHeld,
            format!("address {address} is in use on the network, by the host with MAC {owner}"),
            "Exclude the address from the range, or find out whose that MAC is",
        )),
        Err(e) => Err(CniError::caused_by(Code::KernelRefused, &e, "Leave `arpProbe` out")),
    }
}

/// Waits until the kernel has looked for duplicates of the link's IPv6 addresses.
fn wait_for_dad(pod: &mut RouteSocket, netns: &Netns, link: &Link) -> Result<(), CniError> {
    let waited = netns.within(|| linkspan_linux::wait_for_dad(pod, link.index, DAD_BOUND));
    let duplicates = waited
        .and_then(|waited| waited)
        .map_err(|e| CniError::caused_by(Code::KernelRefused, &e, ""))?;
    match duplicates.first() {
        None => Ok(()),
        Some(address) => Err(CniError::new(
            Code::AddressHeld,
            format!("address {address} is in use on the network, as the kernel has found"),
            "Exclude the address from the range, or find out which host has it",
        )),
    }
}

/// The routes of a result as the kernel is to have them. One without a next hop goes by the first gateway of
/// its family, as the reference plugins have it.
pub fn routes_of(result: &AddResult) -> impl Iterator<Item = Route> {
    result.routes.iter().map(|route| with_gateway(route, result))
}

fn with_gateway(route: &net_conf::Route, result: &AddResult) -> Route {
    let is_v6 = route.dst.addr().is_ipv6();
    let of_family = |gateway: &IpAddr| gateway.is_ipv6() == is_v6;
    // RT_SCOPE_LINK and RT_SCOPE_HOST: what is on the link, or on the pod itself, has no next hop.
    let is_near = route.scope.is_some_and(|scope| scope >= 253);
    let default =
        || result.ips.iter().filter_map(|ip| ip.gateway).find(of_family).filter(|_| !is_near);
    Route {
        destination: route.dst,
        gateway: route.gw.or_else(default),
        priority: route.priority,
        table: route.table,
        scope: route.scope,
        mtu: route.mtu,
        advertised_mss: route.advmss,
    }
}

impl From<NetlinkError> for CniError {
    fn from(error: NetlinkError) -> Self {
        Self::caused_by(Code::KernelRefused, &error, "See the kernel's log on the node (`dmesg`)")
    }
}
