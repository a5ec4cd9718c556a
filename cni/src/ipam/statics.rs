//! Addresses that the configuration or the runtime names: nothing is reserved, and nothing given back.

use linkspan_config::net_conf::StaticConf;

use crate::spec::{AddResult, IpConfig};

/// The addresses, as an IPAM plugin's result: no interfaces.
#[must_use]
pub fn result(conf: &StaticConf) -> AddResult {
    let ips = conf.addresses.iter().map(|wanted| IpConfig {
        address: wanted.address,
        gateway: wanted.gateway,
        interface: None,
    });
    AddResult {
        interfaces: Vec::new(),
        ips: ips.collect(),
        routes: conf.routes.clone(),
        dns: conf.dns.clone(),
    }
}

/// In what the result of an ADD is not as the configuration says: addresses, and gateways where it names them. The
/// result may have more, from other plugins of the chain.
#[must_use]
pub fn differences(conf: &StaticConf, result: &AddResult) -> Vec<String> {
    let mut differences = Vec::new();
    for wanted in &conf.addresses {
        let address = wanted.address;
        let given = result.ips.iter().find(|ip| ip.address == address);
        match (given.map(|ip| ip.gateway), wanted.gateway) {
            (None, _) => differences.push(format!("address {address} is not in the result of ADD")),
            (Some(given), Some(gateway)) if given != Some(gateway) => {
                let given =
                    given.map_or_else(|| "no gateway".to_owned(), |ip| format!("gateway {ip}"));
                differences.push(format!(
                    "address {address} has {given} in the result of ADD, expected {gateway}"
                ));
            }
            _ => {}
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use linkspan_config::net_conf::{Dns, Route, StaticAddress};

    use super::*;

    fn conf(addresses: &[(&str, Option<&str>)]) -> StaticConf {
        let route = Route {
            dst: "0.0.0.0/0".parse().unwrap(),
            gw: None,
            mtu: None,
            advmss: None,
            priority: None,
            table: None,
            scope: None,
        };
        let one = |(address, gateway): &(&str, Option<&str>)| StaticAddress {
            address: address.parse().unwrap(),
            gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        };
        let dns = Dns { domain: Some("a.b".to_owned()), ..Dns::default() };
        StaticConf { addresses: addresses.iter().map(one).collect(), routes: vec![route], dns }
    }

    #[test]
    fn what_is_configured_is_given() {
        let conf = conf(&[("10.1.2.3/24", Some("10.1.2.1")), ("fd00::3/64", None)]);
        let given = result(&conf);
        let ips: Vec<_> = given.ips.iter().map(|ip| (ip.address, ip.gateway)).collect();
        let wanted: Vec<_> = conf.addresses.iter().map(|ip| (ip.address, ip.gateway)).collect();
        assert_eq!(ips, wanted);
        assert_eq!((&given.routes, &given.dns), (&conf.routes, &conf.dns));
        assert_eq!(given.interfaces, []);
    }

    #[test]
    fn what_is_given_is_what_was_configured() {
        let told = |wanted: &[(&str, Option<&str>)], given: &[(&str, Option<&str>)]| {
            differences(&conf(wanted), &result(&conf(given)))
        };
        let (plain, routed) = (("10.1.2.3/24", None), ("10.1.2.3/24", Some("10.1.2.1")));
        let other = ("10.1.2.4/24", None);
        let nothing = Vec::<String>::new();
        assert_eq!(told(&[], &[plain]), nothing);
        assert_eq!(told(&[routed], &[other, routed]), nothing);
        assert_eq!(told(&[plain], &[routed]), nothing, "no gateway was asked for");
        assert_eq!(
            told(&[routed, other], &[plain]),
            [
                "address 10.1.2.3/24 has no gateway in the result of ADD, expected 10.1.2.1",
                "address 10.1.2.4/24 is not in the result of ADD",
            ]
        );
        assert_eq!(
            told(&[routed], &[("10.1.2.3/24", Some("10.1.2.9"))]),
            ["address 10.1.2.3/24 has gateway 10.1.2.9 in the result of ADD, expected 10.1.2.1"]
        );
        assert_eq!(told(&[plain], &[("10.1.2.3/25", None)]).len(), 1);
    }
}
