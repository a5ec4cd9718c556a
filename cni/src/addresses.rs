//! The last steps in the pod: addresses, up, routes, and an announcement to the neighbours.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use linkspan_config::net_conf::{self, Duplicates};
use linkspan_linux::sysctl::{self, SysctlError};
use linkspan_linux::{
    Audience, LinkBasics, LinkChange, LinkEvents, NetlinkError, Route, RouteSocket, probe,
};
use linkspan_types::IfName;

use crate::log;
use crate::spec::{AddResult, CniError, Code};

/// How long an ADD waits for a carrier, without which an announcement is lost.
const CARRIER_BOUND: Duration = Duration::from_millis(500);
/// How long an ADD waits for an answer to its probes of an IPv4 address (RFC 5227, section 1.1, has seconds, for
/// links of 1982).
const PROBE_BOUND: Duration = Duration::from_millis(200);
/// How long the kernel may look for a duplicate of an IPv6 address: a second by default, and as much again.
const DAD_BOUND: Duration = Duration::from_secs(5);

/// What matters of a link's kind.
#[derive(Clone, Copy, Debug)]
pub struct Nature {
    /// It was made for the pod, and has had its carrier from the moment it was set up.
    pub is_made: bool,
    /// What it sends to many may come back to it: QEMU's igb hands a VF its own multicasts, which macvlan and
    /// ipvlan keep from their links.
    pub may_hear_itself: bool,
}

/// Gives a link the addresses and routes of a result, sets it up in between, and tells the neighbours.
///
/// An IPv4 address is there when the link comes up, unless it was asked for over the link, because a link that has its carrier then has the address
/// announced by the kernel. An IPv6 address comes after the carrier: to one that is there before, the kernel
/// delivers nothing for the second that it looks for a duplicate, optimistic or not (`addrconf_dad_begin` in
/// `net/ipv6/addrconf.c` gives it its local route only where the link is ready).
///
/// The calling thread is in the pod's namespace.
pub fn configure(
    pod: &mut RouteSocket,
    name: &IfName,
    link: &LinkBasics,
    result: &AddResult,
    duplicates: Duplicates,
    nature: Nature,
) -> Result<(), CniError> {
    let was_up = link.up;
    if result.ips.is_empty() && result.routes.is_empty() {
        return Ok(set_up(pod, link)?);
    }
    let addresses = result.ips.iter().map(|ip| ip.address);
    let (v4, v6): (Vec<IpNet>, Vec<IpNet>) = addresses.partition(|net| net.addr().is_ipv4());
    prepare(name, !v6.is_empty(), duplicates)
        .map_err(|e| CniError::caused_by(Code::KernelRefused, &e, "Is /proc/sys read-only?"))?;
    if duplicates.probe_v4 {
        set_up(pod, link)?;
        refuse_duplicates(pod, link, &v4)?;
    }
    for address in &v4 {
        pod.add_address(link.index, *address)?;
    }
    set_up(pod, link)?;
    // A link that was up before has its addresses announced by setting the MAC that it has: by a packet socket it
    // would take ten times as long, for the kernel waits for all processors when such a one is closed.
    let is_announced = nature.is_made
        && !duplicates.probe_v4
        && (!was_up || v4.is_empty() || set_its_own_mac(pod, link));
    let untold = if is_announced { v6.clone() } else { [&v4[..], &v6[..]].concat() };
    let carrier = if untold.is_empty() { Ok(false) } else { wait_for_carrier(pod, link) };
    for address in &v6 {
        pod.add_address(link.index, *address)?;
    }
    for route in routes_of(result) {
        pod.add_route(link.index, &route)?;
    }
    if duplicates.wait_v6 && !v6.is_empty() {
        wait_for_dad(pod, link)?;
    }
    // Once the kernel is through with looking for a duplicate, none comes from an echo.
    let may_hear_itself = nature.may_hear_itself && !duplicates.wait_v6;
    let audience = if may_hear_itself { Audience::Routers } else { Audience::Nodes };
    if let Err(e) = tell_neighbours(pod, link, &untold, audience, carrier) {
        log::warning(format_args!("the neighbours of {name} were not told of its addresses: {e}"));
    }
    Ok(())
}

/// Whether the link took its own MAC once more, upon which the kernel announces its IPv4 addresses. An ipvlan link
/// takes none.
fn set_its_own_mac(pod: &mut RouteSocket, link: &LinkBasics) -> bool {
    let change = LinkChange { mac: link.mac, ..LinkChange::default() };
    link.mac.is_some() && pod.change_link(link.index, &change).is_ok()
}

/// Sets a link up, unless it is.
pub(crate) fn set_up(pod: &mut RouteSocket, link: &LinkBasics) -> Result<(), NetlinkError> {
    if link.up {
        return Ok(());
    }
    pod.change_link(link.index, &LinkChange { up: Some(true), ..LinkChange::default() })
}

/// Has the kernel announce the addresses whenever the link gets another MAC, those of IPv4 also when it comes
/// up; and, unless ADD is to wait, use those of IPv6 at once, without the second that it takes to look for a
/// duplicate.
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

/// Tells the neighbours of addresses, which nobody hears of a link without a carrier.
///
/// What the kernel announces is too early for a VF, which has its carrier some milliseconds after it is up; and
/// of an optimistic IPv6 address the kernel says nothing that would override what the neighbours know.
///
/// Without a carrier, or where it fails, the neighbours find out by themselves; the pod is attached.
fn tell_neighbours(
    pod: &mut RouteSocket,
    link: &LinkBasics,
    addresses: &[IpNet],
    audience: Audience,
    carrier: io::Result<bool>,
) -> io::Result<()> {
    match link.mac {
        Some(mac) if carrier? => pod.announce(link.index, mac, addresses, audience),
        _ => Ok(()),
    }
}

/// Whether the link has a carrier in time.
pub(crate) fn wait_for_carrier(pod: &mut RouteSocket, link: &LinkBasics) -> io::Result<bool> {
    let mut has_carrier = || {
        let now = pod.link(link.index).map_err(io::Error::other)?;
        Ok::<_, io::Error>(now.carrier.then_some(()))
    };
    // A link that is made has it from the first moment, and nothing to be waited for.
    if has_carrier()?.is_some() {
        return Ok(true);
    }
    let events = LinkEvents::subscribe()?;
    Ok(events.wait_for(CARRIER_BOUND, has_carrier)?.is_some())
}

/// Asks the neighbours whether one of them has an address already.
fn refuse_duplicates(
    pod: &mut RouteSocket,
    link: &LinkBasics,
    addresses: &[IpNet],
) -> Result<(), CniError> {
    let Some(mac) = link.mac else { return Ok(()) };
    let asked = wait_for_carrier(pod, link).and_then(|_| {
        for address in addresses {
            let IpAddr::V4(address) = address.addr() else { continue };
            if let Some(owner) = probe(link.index, mac, address, PROBE_BOUND)? {
                return Ok(Some((address, owner)));
            }
        }
        Ok(None)
    });
    match asked {
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
fn wait_for_dad(pod: &mut RouteSocket, link: &LinkBasics) -> Result<(), CniError> {
    let duplicates = linkspan_linux::wait_for_dad(pod, link.index, DAD_BOUND)
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
