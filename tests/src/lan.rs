//! A node of a test's own on a wire of its own: a namespace that the plugin takes for the host's, with a parent
//! link whose other end is in the namespace of a neighbour.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::cni::Network;
use crate::pods::Pod;

/// The node and its neighbour.
pub struct Lan {
    /// The namespace that is the host's.
    pub host: Pod,
    /// The neighbour, at the other end of the wire.
    pub neighbour: Pod,
    name: String,
}

/// Where the plugin has its records.
const RECORDS: &str = "/run/linkspan/attachments";
/// The parent on the node, and the neighbour's end of the wire.
pub const PARENT: &str = "par0";
/// The other end of the wire.
pub const FAR: &str = "far0";

impl Lan {
    /// Makes a node, named after the test. Records that an earlier, killed run has left are removed.
    #[must_use]
    pub fn new(test: &str) -> Self {
        let (host, neighbour) = (Pod::new(test, "host"), Pod::new(test, "far"));
        host.run(
            "ip",
            &[
                "link",
                "add",
                PARENT,
                "type",
                "veth",
                "peer",
                "name",
                FAR,
                "netns",
                neighbour.name(),
            ],
        );
        host.run("ip", &["link", "set", PARENT, "up"]);
        neighbour.run("ip", &["link", "set", FAR, "up"]);
        host.wait_for_carrier(PARENT);
        let lan = Self { host, neighbour, name: test.to_owned() };
        for record in lan.records() {
            fs::remove_file(Path::new(RECORDS).join(record)).unwrap();
        }
        lan
    }

    /// A pod of the node.
    #[must_use]
    pub fn pod(&self, name: &str) -> Pod {
        Pod::new(&self.name, name)
    }

    /// A network whose plugin runs on this node. It is named after the test, so that no two tests share
    /// reservations or records.
    #[must_use]
    pub fn network(&self, config: Value) -> Network {
        let nsenter = format!("--net={}", self.host.netns().display());
        Network::new(&self.name, config).run_by(&["nsenter", &nsenter])
    }

    /// All that an attachment may leave on the node: links as `ip` shows them, records, and device nodes.
    #[must_use]
    pub fn shown(&self) -> Value {
        let links = self.host.run("ip", &["-j", "-d", "link", "show"]);
        let mut links: Value = serde_json::from_str(&links).unwrap();
        for link in links.as_array_mut().unwrap() {
            // It changes by itself, with the queues' own timers.
            link.as_object_mut().unwrap().remove("stats");
        }
        json!({ "links": links, "records": self.records() })
    }

    /// The plugin's records of this node's network, whole or not.
    #[must_use]
    pub fn records(&self) -> Vec<String> {
        let prefix = format!("{}=", self.name);
        let entries = fs::read_dir(RECORDS).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut own: Vec<String> =
            names.filter(|name| name.trim_start_matches('.').starts_with(&prefix)).collect();
        own.sort();
        own
    }
}

/// An `ipam` section of host-local that keeps its reservations in a folder of the test's own.
#[must_use]
pub fn host_local(folder: &tempfile::TempDir, subnets: &[&str]) -> Value {
    let ranges: Vec<Value> = subnets.iter().map(|subnet| json!([{ "subnet": subnet }])).collect();
    json!({ "type": "host-local", "dataDir": folder.path(), "ranges": ranges })
}

/// The addresses that are reserved in such a folder, in order.
#[must_use]
pub fn reservations(folder: &tempfile::TempDir, network: &str) -> Vec<String> {
    let entries = fs::read_dir(folder.path().join(network)).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut all: Vec<String> =
        names.filter(|name| name.parse::<std::net::IpAddr>().is_ok()).collect();
    all.sort();
    all
}

/// An address of a result, without its prefix length.
#[must_use]
pub fn address_of(result: &Value, index: usize) -> String {
    let address = result["ips"][index]["address"].as_str().unwrap();
    address.split('/').next().unwrap().to_owned()
}
