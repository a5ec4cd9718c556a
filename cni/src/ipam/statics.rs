//! Addresses that the configuration names: nothing is reserved, and nothing given back.

use linkspan_config::net_conf::StaticConf;

use crate::spec::{AddResult, IpConfig};

/// The addresses, as an IPAM plugin's result: no interfaces.
#[must_use]
pub fn result(conf: &StaticConf) -> AddResult {
    let ip = |ip: &linkspan_config::net_conf::StaticAddress| IpConfig {
        address: ip.address,
        gateway: ip.gateway,
        interface: None,
    };
    AddResult {
        interfaces: Vec::new(),
        ips: conf.addresses.iter().map(ip).collect(),
        routes: conf.routes.clone(),
        dns: conf.dns.clone(),
    }
}

/// In what the result of an ADD is not as the configuration says.
#[must_use]
pub fn differences(conf: &StaticConf, result: &AddResult) -> Vec<String> {
    let given = |wanted: &IpConfig| result.ips.iter().any(|ip| ip.address == wanted.address);
    let wanted = self::result(conf).ips.into_iter().filter(|ip| !given(ip));
    wanted.map(|ip| format!("address {} is not in the result of ADD", ip.address)).collect()
}
