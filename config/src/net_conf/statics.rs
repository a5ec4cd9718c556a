//! `ipam` of type static: the addresses that the configuration or the runtime names.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::route::{Dns, Route, parse_address, parse_routes};
use super::runtime::RequestedIp;
use super::sources::Sources;
use crate::Invalid;
use crate::fields::Fields;

/// What static is to give to an attachment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticConf {
    /// The addresses, each of them once; there may be none.
    pub addresses: Vec<StaticAddress>,
    /// The routes for the result.
    pub routes: Vec<Route>,
    /// The DNS for the result.
    pub dns: Dns,
}

/// One address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticAddress {
    /// The address and its subnet.
    pub address: IpNet,
    /// The way out of the subnet.
    pub gateway: Option<IpAddr>,
}

const CIDR: &str = "an IP address with its prefix length, such as 10.1.2.3/24";

impl StaticConf {
    /// Parses the section `ipam`. Addresses of `runtimeConfig.ips` take the place of all others; else
    /// those of `args.cni.ips` do. Those of `CNI_ARGS` are added to the configuration's. A `GATEWAY`
    /// of `CNI_ARGS` is that of every address whose subnet it is in.
    pub(super) fn parse(ipam: &Fields<'_>, sources: &Sources<'_>) -> Result<Self, Invalid> {
        ipam.refuse_near_misses(&["type", "addresses", "routes", "dns"])?;
        let mut addresses = configured(ipam)?;
        let args = sources.root.inside("args")?.inside("cni")?;
        let [args, runtime] = [asked(&args)?, asked(&sources.runtime)?];
        let environment = of_environment(&sources.inputs.ips)?;
        match (runtime, args) {
            (runtime, _) if !runtime.is_empty() => addresses = runtime,
            (_, args) if !args.is_empty() => addresses = args,
            _ => addresses.extend(environment),
        }
        for address in &mut addresses {
            let last = sources.inputs.gateways.iter().rfind(|gw| address.address.contains(*gw));
            address.gateway = last.copied().or(address.gateway);
        }
        Ok(Self {
            addresses: each_once(addresses),
            routes: parse_routes(ipam)?,
            dns: Dns::parse(ipam)?,
        })
    }
}

fn configured(ipam: &Fields<'_>) -> Result<Vec<StaticAddress>, Invalid> {
    const LIST: &str = "a list such as [{\"address\": \"10.1.2.3/24\", \"gateway\": \"10.1.2.1\"}]";
    let one = |entry: &Fields<'_>| {
        entry.refuse_near_misses(&["address", "gateway"])?;
        let text = entry.text("address", CIDR)?.unwrap_or_default();
        let net = with_subnet(text).ok_or_else(|| entry.invalid("address", CIDR))?;
        let gateway = parse_address(entry, "gateway")?;
        if gateway.is_some_and(|gateway| gateway.is_ipv4() != net.addr().is_ipv4()) {
            return Err(entry.invalid("gateway", format!("an address of the same family as {net}")));
        }
        if gateway == Some(net.addr()) {
            return Err(entry.invalid("gateway", "another address than the pod's own"));
        }
        Ok(StaticAddress { address: net, gateway })
    };
    ipam.sections("addresses", LIST)?.iter().map(one).collect()
}

/// What `ips` of `args.cni` or of `runtimeConfig` asks for.
fn asked(place: &Fields<'_>) -> Result<Vec<StaticAddress>, Invalid> {
    let nets = place.each("ips", CIDR, with_subnet)?;
    Ok(nets.into_iter().map(|address| StaticAddress { address, gateway: None }).collect())
}

fn of_environment(ips: &[RequestedIp]) -> Result<Vec<StaticAddress>, Invalid> {
    let one = |ip: &RequestedIp| {
        let shown = Value::from(ip.to_string());
        let address = with_subnet(&ip.to_string())
            .ok_or_else(|| Invalid::new("CNI_ARGS IP", Some(&shown), CIDR))?;
        Ok(StaticAddress { address, gateway: None })
    };
    ips.iter().map(one).collect()
}

/// An address that a pod can have, and its subnet.
fn with_subnet(text: &str) -> Option<IpNet> {
    match text.parse().ok()? {
        RequestedIp::InSubnet(net) => {
            let address = net.addr();
            (!address.is_unspecified() && !address.is_multicast()).then_some(net)
        }
        RequestedIp::Address(_) => None,
    }
}

/// The kernel refuses an address that is there already.
fn each_once(addresses: Vec<StaticAddress>) -> Vec<StaticAddress> {
    let mut once: Vec<StaticAddress> = Vec::new();
    for address in addresses {
        if !once.iter().any(|known| known.address == address.address) {
            once.push(address);
        }
    }
    once
}
