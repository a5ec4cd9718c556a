//! The sockets by which the programs of a node find each other.

use linkspan_config::net_conf::IpamConf;

use super::super::facts::{Facts, Socket, Whose};
use super::super::finding::Finding;
use crate::answer::Answer;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    facts.sockets.iter().filter_map(|socket| one(facts, socket)).collect()
}

fn one(facts: &Facts, socket: &Socket) -> Option<Finding> {
    let has_pools = !facts.pools.is_empty();
    let asks_pools = facts.networks.iter().any(|network| network.conf.resource.is_some());
    let has_dhcp = facts.networks.iter().any(|n| matches!(n.conf.ipam, IpamConf::Dhcp(_)));
    let needed = match socket.whose {
        Whose::Kubelet | Whose::PodResources => has_pools,
        Whose::DevicePlugin => has_pools || asks_pools,
        Whose::Dhcp => has_dhcp,
    };
    let (check, name, why, help) = words(socket.whose);
    let path = socket.path.display();
    let seen = match &socket.state {
        Answer::Missing if needed => format!("{name} is out of reach: there is no {path}"),
        Answer::Refused(error) if needed => format!("{name} is out of reach: {path}: {error}"),
        Answer::Refused(error) if socket.whose == Whose::Dhcp => {
            let seen = format!("nobody listens on {path}: {error}");
            let why = "the reference plugin's daemon can't start while its old socket is there";
            return Some(
                Finding::warning("peer-state", seen).because(why).help(format!("rm {path}")),
            );
        }
        Answer::Listening(Some(program)) if socket.whose == Whose::Dhcp && program == "dhcp" => {
            let seen = format!("{path} is served by the reference plugin's DHCP daemon");
            let why =
                "it speaks another protocol: Linkspan's networks with DHCP get no address from it";
            let help = "stop that daemon and start linkspan-dhcp; linkspan migrate says what becomes of its leases";
            let finding = Finding::error("dhcp", seen).because(why).help(help);
            return needed.then_some(finding);
        }
        _ => return None,
    };
    Some(Finding::error(check, seen).because(why).help(help))
}

/// The check's name, the program's, what comes of its absence, and what helps.
fn words(whose: Whose) -> (&'static str, &'static str, &'static str, &'static str) {
    match whose {
        Whose::Kubelet => (
            "kubelet",
            "the kubelet",
            "no pool can be offered, so that pods that ask for one stay pending",
            "systemctl status kubelet; where its directory is another: --kubelet-dir of linkspan-device-plugin",
        ),
        Whose::PodResources => (
            "podresources",
            "the kubelet's pod resources API",
            "nobody knows which pod holds which device: networks with `resourceName` fail, devices in use may be offered",
            "systemctl status kubelet; the device plugin's pod needs /var/lib/kubelet/pod-resources mounted",
        ),
        Whose::DevicePlugin => (
            "device-plugin",
            "the device plugin",
            "its pools are not offered, and networks with `resourceName` fail",
            "kubectl -n kube-system get pods -o wide | grep linkspan-device-plugin, and its log",
        ),
        Whose::Dhcp => (
            "dhcp",
            "the DHCP daemon",
            "networks with `ipam` of type dhcp fail",
            "kubectl -n kube-system get pods -o wide | grep linkspan-dhcp, and its log",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{network, node, seen, with_pools};
    use super::*;
    use serde_json::json;

    fn socket(whose: Whose, state: Answer) -> Vec<Socket> {
        vec![Socket { whose, path: "/s".into(), state }]
    }

    #[test]
    fn a_socket_matters_where_somebody_needs_it() {
        let refused = || Answer::Refused("Connection refused".to_owned());
        let peer = || Answer::Listening(Some("dhcp".to_owned()));
        let pools = json!([{"resourceName": "a", "selectors": {}}]);
        let dhcp = || network(json!({"type": "macvlan", "ipam": {"type": "dhcp"}}));
        let table = [
            (node(), Whose::Kubelet, Answer::Missing, ""),
            (
                with_pools(&pools.clone()),
                Whose::Kubelet,
                Answer::Missing,
                "kubelet: the kubelet is out of reach: there is no /s",
            ),
            (
                with_pools(&pools.clone()),
                Whose::DevicePlugin,
                refused(),
                "device-plugin: the device plugin is out of reach: /s: Connection refused",
            ),
            (with_pools(&pools), Whose::PodResources, Answer::Listening(None), ""),
            (node(), Whose::Dhcp, Answer::Missing, ""),
            (node(), Whose::Dhcp, peer(), ""),
            (
                node(),
                Whose::Dhcp,
                refused(),
                "peer-state: nobody listens on /s: Connection refused",
            ),
            (
                Facts { networks: vec![dhcp()], ..node() },
                Whose::Dhcp,
                Answer::Missing,
                "dhcp: the DHCP daemon is out of reach: there is no /s",
            ),
            (
                Facts { networks: vec![dhcp()], ..node() },
                Whose::Dhcp,
                peer(),
                "dhcp: /s is served by the reference plugin's DHCP daemon",
            ),
        ];
        for (facts, whose, state, expected) in table {
            let facts = Facts { sockets: socket(whose, state), ..facts };
            assert_eq!(seen(&check(&facts)).join("; "), expected);
        }
    }
}
