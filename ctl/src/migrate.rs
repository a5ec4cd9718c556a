//! `linkspan migrate`: what changes on this node when Linkspan takes the place of other plugins. It changes nothing.

mod plan;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use linkspan_config::resource_list::ResourceList;

use super::answer::Answer;
use super::networks;
use super::peer_state::PeerState;
use plan::{Obstacle, Present, Program};

/// Say what changes on this node when Linkspan takes the place of other plugins
///
/// Reads the networks of /etc/cni/net.d, the folder of plugins, the device plugin's configuration, and what other
/// plugins keep; says which files are read unchanged, which keys mean something else, what becomes of running pods,
/// and the commands to take over and to go back. Changes nothing. The exit code is 0 if nothing stands in the way,
/// 1 if a configuration has to be corrected first, and 3 if pods have to be deleted first.
#[derive(Debug, clap::Args)]
pub(super) struct Migrate {
    /// The node's folder of CNI plugins
    #[arg(long, value_name = "FOLDER", default_value = "/opt/cni/bin")]
    bin: PathBuf,
    /// The device plugin's configuration
    #[arg(long, value_name = "FILE", default_value = networks::POOLS)]
    pools: PathBuf,
    /// Where the node's files are, in a container that has them elsewhere
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
}

impl Migrate {
    pub(super) fn run(&self) -> ExitCode {
        let present = self.look();
        let plan = present.plan();
        if io::stdout().write_all(plan.text.as_bytes()).is_err() {
            return ExitCode::FAILURE;
        }
        match plan.obstacle {
            None => ExitCode::SUCCESS,
            Some(Obstacle::Configuration) => ExitCode::FAILURE,
            Some(Obstacle::Pods) => ExitCode::from(3),
        }
    }

    fn look(&self) -> Present {
        let below = |path: &Path| self.root.join(path.strip_prefix("/").unwrap_or(path));
        let (plugins, refused) = networks::plugins(&below(Path::new(networks::FOLDER)));
        let pools = below(&self.pools);
        Present {
            plugins,
            refused,
            programs: programs(&below(&self.bin)),
            bin: self.bin.clone(),
            pools: match ResourceList::read(&pools) {
                Err(error) if error.is_missing() && self.pools == Path::new(networks::POOLS) => {
                    None
                }
                list => Some((pools, list.map_err(|error| in_full(&error)))),
            },
            peers: PeerState::read(&self.root),
            dhcp: Answer::of(&below(Path::new("/run/cni/dhcp.sock"))),
        }
    }
}

/// The programs whose place Linkspan can take.
fn programs(folder: &Path) -> Vec<Program> {
    let program = |name: &&'static str| {
        let is_ours = folder.join(".linkspan/taken").join(name).exists();
        folder.join(name).exists().then_some(Program { name, is_ours })
    };
    super::install::PEERS.iter().filter_map(program).collect()
}

fn in_full(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_node_is_read_and_left_as_it_was() {
        let root = TempDir::new().unwrap();
        let files = [
            (
                "etc/cni/net.d/10-lan.conf",
                r#"{"name": "lan", "type": "macvlan", "master": "eth0"}"#,
            ),
            ("etc/cni/net.d/20-bad.conf", "{"),
            ("opt/cni/bin/macvlan", "a program"),
            ("opt/cni/bin/sriov", "a program"),
            ("opt/cni/bin/.linkspan/taken/sriov", ""),
            (
                "etc/pcidp/config.json",
                r#"{"resourceList": [{"resourceName": "x", "selectors": {}}]}"#,
            ),
            ("var/lib/cni/networks/lan/10.0.0.2", "abc\r\neth0"),
            ("var/lib/cni/sriov/pci/0000:3b:02.1", "/run/netns/nobodys"),
        ];
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let migrate = Migrate {
            bin: "/opt/cni/bin".into(),
            pools: "/etc/pcidp/config.json".into(),
            root: root.path().to_owned(),
        };
        let present = migrate.look();
        assert_eq!((present.plugins.len(), present.refused.len()), (1, 1));
        let programs: Vec<_> = present.programs.iter().map(|one| (one.name, one.is_ours)).collect();
        assert_eq!(programs, [("sriov", true), ("macvlan", false)]);
        assert!(present.pools.is_some_and(|(_, list)| list.is_ok()));
        assert_eq!((present.peers.sriov.len(), present.peers.reservations.len()), (1, 1));
        assert_eq!(present.dhcp, Answer::Missing);
        assert_eq!(migrate.run(), ExitCode::FAILURE);
        for (path, text) in files {
            assert_eq!(fs::read_to_string(root.path().join(path)).unwrap(), text);
        }
        let elsewhere = Migrate { pools: "/etc/elsewhere.json".into(), ..migrate };
        assert!(elsewhere.look().pools.is_some_and(|(_, list)| list.is_err()));
    }
}
