//! The networks of the node's pods: CNI configurations, each chosen by a `RuntimeClass` of the same name.

use serde_json::{Value, json};

/// A network, which gives a pod one or more interfaces.
pub(crate) struct Network {
    pub(crate) name: &'static str,
    interfaces: Vec<Value>,
}

impl Network {
    /// A configuration list for each interface: the runtime calls the first `eth0`, the next `eth1`.
    pub(crate) fn lists(&self) -> Vec<Value> {
        self.interfaces
            .iter()
            .enumerate()
            .map(|(number, plugin)| {
                json!({
                    "cniVersion": "1.0.0",
                    "name": format!("{}-{number}", self.name),
                    "plugins": [plugin],
                })
            })
            .collect()
    }

    /// The object that a pod names to get this network.
    pub(crate) fn runtime_class(&self) -> Value {
        json!({
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": { "name": self.name },
            "handler": self.name,
        })
    }
}

/// Of all networks the first is that of pods which choose none.
pub(crate) fn all() -> Vec<Network> {
    let one = |name, interface| Network { name, interfaces: vec![interface] };
    let range = json!({ "type": "host-local", "ranges": [[{ "subnet": "10.10.0.0/24" }]] });
    vec![
        one(
            "macvlan",
            json!({ "type": "linkspan", "kind": "macvlan", "parent": "ens1", "ipam": range }),
        ),
        one("left", vf("linkspan.dev/left", 10)),
        one("right", vf("linkspan.dev/right", 100)),
    ]
}

/// A VF of a resource, on VLAN 100, and its part of that network's addresses.
fn vf(resource: &str, first: u8) -> Value {
    let range = json!({
        "subnet": "10.20.0.0/24",
        "rangeStart": format!("10.20.0.{first}"),
        "rangeEnd": format!("10.20.0.{}", first + 49),
    });
    json!({
        "type": "linkspan", "kind": "sriov", "resourceName": resource, "vlan": 100,
        "ipam": { "type": "host-local", "ranges": [[range]] },
    })
}
