//! What changes when Linkspan takes over, as a function of what there is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use linkspan_config::net_conf::{IpamConf, KindName};
use linkspan_config::resource_list::ResourceList;

use crate::answer::Answer;
use crate::networks::Plugin;
use crate::peer_state::PeerState;
use crate::peers;

/// What there is on a node.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) plugins: Vec<Plugin>,
    /// The files that are no configurations.
    pub(super) refused: Vec<(PathBuf, String)>,
    pub(super) programs: Vec<Program>,
    /// The folder in which the programs are.
    pub(super) bin: PathBuf,
    /// The device plugin's configuration, where there is one.
    pub(super) pools: Option<(PathBuf, Result<ResourceList, String>)>,
    pub(super) peers: PeerState,
    /// The DHCP daemon's socket.
    pub(super) dhcp: Answer,
}

/// A program of the node whose place Linkspan can take.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: &'static str,
    /// Whether it has that place already.
    pub(super) is_ours: bool,
}

/// What is to be done, in words.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) text: String,
    pub(super) obstacle: Option<Obstacle>,
}

/// What has to be done first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Obstacle {
    /// Pods have to be deleted.
    Pods,
    /// A configuration has to be corrected.
    Configuration,
}

/// The words, part by part.
#[derive(Default)]
struct Report {
    text: String,
    obstacle: Option<Obstacle>,
}

impl Present {
    pub(super) fn plan(&self) -> Plan {
        let mut report = Report::default();
        report.part("Configurations");
        self.networks(&mut report);
        self.pools(&mut report);
        report.part("Running pods");
        self.pods(&mut report);
        report.part("To take over");
        self.take_over(&mut report);
        report.part("To go back");
        self.go_back(&mut report);
        Plan { text: report.text, obstacle: report.obstacle }
    }

    fn networks(&self, report: &mut Report) {
        for (file, error) in &self.refused {
            report.say(&format!("{}: no configuration: {error}", file.display()));
            report.must(Obstacle::Configuration);
        }
        for plugin in &self.plugins {
            let place = format!(
                "{}: {} of network {}",
                plugin.file.display(),
                plugin.type_name(),
                plugin.name()
            );
            match plugin.network() {
                None => match peers::ipam_of(&plugin.config) {
                    Some((ipam, _)) => report.say(&format!(
                        "{place}: stays that plugin's, which calls {ipam}; Linkspan can take {ipam}'s place"
                    )),
                    None => report.say(&format!("{place}: is none of Linkspan's")),
                },
                Some(Err(error)) => {
                    report.say(&format!("{place}: Linkspan refuses it, correct it first: {error}"));
                    report.must(Obstacle::Configuration);
                }
                Some(Ok(network)) => {
                    report.say(&format!("{place}: read unchanged"));
                    let ignored = peers::ignored(&plugin.config, network.conf.kind);
                    for key in ignored.iter().filter(|key| key.is_ours) {
                        report.say(&format!("  changes: `{}`: {}", key.path, key.text));
                    }
                    for change in changes(network.conf.kind, &network.conf.ipam) {
                        report.say(&format!("  changes: {change}"));
                    }
                }
            }
        }
        if self.plugins.is_empty() && self.refused.is_empty() {
            report.say("no networks in the node's own folder");
        }
        report.say(
            "NetworkAttachmentDefinitions are in the cluster: kubectl get net-attach-def -A -o yaml > nets.yaml; \
             linkspan validate nets.yaml",
        );
    }

    fn pools(&self, report: &mut Report) {
        match &self.pools {
            None => {}
            Some((file, Err(error))) => {
                report.say(&format!(
                    "{}: Linkspan refuses it, correct it first: {error}",
                    file.display()
                ));
                report.must(Obstacle::Configuration);
            }
            Some((file, Ok(list))) => {
                report.say(&format!(
                    "{}: {} resources, read unchanged",
                    file.display(),
                    list.resources.len()
                ));
                let bare: Vec<&str> = list
                    .resources
                    .iter()
                    .filter(|resource| resource.prefix.is_none())
                    .map(|resource| resource.name.as_str())
                    .collect();
                if !bare.is_empty() {
                    report.say(&format!(
                        "  changes: {} would be called linkspan.dev/... and no longer intel.com/...: start \
                         linkspan-device-plugin with --resource-prefix and the old one's prefix",
                        bare.join(", ")
                    ));
                }
            }
        }
    }

    fn pods(&self, report: &mut Report) {
        let held: Vec<String> =
            self.peers.sriov.iter().filter(|vf| vf.alive).map(|vf| vf.device.to_string()).collect();
        if !held.is_empty() {
            report.say(&format!(
                "{} VFs are in pods by sriov-cni ({}): Linkspan's DEL does not know what they were like and leaves \
                 their settings: delete these pods first",
                held.len(),
                held.join(", ")
            ));
            report.must(Obstacle::Pods);
        }
        for vf in self.peers.sriov.iter().filter(|vf| !vf.alive) {
            report.say(&format!(
                "VF {} is left of a dead pod by sriov-cni: look at it, then rm {}",
                vf.device,
                vf.file.display()
            ));
        }
        let mut reserved: BTreeMap<&str, usize> = BTreeMap::new();
        for one in &self.peers.reservations {
            *reserved.entry(&one.network).or_default() += 1;
        }
        for (network, count) in reserved {
            report.say(&format!(
                "network {network}: {count} addresses are reserved by host-local, stay so, and are freed by either \
                 program"
            ));
        }
        for (network, left) in self.peers.left_reservations() {
            report.say(&format!(
                "network {network}: {} of them are of containers that no runtime knows",
                left.len()
            ));
        }
        if self.dhcp.is_reference_dhcp() {
            report.say(
                "the reference's DHCP daemon runs, and keeps its leases in its memory only: they go with it, and \
                 nobody renews them: delete the pods with leased addresses first",
            );
            report.must(Obstacle::Pods);
        }
        report.say(
            "links of macvlan, ipvlan and macvtap stay as they are; Linkspan's DEL removes them",
        );
    }

    /// The names that are worth to be taken, those that a network of this node uses first.
    fn names(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let is_used = |name: &str| {
            self.plugins.iter().any(|plugin| {
                let ipam = peers::ipam_of(&plugin.config).map(|(ipam, _)| ipam.to_string());
                plugin.type_name() == name || ipam.is_some_and(|ipam| ipam == name)
            })
        };
        let theirs =
            self.programs.iter().filter(|program| !program.is_ours).map(|program| program.name);
        theirs.partition(|name| is_used(name))
    }

    fn take_over(&self, report: &mut Report) {
        let drains = report.obstacle.is_some_and(|_| self.must_drain());
        let (used, others) = self.names();
        let ours: Vec<&str> =
            self.programs.iter().filter(|one| one.is_ours).map(|one| one.name).collect();
        if drains {
            report.say("kubectl drain NODE --ignore-daemonsets --delete-emptydir-data");
        }
        if self.dhcp.is_reference_dhcp() {
            report.say("end the reference's `dhcp daemon`, and start linkspan-dhcp: kubectl apply -k config/deploy/dhcp");
        }
        if self.pools.is_some() {
            report.say(
                "delete the DaemonSet of the sriov-network-device-plugin, then: kubectl apply -k \
                 config/deploy/device-plugin",
            );
        }
        let all = [&ours[..], &used].concat();
        if all.is_empty() {
            report.say(&format!("linkspan install --into {}", self.bin.display()));
        } else {
            report.say(&format!(
                "linkspan install --into {} --as {}",
                self.bin.display(),
                all.join(",")
            ));
        }
        if !others.is_empty() {
            report.say(&format!(
                "  there, too, and used by no network of this node's folder: {}; add those that \
                 NetworkAttachmentDefinitions use",
                others.join(", ")
            ));
        }
        if drains {
            report.say("kubectl uncordon NODE");
        }
        report.say("linkspan doctor");
    }

    fn go_back(&self, report: &mut Report) {
        report.say("drain the node first if pods have VFs or leases by Linkspan; others stay");
        report.say(&format!(
            "linkspan install --into {0}   (the others' programs are back; linkspan uninstall --from {0} removes all)",
            self.bin.display()
        ));
        report
            .say("then start the daemons that were ended; files of configuration are as they were");
    }

    fn must_drain(&self) -> bool {
        self.peers.sriov.iter().any(|vf| vf.alive) || self.dhcp.is_reference_dhcp()
    }
}

/// What is otherwise than with the peer whatever the keys say.
fn changes(kind: KindName, ipam: &IpamConf) -> Vec<&'static str> {
    let mut all = match kind {
        KindName::Sriov => {
            vec!["all settings of the VF are put back at DEL; CHECK, STATUS and GC do something"]
        }
        KindName::Macvlan | KindName::Ipvlan => {
            vec!["a failed ADD leaves no link; neighbours are told of each address"]
        }
        KindName::Macvtap => vec!["a DEL without a namespace succeeds"],
    };
    all.extend(match ipam {
        IpamConf::HostLocal(_) => Some("addresses that dead pods held before a reboot are free"),
        IpamConf::Dhcp(_) => {
            Some("leases outlive the daemon; the server's DNS, search list and MTU reach the pod")
        }
        IpamConf::None | IpamConf::Static(_) | IpamConf::Delegate(_) => None,
    });
    all
}

impl Report {
    fn part(&mut self, title: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        // To write to a text can't fail.
        let _ = writeln!(self.text, "{gap}{title}");
    }

    fn say(&mut self, line: &str) {
        let _ = writeln!(self.text, "  {line}");
    }

    fn must(&mut self, obstacle: Obstacle) {
        self.obstacle = self.obstacle.max(Some(obstacle));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer_state::HeldVf;
    use serde_json::{Value, json};

    fn plugin(config: Value) -> Plugin {
        Plugin { file: "/n/a.conf".into(), config: serde_json::from_value(config).unwrap() }
    }

    fn present(plugins: Vec<Plugin>) -> Present {
        Present {
            plugins,
            refused: Vec::new(),
            programs: ["sriov", "macvlan", "host-local"]
                .map(|name| Program { name, is_ours: false })
                .into(),
            bin: "/b".into(),
            pools: None,
            peers: PeerState::default(),
            dhcp: Answer::Missing,
        }
    }

    fn has(plan: &Plan, line: &str) {
        assert!(plan.text.lines().any(|one| one.trim() == line), "{line}\n{}", plan.text);
    }

    #[test]
    fn a_node_whose_pods_can_stay_is_taken_over_by_one_command() {
        let lan = json!({"name": "lan", "type": "macvlan", "vlan": 5, "colour": 1, "ipam": {"type": "host-local", "subnet": "10.0.0.0/24"}});
        let bridge = json!({"name": "cluster", "type": "bridge", "ipam": {"type": "host-local"}});
        let plan =
            present(vec![plugin(lan), plugin(bridge), plugin(json!({"type": "tuning"}))]).plan();
        assert_eq!(plan.obstacle, None);
        has(&plan, "/n/a.conf: macvlan of network lan: read unchanged");
        has(
            &plan,
            "changes: `vlan`: the reference plugin macvlan ignores this key without a word, Linkspan heeds it",
        );
        assert!(!plan.text.contains("colour"), "it is ignored as before");
        has(&plan, "linkspan install --into /b --as macvlan,host-local");
        assert!(plan.text.contains("folder: sriov; add those"), "{}", plan.text);
        assert!(!plan.text.contains("kubectl drain"), "{}", plan.text);
        assert!(
            plan.text
                .contains("bridge of network cluster: stays that plugin's, which calls host-local")
        );
    }

    #[test]
    fn pods_that_cant_stay_are_told_and_the_node_is_drained() {
        let mut node = present(vec![plugin(json!({"name": "fast", "type": "sriov"}))]);
        let held =
            HeldVf { device: "0000:3b:02.1".parse().unwrap(), file: "/f".into(), alive: true };
        node.peers.sriov = vec![held];
        node.programs[0].is_ours = true;
        let plan = node.plan();
        assert_eq!(plan.obstacle, Some(Obstacle::Pods));
        assert!(
            plan.text.contains("1 VFs are in pods by sriov-cni (0000:3b:02.1)"),
            "{}",
            plan.text
        );
        has(&plan, "kubectl drain NODE --ignore-daemonsets --delete-emptydir-data");
        has(&plan, "linkspan install --into /b --as sriov");
        node.peers.sriov[0].alive = false;
        assert_eq!(node.plan().obstacle, None);
        node.dhcp = Answer::Listening(Some("dhcp".to_owned()));
        assert_eq!(node.plan().obstacle, Some(Obstacle::Pods));
        node.dhcp = Answer::Listening(Some("linkspan-dhcp".to_owned()));
        assert_eq!(node.plan().obstacle, None);
    }

    #[test]
    fn what_linkspan_refuses_is_told_first() {
        let bad = json!({"name": "fast", "type": "sriov", "spoofchk": "yes"});
        let mut node = present(vec![plugin(bad)]);
        let plan = node.plan();
        assert_eq!(plan.obstacle, Some(Obstacle::Configuration));
        assert!(plan.text.contains("correct it first: `spoofchk` is \"yes\""), "{}", plan.text);
        node.plugins.clear();
        let list = json!({"resourceList": [{"resourceName": "x", "selectors": {}},
                                           {"resourceName": "y", "resourcePrefix": "a.b", "selectors": {}}]});
        node.pools = Some(("/p".into(), Ok(ResourceList::from_json(&list).unwrap())));
        let plan = node.plan();
        assert_eq!(plan.obstacle, None);
        assert!(plan.text.contains("changes: x would be called linkspan.dev/..."), "{}", plan.text);
        node.pools = Some(("/p".into(), Err("no".to_owned())));
        assert_eq!(node.plan().obstacle, Some(Obstacle::Configuration));
    }
}
