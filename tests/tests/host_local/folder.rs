//! A network whose addresses are in a folder of the test's own, and the two programs that give them.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use linkspan_tests::cni::{Network, Reply};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The reference plugin, where Debian's package containernetworking-plugins has it.
pub(crate) const PEER: &str = "/usr/lib/cni/host-local";

/// The network.
pub(crate) struct Folder {
    /// Served by our program.
    pub(crate) ours: Network,
    /// Served by the reference plugin.
    pub(crate) peers: Network,
    data: TempDir,
}

impl Folder {
    /// A network with these ranges, in a folder below `place`.
    pub(crate) fn new(ranges: &Value) -> Self {
        let data = tempfile::tempdir().unwrap();
        let ipam = json!({ "type": "host-local", "dataDir": data.path(), "ranges": ranges });
        let ours = Network::new("net", json!({ "cniVersion": "1.0.0", "ipam": ipam }));
        let ours = ours.called_as("host-local");
        let peers = ours.served_by(Path::new(PEER));
        Self { ours, peers, data }
    }

    /// The folder of all networks' folders.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// The path of one of the files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.data.path().join("net").join(name)
    }

    /// The names of all files, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// The addresses that are reserved, sorted.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let mut names = self.names();
        names.retain(|name| name.parse::<IpAddr>().is_ok());
        names
    }
}

/// Calls a plugin for an attachment.
pub(crate) fn call(network: &Network, verb: &str, container: &str) -> Reply {
    let environment =
        [("CNI_CONTAINERID", container), ("CNI_NETNS", "/run/netns/none"), ("CNI_IFNAME", "net1")];
    network.call(verb, &environment)
}

/// Attaches a container, and returns its addresses.
#[track_caller]
pub(crate) fn add(network: &Network, container: &str) -> Vec<String> {
    let reply = call(network, "ADD", container);
    assert!(reply.success, "ADD of {container}: {reply:#?}");
    addresses_of(&reply)
}

/// Detaches a container.
#[track_caller]
pub(crate) fn del(network: &Network, container: &str) {
    let reply = call(network, "DEL", container);
    assert!(reply.success, "DEL of {container}: {reply:#?}");
}

/// The addresses of a result, without prefix lengths.
pub(crate) fn addresses_of(reply: &Reply) -> Vec<String> {
    let ips = reply.json["ips"].as_array().unwrap().iter();
    let address =
        |ip: &Value| ip["address"].as_str().unwrap().split('/').next().unwrap().to_owned();
    ips.map(address).collect()
}
