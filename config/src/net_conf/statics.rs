//! `ipam` of type static: the addresses that the configuration or the runtime names.

use std::collections::HashSet;
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

pub(super) const KEYS: &[&str] = &["type", "addresses", "routes", "dns"];
pub(super) const ADDRESS_KEYS: &[&str] = &["address", "gateway"];

const CIDR: &str = "an address for a pod with its prefix length, such as 10.1.2.3/24";

impl StaticConf {
    /// Parses the section `ipam`. Addresses of `runtimeConfig.ips` take the place of all others; else
    /// those of `args.cni.ips` do. Those of `CNI_ARGS` are added to the configuration's. A `GATEWAY`
    /// of `CNI_ARGS` is that of every address whose subnet it is in.
    pub(super) fn parse(ipam: &Fields<'_>, sources: &Sources<'_>) -> Result<Self, Invalid> {
        ipam.refuse_near_misses(KEYS)?;
        let mut addresses = configured(ipam)?;
        let args = sources.root.inside("args")?.inside("cni")?;
        let [args, runtime] = [asked(&args)?, asked(&sources.runtime)?];
        match (runtime, args) {
            (runtime, _) if !runtime.is_empty() => addresses = runtime,
            (_, args) if !args.is_empty() => addresses = args,
            _ => addresses.extend(of_environment(&sources.inputs.ips)?),
        }
        for address in &mut addresses {
            let last = sources.inputs.gateways.iter().rfind(|gw| address.address.contains(*gw));
            address.gateway = last.copied().or(address.gateway);
        }
        // The kernel refuses an address that is there already.
        let mut seen = HashSet::new();
        addresses.retain(|address| seen.insert(address.address));
        Ok(Self { addresses, routes: parse_routes(ipam)?, dns: Dns::parse(ipam)? })
    }
}

fn configured(ipam: &Fields<'_>) -> Result<Vec<StaticAddress>, Invalid> {
    const LIST: &str = "a list such as [{\"address\": \"10.1.2.3/24\", \"gateway\": \"10.1.2.1\"}]";
    let one = |entry: &Fields<'_>| {
        entry.refuse_near_misses(ADDRESS_KEYS)?;
        let ip = entry.text("address", CIDR)?.and_then(|text| text.parse().ok());
        let net = ip.and_then(with_subnet).ok_or_else(|| entry.invalid("address", CIDR))?;
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
    let nets = place.each("ips", CIDR, |text| with_subnet(text.parse().ok()?))?;
    Ok(nets.into_iter().map(|address| StaticAddress { address, gateway: None }).collect())
}

fn of_environment(ips: &[RequestedIp]) -> Result<Vec<StaticAddress>, Invalid> {
    let one = |ip: &RequestedIp| match with_subnet(*ip) {
        Some(address) => Ok(StaticAddress { address, gateway: None }),
        None => Err(Invalid::new("CNI_ARGS IP", Some(&Value::from(ip.to_string())), CIDR)),
    };
    ips.iter().map(one).collect()
}

/// An address that a pod can have, and its subnet.
fn with_subnet(ip: RequestedIp) -> Option<IpNet> {
    match ip {
        RequestedIp::InSubnet(net) => {
            let address = net.addr();
            (!address.is_unspecified() && !address.is_multicast()).then_some(net)
        }
        RequestedIp::Address(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{parse_with, refused};
    use super::*;
    use crate::net_conf::{IpamConf, RuntimeInputs};
    use serde_json::json;

    fn parse(keys: &Value, inputs: &RuntimeInputs) -> Result<StaticConf, Invalid> {
        let mut config = json!({"type": "macvlan", "ipam": {"type": "static"}});
        config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        match parse_with(config, inputs)?.ipam {
            IpamConf::Static(conf) => Ok(conf),
            other => panic!("another IPAM: {other:?}"),
        }
    }

    fn shown(conf: &StaticConf) -> Vec<String> {
        let one = |address: &StaticAddress| match address.gateway {
            Some(gateway) => format!("{} by {gateway}", address.address),
            None => address.address.to_string(),
        };
        conf.addresses.iter().map(one).collect()
    }

    fn environment(ips: &[&str], gateways: &[&str]) -> RuntimeInputs {
        RuntimeInputs {
            ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
            gateways: gateways.iter().map(|gateway| gateway.parse().unwrap()).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn the_peer_s_configuration_is_read_unchanged() {
        let ipam = json!({
            "type": "static",
            "addresses": [
                {"address": "10.10.0.1/24", "gateway": "10.10.0.254"},
                {"address": "3ffe:ffff:0:01ff::1/64", "gateway": "3ffe:ffff:0::1"},
            ],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "192.168.0.0/16", "gw": "10.10.5.1"}],
            "dns": {"nameservers": ["8.8.8.8"], "domain": "example.com", "search": ["example.com"]},
        });
        let conf = parse(&json!({"ipam": ipam}), &RuntimeInputs::default()).unwrap();
        assert_eq!(
            shown(&conf),
            ["10.10.0.1/24 by 10.10.0.254", "3ffe:ffff:0:1ff::1/64 by 3ffe:ffff::1"]
        );
        assert_eq!(conf.routes.len(), 2);
        assert_eq!(conf.dns.nameservers, ["8.8.8.8"]);
        assert_eq!(parse(&json!({}), &RuntimeInputs::default()), Ok(StaticConf::default()));
    }

    #[test]
    fn the_runtimes_addresses_win_then_those_of_args_and_the_environment_s_are_added() {
        let ipam = json!({"type": "static", "addresses": [{"address": "10.1.0.1/24", "gateway": "10.1.0.254"}]});
        let args = json!({"cni": {"ips": ["10.2.0.1/24"]}});
        let runtime = json!({"ips": ["10.3.0.1/24", "fd00::1/64"]});
        let inputs =
            environment(&["10.4.0.1/24", "10.1.0.1/24"], &["10.4.0.254", "10.2.0.254", "10.9.0.9"]);
        let table: [(Value, &[&str]); 4] = [
            (
                json!({"ipam": ipam, "args": args, "runtimeConfig": runtime}),
                &["10.3.0.1/24", "fd00::1/64"],
            ),
            (json!({"ipam": ipam, "args": args}), &["10.2.0.1/24 by 10.2.0.254"]),
            (json!({"ipam": ipam}), &["10.1.0.1/24 by 10.1.0.254", "10.4.0.1/24 by 10.4.0.254"]),
            (json!({"args": {"cni": {"ips": []}}}), &["10.4.0.1/24 by 10.4.0.254", "10.1.0.1/24"]),
        ];
        for (keys, addresses) in table {
            assert_eq!(shown(&parse(&keys, &inputs).unwrap()), addresses, "{keys}");
        }
    }

    #[test]
    fn the_environment_s_gateway_wins_over_the_configuration_s() {
        let ipam = json!({"type": "static", "addresses": [{"address": "10.1.0.1/24", "gateway": "10.1.0.254"}]});
        let inputs = environment(&[], &["10.1.0.7", "10.1.0.8"]);
        let conf = parse(&json!({"ipam": ipam}), &inputs).unwrap();
        assert_eq!(shown(&conf), ["10.1.0.1/24 by 10.1.0.8"]);
    }

    #[test]
    fn an_address_without_its_prefix_length_is_refused_where_it_counts() {
        let inputs = environment(&["10.4.0.1"], &[]);
        assert_eq!(
            parse(&json!({}), &inputs).unwrap_err().to_string(),
            "`CNI_ARGS IP` is \"10.4.0.1\", expected an address for a pod with its prefix length, such as 10.1.2.3/24"
        );
        assert!(parse(&json!({"runtimeConfig": {"ips": ["10.3.0.1/24"]}}), &inputs).is_ok());
    }

    #[test]
    fn what_is_refused() {
        let addresses = |list: Value| json!({"ipam": {"type": "static", "addresses": list}});
        refused(
            &json!({"type": "macvlan", "ipam": {"type": "static"}}),
            [
                (
                    json!({"runtimeConfig": {"ips": ["10.1.2.3"]}}),
                    "`runtimeConfig.ips[0]` is \"10.1.2.3\", expected an address for a pod with its prefix length, such as 10.1.2.3/24",
                    "",
                ),
                (
                    json!({"args": {"cni": {"ips": ["10.1.2.3/24", 4]}}}),
                    "`args.cni.ips[1]` is 4, expected an address for a pod with its prefix length, such as 10.1.2.3/24",
                    "",
                ),
                (
                    json!({"args": {"cni": {"ips": "10.1.2.3/24"}}}),
                    "`args.cni.ips` is \"10.1.2.3/24\", expected a list, each entry an address for a pod with its prefix length, such as 10.1.2.3/24",
                    "",
                ),
                (
                    addresses(json!("10.1.2.3/24")),
                    "`ipam.addresses` is \"10.1.2.3/24\", expected a list such as [{\"address\": \"10.1.2.3/24\", \"gateway\": \"10.1.2.1\"}]",
                    "",
                ),
                (
                    addresses(json!(["10.1.2.3/24"])),
                    "`ipam.addresses[0]` is \"10.1.2.3/24\", expected an object",
                    "",
                ),
                (
                    addresses(json!([{}])),
                    "`ipam.addresses[0].address` is nothing, expected an address for a pod with its prefix length, such as 10.1.2.3/24",
                    "",
                ),
                (
                    addresses(json!([{"address": "224.0.0.1/24"}])),
                    "`ipam.addresses[0].address` is \"224.0.0.1/24\", expected an address for a pod with its prefix length, such as 10.1.2.3/24",
                    "",
                ),
                (
                    addresses(json!([{"address": "0.0.0.0/0"}])),
                    "`ipam.addresses[0].address` is \"0.0.0.0/0\", expected an address for a pod with its prefix length, such as 10.1.2.3/24",
                    "",
                ),
                (
                    addresses(json!([{"address": "10.1.2.3/24", "gateway": "fd00::1"}])),
                    "`ipam.addresses[0].gateway` is \"fd00::1\", expected an address of the same family as 10.1.2.3/24",
                    "",
                ),
                (
                    addresses(json!([{"address": "10.1.2.3/24", "gateway": "10.1.2.3"}])),
                    "`ipam.addresses[0].gateway` is \"10.1.2.3\", expected another address than the pod's own",
                    "",
                ),
                (
                    addresses(json!([{"address": "10.1.2.3/24", "gateway": "10.1.2.1/24"}])),
                    "`ipam.addresses[0].gateway` is \"10.1.2.1/24\", expected an IP address in quotes, without a prefix length",
                    "",
                ),
                (
                    addresses(json!([{"adress": "10.1.2.3/24"}])),
                    "`ipam.addresses[0].adress` is \"10.1.2.3/24\", expected a key that is known",
                    "Write `address` if that is what `adress` means",
                ),
                (
                    json!({"ipam": {"type": "static", "address": []}}),
                    "`ipam.address` is [], expected a key that is known",
                    "Write `addresses` if that is what `address` means",
                ),
                (
                    json!({"ipam": {"type": "static", "routes": [{"dst": "x"}]}}),
                    "`ipam.routes[0].dst` is \"x\", expected a destination such as 0.0.0.0/0 or 10.2.0.0/16",
                    "",
                ),
                (
                    json!({"ipam": {"type": "static", "dns": {"searches": ["a"]}}}),
                    "`ipam.dns.searches` is [\"a\"], expected a key that is known",
                    "Write `search` if that is what `searches` means",
                ),
                (
                    json!({"ipam": {"type": "static", "dns": {"nameservers": [1]}}}),
                    "`ipam.dns.nameservers` is [1], expected a list of addresses in quotes",
                    "",
                ),
            ],
        );
    }
}
