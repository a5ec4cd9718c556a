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
    vec![
        one("macvlan", child("macvlan", "ens1", "10.10.0.0/24")),
        // A parent has children of one kind only, but that macvtap is a macvlan to it.
        one("ipvlan", child("ipvlan", "ens2", "10.11.0.0/24")),
        one("macvtap", child("macvtap", "ens1", "10.12.0.0/24")),
        one(
            "dhcp",
            json!({ "type": "linkspan", "kind": "macvlan", "parent": "ens1", "ipam": { "type": "dhcp" } }),
        ),
        one("left", vf("linkspan.dev/left", 10)),
        one("right", vf("linkspan.dev/right", 100)),
        one("not-offered", vf("linkspan.dev/fast", 200)),
        // containerd wants an address on the first interface, and such a VF has none.
        Network {
            name: "user-space",
            interfaces: vec![child("macvlan", "ens1", "10.14.0.0/24"), user_space()],
        },
        Network { name: "two", interfaces: (0..2).map(many).collect() },
        Network { name: "five", interfaces: (0..5).map(many).collect() },
        Network { name: "seven", interfaces: (0..7).map(many).collect() },
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

/// One of several VFs of a pod.
fn many(number: u8) -> Value {
    json!({
        "type": "linkspan", "kind": "sriov", "resourceName": "linkspan.dev/left",
        "ipam": range(&format!("10.30.{number}.0/24")),
    })
}

/// A VF that a program in the pod drives.
fn user_space() -> Value {
    json!({
        "type": "linkspan", "kind": "sriov", "resourceName": "linkspan.dev/user-space", "vlan": 200,
        "mac": "02:00:00:00:02:01", "trust": "on",
    })
}

fn child(kind: &str, parent: &str, subnet: &str) -> Value {
    json!({ "type": "linkspan", "kind": kind, "parent": parent, "ipam": range(subnet) })
}

fn range(subnet: &str) -> Value {
    json!({ "type": "host-local", "ranges": [[{ "subnet": subnet }]] })
}
