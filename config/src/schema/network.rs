//! The configuration of a network: keys of any, and those of each kind.

use linkspan_log::Level;
use serde_json::{Map, Value, json};

use super::forms::{
    INTERFACE, MAC, NETWORK, demanded, formed, list as list_of, mtu, nothing, number, object, path,
    resource, switch, text, texts, truth, word, word_in_any_case,
};
use super::{file, ipam};
use crate::net_conf::KindName;

pub(super) fn network() -> Value {
    let description = "One network, as a container runtime or Multus hands it to the plugin: \
                       `spec.config` of a NetworkAttachmentDefinition.";
    let mut schema = plugin();
    // Multus gives a network without a name that of its object.
    schema["required"] = json!(["type"]);
    file("Linkspan: a network", description, schema)
}

pub(super) fn list() -> Value {
    let description = "A chain of plugins, as it stands in a file `*.conflist`; those of others are not looked into.";
    let ours = json!({ "if": is_ours(), "then": plugin() });
    let properties = json!({
        "cniVersion": text("The version of CNI that it is written for, such as \"1.1.0\"."),
        "name": demanded(NETWORK, "The network's name: letters, digits, '_', '.' and '-'."),
        "plugins": { "description": "The plugins, in their order.", "type": "array", "minItems": 1, "items": ours },
    });
    let schema =
        json!({ "type": "object", "required": ["name", "plugins"], "properties": properties });
    file("Linkspan: a chain of plugins", description, schema)
}

/// Whether one plugin of a chain is ours.
fn is_ours() -> Value {
    let types: Vec<String> = KindName::ALL.iter().map(ToString::to_string).collect();
    let types: Vec<&str> =
        ["linkspan"].into_iter().chain(types.iter().map(String::as_str)).collect();
    json!({ "type": "object", "required": ["type"], "properties": { "type": { "enum": types } } })
}

fn plugin() -> Value {
    let mut rules: Vec<Value> = KindName::ALL.into_iter().map(of_kind).collect();
    rules.push(json!({
        "if": { "properties": { "type": { "const": "linkspan" } }, "required": ["type"] },
        "then": { "required": ["kind"], "properties": { "kind": {
            "description": "What is attached.", "type": "string", "minLength": 1,
        } } },
    }));
    json!({
        "type": "object",
        "properties": common(),
        "allOf": rules,
    })
}

/// The rule for the networks of a kind.
fn of_kind(kind: KindName) -> Value {
    let name = kind.to_string();
    let named = |key: &str| json!({ "properties": { key: { "const": name } }, "required": [key] });
    let is_native = json!({ "anyOf": [
        named("kind"),
        { "properties": { "type": { "const": "linkspan" } }, "required": ["type"] },
    ] });
    json!({
        "if": { "anyOf": [named("type"), named("kind")] },
        "then": {
            "properties": keys_of(kind),
            // In a peer's own style the peer ignores them.
            "if": is_native,
            "then": { "properties": foreign_to(kind) },
        },
    })
}

fn keys_of(kind: KindName) -> Value {
    let parts = match kind {
        KindName::Sriov => vec![sriov()],
        KindName::Macvlan => vec![parent(), mac(), sharing()],
        KindName::Ipvlan => vec![parent(), ipvlan()],
        KindName::Macvtap => vec![parent(), mac(), sharing(), tap()],
    };
    parts.into_iter().filter_map(|part| part.as_object().cloned()).flatten().collect()
}

fn foreign_to(kind: KindName) -> Value {
    let own = keys_of(kind);
    let others = KindName::ALL.into_iter().filter(|other| *other != kind).map(keys_of);
    let mut foreign = Map::new();
    for key in others.filter_map(|keys| keys.as_object().cloned()).flatten().map(|(key, _)| key) {
        if own.get(&key).is_none() {
            foreign.insert(key, nothing(&format!("No key of kind {kind}.")));
        }
    }
    Value::Object(foreign)
}

fn common() -> Value {
    let levels = Level::ALL.map(Level::name);
    let kinds: Vec<String> = KindName::ALL.iter().map(ToString::to_string).collect();
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    json!({
        "cniVersion": text("The version of CNI that it is written for, such as \"1.1.0\"."),
        "name": demanded(NETWORK, "The network's name: letters, digits, '_', '.' and '-'."),
        "type": text("The program: \"linkspan\", or the name of the peer whose configuration it is."),
        "kind": word(&kinds, "What is attached, where `type` is linkspan."),
        "capabilities": { "description": "What the runtime may pass in `runtimeConfig`.", "type": ["object", "null"] },
        "runtimeConfig": runtime(),
        "args": { "description": "What Multus passes of a pod's annotation.", "type": ["object", "null"] },
        "prevResult": { "description": "What the plugin before this one has made; the runtime sets it." },
        "ipam": ipam::section(),
        "dns": ipam::dns("What the network says of DNS; an IPAM's is kept where it is not set."),
        "deviceID": text("The device: a VF's PCI address, or a device of a macvtap pool. Multus sets it."),
        "resourceName": formed(&resource(), "Without Multus: the resource of which the pod has its device."),
        "dad": word(&["optimistic", "wait"], "Whether ADD waits until the kernel has looked for duplicates of IPv6 addresses."),
        "arpProbe": truth("Whether ADD asks the neighbours for each IPv4 address, and fails if one has it."),
        "logLevel": word_in_any_case(&levels, "How much is logged; without `logFile` on standard error."),
        "logFile": path("Where it is logged: below /var/log, or a name that ends in .log."),
    })
}

fn runtime() -> Value {
    let keys = json!({
        "mac": formed(MAC, "The MAC that is asked for; it comes before `mac`."),
        "ips": { "description": "The addresses that are asked for.", "type": ["array", "null"] },
        "ipRanges": { "description": "host-local's sets of ranges.", "type": ["array", "null"] },
        "deviceID": text("The device."),
        "CNIDeviceInfoFile": path("Where Multus wants a description of the device."),
    });
    object(&keys, "What the runtime passes for this attachment.")
}

const VLAN_0: &str = "0 is none.";

fn sriov() -> Value {
    let id = |description| number(1, 4094, description);
    let range = object(
        &json!({ "id": id("One VLAN."), "minID": id("The first of some VLANs."), "maxID": id("The last of them.") }),
        "A VLAN, or some.",
    );
    let mut trunk =
        list_of(&range, "The VLANs that the VF may tag its frames with, where the driver has it.");
    trunk["maxItems"] = json!(64);
    trunk["items"]["type"] = json!("object");
    trunk["items"]["oneOf"] = json!([{ "required": ["id"] }, { "required": ["minID", "maxID"] }]);
    let rate = |which: &str| format!("The {which} that the VF sends, in Mbit/s; 0 is no bound.");
    json!({
        "mac": formed(MAC, "The VF's MAC. The runtime's comes first, that of CNI_ARGS second."),
        "mtu": mtu("The VF's MTU; 0 or nothing leaves it as it is."),
        "vlan": number(0, 4094, "The VLAN that the PF puts the VF into; 0 is none."),
        "vlanQoS": number(0, 7, "The priority of the VLAN's frames."),
        "vlanProto": word_in_any_case(&["802.1q", "802.1ad"], "The protocol of the VLAN's tag."),
        "trunk": trunk,
        "spoofchk": switch("Whether the VF may send from its own MAC and VLAN only."),
        "trust": switch("Whether the VF may change its MAC, and be promiscuous."),
        "link_state": word(&["auto", "enable", "disable"], "Whether the VF has a link: as its PF, always or never."),
        "min_tx_rate": number(0, u32::MAX.into(), &rate("least")),
        "max_tx_rate": number(0, u32::MAX.into(), &rate("most")),
    })
}

fn parent() -> Value {
    json!({
        "parent": formed(INTERFACE, "The host link; nothing is the default route's, or the device's."),
        "master": formed(INTERFACE, "What the peers call `parent`."),
        "linkInContainer": truth("Whether the parent is in the pod."),
        "vlan": number(0, 4094, &format!("The VLAN of the parent that is used: its sub-interface is shared. {VLAN_0}")),
        "mtu": mtu("The interface's MTU; 0 or nothing is the parent's."),
    })
}

fn mac() -> Value {
    json!({
        "mac": formed(MAC, "The interface's MAC. The runtime's comes first, that of CNI_ARGS second."),
        "macFrom": word(&["ip"], "\"ip\" makes the MAC of the address, the same on every node."),
    })
}

fn sharing() -> Value {
    let mut sources = texts(MAC, "With mode \"source\": whose frames the pod gets.");
    sources["maxItems"] = json!(1024);
    json!({
        "mode": word(&["bridge", "private", "vepa", "passthru", "source"], "Which frames the pods of one parent see of each other."),
        "bcqueuelen": number(0, u32::MAX.into(), "How many broadcast frames wait at most; 0 is the kernel's own number."),
        "sourceMacs": sources,
    })
}

fn ipvlan() -> Value {
    json!({
        "mode": word(&["l2", "l3", "l3s"], "Whether frames or packets are told apart, with netfilter (l3s) or without."),
        "flag": word(&["bridge", "private", "vepa"], "Whether the pods of one parent see each other."),
        "mac": nothing("No such key: an ipvlan link has the MAC of its parent."),
        "macFrom": nothing("No such key: an ipvlan link has the MAC of its parent."),
    })
}

fn tap() -> Value {
    let id = |whose: &str| {
        number(
            0,
            u64::from(u32::MAX) - 1,
            &format!("The {whose} that may open /dev/tapN; 107 if nothing is said."),
        )
    };
    json!({
        "owner": id("user"),
        "group": id("group"),
        "promiscMode": truth("Whether the link takes frames for any MAC."),
        "multiQueue": truth("Whether there is a pair of queues for each CPU."),
        "queues": number(1, 256, "How many pairs of queues there are."),
    })
}
