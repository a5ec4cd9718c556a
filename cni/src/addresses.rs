//! The last steps in the pod: addresses, up, routes, and an announcement to the neighbours.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use linkspan_config::net_conf;
use linkspan_linux::sysctl::{self, SysctlError};
use linkspan_linux::{
    Link, LinkChange, LinkEvents, NetlinkError, Netns, Route, RouteSocket, announce,
};
use linkspan_types::IfName;

use crate::spec::{AddResult, CniError, Code};

/// Gives a link the addresses and routes of a result, and sets it up in between: an address that is there
/// when the link comes up is announced by the kernel, and a route needs a link that is up.
pub fn configure(
    pod: &mut RouteSocket,
    netns: &Netns,
    name: &IfName,
    index: u32,
    result: &AddResult,
) -> Result<(), CniError> {
    let has_ipv6 = result.ips.iter().any(|ip| ip.address.addr().is_ipv6());
    netns
        .within(|| prepare(name, has_ipv6))
        .map_err(|e| CniError::caused_by(Code::KernelRefused, &e, ""))?
        .map_err(|e| CniError::caused_by(Code::KernelRefused, &e, "Is /proc/sys read-only?"))?;
    for ip in &result.ips {
        pod.add_address(index, ip.address)?;
    }
    pod.change_link(index, &LinkChange { up: Some(true), ..LinkChange::default() })?;
    for route in &result.routes {
        pod.add_route(index, &with_gateway(route, result))?;
    }
    Ok(())
}

/// Has the kernel announce the addresses (a gratuitous ARP, an unsolicited neighbour advertisement), and use
/// those of IPv6 at once, without the second that it would take to look for a duplicate.
fn prepare(link: &IfName, has_ipv6: bool) -> Result<(), SysctlError> {
    sysctl::ARP_NOTIFY.set(link, 1)?;
    sysctl::NDISC_NOTIFY.set(link, 1)?;
    if has_ipv6 {
        sysctl::DISABLE_IPV6.set(link, 0)?;
        sysctl::KEEP_ADDR_ON_DOWN.set(link, 1)?;
        sysctl::OPTIMISTIC_DAD.set(link, 1)?;
    }
    Ok(())
}

/// How long an ADD waits for a carrier, without which an announcement is lost.
const CARRIER_BOUND: Duration = Duration::from_millis(500);

/// Tells the neighbours of the IPv4 addresses as soon as the link has a carrier, which a VF has some
/// milliseconds after it is up: too late for the kernel's own announcement. (That of IPv6 comes in time: the
/// kernel waits for the carrier before it looks for duplicates, and announces after that.)
///
/// Without a carrier, or where it fails, the neighbours find out by themselves; the pod is attached.
pub fn tell_neighbours(pod: &mut RouteSocket, netns: &Netns, link: &Link, result: &AddResult) {
    let given = result.ips.iter().filter_map(|ip| match ip.address.addr() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    });
    let addresses: Vec<Ipv4Addr> = given.collect();
    let Some(mac) = link.mac.filter(|_| !addresses.is_empty()) else { return };
    let told = netns.within(|| {
        let has_carrier = || {
            let now = pod.link(link.index).map_err(io::Error::other)?;
            Ok::<_, io::Error>(now.carrier.then_some(()))
        };
        match LinkEvents::subscribe()?.wait_for(CARRIER_BOUND, has_carrier)? {
            Some(()) => announce(link.index, mac, &addresses),
            None => Ok(()),
        }
    });
    if let Err(e) = told.and_then(|sent| sent) {
        eprintln!("linkspan: the neighbours of {} were not told of its addresses: {e}", link.name);
    }
}

/// A route without a next hop goes by the first gateway of its family, as the reference plugins have it.
fn with_gateway(route: &net_conf::Route, result: &AddResult) -> Route {
    let is_v6 = route.dst.addr().is_ipv6();
    let of_family = |gateway: &IpAddr| gateway.is_ipv6() == is_v6;
    let default = || result.ips.iter().filter_map(|ip| ip.gateway).find(of_family);
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
