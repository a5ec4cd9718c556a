//! The configuration of the pools: the device plugin's own, and that of macvtap-cni's device plugin.

use serde_json::{Map, Value, json};

use super::file;
use super::forms::{
    INTERFACE, PCI, demanded, dns_name, formed, list, number, switch, texts, truth, word,
};
use crate::resource_list::DeviceType;

const NAME: &str = "^[0-9A-Za-z]([0-9A-Za-z_-]{0,61}[0-9A-Za-z])?$";
/// Rising ranges of VFs, behind a PF.
const INDICES: &str = "(#[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*)?$";

pub(super) fn resource_list() -> Value {
    let description = "The pools of a node: --config-file of linkspan-device-plugin, and `config.json` of \
                       sriov-network-device-plugin.";
    let resources = json!({
        "description": "The resources; a device goes to the first one of which a selector fits.",
        "type": "array",
        "minItems": 1,
        "items": { "type": "object", "if": is_shares(), "then": shares(), "else": devices() },
    });
    let schema = json!({
        "type": "object",
        "required": ["resourceList"],
        "properties": { "resourceList": resources },
        "additionalProperties": { "type": "null" },
    });
    file("Linkspan: pools", description, schema)
}

pub(super) fn of_macvtap_cni() -> Value {
    let description = "The value of DP_MACVTAP_CONF; an empty list means each link.";
    let mut keys = share_keys();
    keys.insert(
        "name".to_owned(),
        demanded(NAME, "What the resource is called, behind macvtap.network.kubevirt.io/."),
    );
    // It is the peer's, to which 0 is no number.
    keys.insert(
        "capacity".to_owned(),
        number(0, 65535, "How many pods can have one; if nothing is said 100."),
    );
    let one = closed(&keys, &["name", "lowerDevice"]);
    file(
        "Linkspan: shares as macvtap-cni has them",
        description,
        json!({ "type": "array", "items": one }),
    )
}

fn closed(keys: &Map<String, Value>, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "required": required,
        "properties": keys,
        // A key that says nothing is no key.
        "additionalProperties": { "type": "null" },
    })
}

fn is_shares() -> Value {
    json!({ "required": ["kind"], "properties": { "kind": { "not": { "enum": ["", null, false, 0, []] } } } })
}

fn common() -> Map<String, Value> {
    let health = closed(
        &map(json!({
            "carrier": truth("Whether a device without carrier is unhealthy; if nothing is said it is."),
            "dampingSeconds": number(0, 3600, "How long it must be well again; if nothing is said 5."),
        })),
        &[],
    );
    map(json!({
        "resourceName": demanded(NAME, "What pods ask for, behind the prefix: letters, digits, '-' and '_'."),
        "resourcePrefix": formed(&dns_name(), "What stands before the slash; if nothing is said --resource-prefix."),
        "excludeTopology": truth("Whether the kubelet is told no NUMA node."),
        "health": described(health, "When a device is unhealthy."),
    }))
}

fn share_keys() -> Map<String, Value> {
    map(json!({
        "lowerDevice": demanded(INTERFACE, "The host link."),
        "mode": word(&["bridge", "private", "vepa", "passthru"], "Which frames the pods of one link see of each other."),
        "capacity": number(1, 65535, "How many pods can have one; if nothing is said 100."),
    }))
}

fn shares() -> Value {
    let mut keys = common();
    keys.extend(share_keys());
    keys.insert(
        "kind".to_owned(),
        json!({
            "description": "What a pod gets of a host link.", "enum": ["macvtap", "macvlan"],
        }),
    );
    others(
        &mut keys,
        &[
            "deviceType",
            "selectors",
            "additionalInfo",
            "preferredAllocation",
            "allowInUse",
            "provision",
        ],
        "where `kind` is set",
    );
    closed(&keys, &["resourceName", "lowerDevice", "kind"])
}

fn devices() -> Value {
    let mut keys = common();
    keys.extend(map(json!({
        "deviceType": word(&DeviceType::ALL.map(DeviceType::name), "What the devices are; netDevice if nothing is said."),
        "selectors": {
            "description": "Which devices: all keys of one of these have to fit.",
            "anyOf": [{ "type": "object" }, { "type": "array", "minItems": 1, "items": { "type": "object" } }],
        },
        "additionalInfo": additional_info(),
        "preferredAllocation": preferred(),
        "allowInUse": texts(INTERFACE, "Interfaces that are offered although the host uses them."),
        "provision": provision(),
        "kind": super::forms::nothing("Set it for shares of a host link."),
    })));
    others(&mut keys, &["lowerDevice", "mode", "capacity"], "where `kind` is not set");
    let mut schema = closed(&keys, &["resourceName", "selectors"]);
    schema["allOf"] = DeviceType::ALL.map(of_type).into_iter().collect();
    schema
}

/// The rule for the selectors of a device type.
fn of_type(device_type: DeviceType) -> Value {
    let types = match device_type {
        DeviceType::NetDevice => json!([device_type.name(), "", null]),
        _ => json!([device_type.name()]),
    };
    let is_said: &[&str] = if device_type == DeviceType::NetDevice { &[] } else { &["deviceType"] };
    let selector = selector(device_type);
    let one_or_some =
        json!({ "if": { "type": "array" }, "then": { "items": selector }, "else": selector });
    json!({
        "if": { "required": is_said, "properties": { "deviceType": { "enum": types } } },
        "then": { "properties": { "selectors": described(one_or_some, "Which devices.") } },
    })
}

fn selector(device_type: DeviceType) -> Value {
    let all = selectors();
    let own = device_type.selector_keys();
    let mut keys = Map::new();
    for (key, schema) in all {
        let is_own = own.contains(&key.as_str());
        let foreign = || super::forms::nothing(&format!("No selector of {}.", device_type.name()));
        keys.insert(key, if is_own { schema } else { foreign() });
    }
    match device_type {
        DeviceType::AuxNetDevice => {
            keys["auxTypes"]["minItems"] = json!(1);
            closed(&keys, &["auxTypes"])
        }
        _ => closed(&keys, &[]),
    }
}

fn selectors() -> Map<String, Value> {
    let id = "^[0-9A-Fa-f]{4}$";
    let interface = INTERFACE.trim_end_matches('$').replace("[^", "[^#");
    let pf = format!("{interface}{INDICES}");
    let root = format!("{}{INDICES}", PCI.trim_end_matches('$'));
    map(json!({
        "vendors": texts(id, "PCI vendors: four hexadecimal digits."),
        "devices": texts(id, "The vendors' numbers for the device: four hexadecimal digits."),
        "drivers": texts("^.", "Drivers that it may be bound to."),
        "pciAddresses": texts(PCI, "The devices themselves."),
        "acpiIndexes": texts("^[0-9]{1,10}$", "Numbers that the firmware has for slots, in quotes."),
        "pfNames": texts(&pf, "PFs by interface, and which of their VFs: \"ens1f0#0,2-7\"."),
        "rootDevices": texts(&root, "PFs by PCI address, and which of their VFs: \"0000:3b:00.0#0,2-7\"."),
        "linkTypes": list(&json!({ "enum": ["ether", "infiniband"] }), "What the link carries."),
        "ddpProfiles": texts("^.", "What the packet processor of the PF was taught (DDP)."),
        "pKeys": texts("^0x[0-9A-Fa-f]{1,4}$", "The first partition key of a port."),
        "isRdma": truth("Whether it must have an RDMA device, which its container gets too."),
        "vdpaType": word(&["virtio", "vhost"], "Which vDPA device it must have, which its container gets too."),
        "needVhostNet": truth("Whether a container gets /dev/vhost-net and /dev/net/tun too."),
        "auxTypes": list(&json!({ "enum": ["sf"] }), "Which kinds of devices on the auxiliary bus."),
    }))
}

fn additional_info() -> Value {
    let texts = json!({ "type": ["object", "null"], "additionalProperties": { "type": "string" } });
    let names = format!("^\\*$|{PCI}");
    json!({
        "description": "What containers are told of a device beside its address, by PCI address, or `*` for all.",
        "type": ["object", "null"],
        "propertyNames": { "pattern": names },
        "additionalProperties": texts,
    })
}

fn preferred() -> Value {
    let root = demanded("^pci[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}$", "A PCIe root.");
    let near = closed(&map(json!({ "nearRoot": root })), &["nearRoot"]);
    let words = json!({ "enum": ["packed", "balanced", "numa", "", null] });
    json!({ "description": "Which of the free devices a container had best get.", "anyOf": [words, near] })
}

fn provision() -> Value {
    let keys = map(json!({
        "numVfs": number(1, 65535, "How many VFs the PFs are to have."),
        "mtu": number(68, 65535, "The MTU of PFs and VFs."),
        "driver": word(&["kernel", "vfio-pci"], "Which driver the VFs are bound to."),
        "bind": word(&["always", "perPod"], "Whether VFs are bound to vfio-pci always, or while a pod has them."),
        "trust": switch("Whether VFs may change their MAC, and be promiscuous."),
        "spoofchk": switch("Whether VFs may send from their own MAC and VLAN only."),
    }));
    let mut schema = closed(&keys, &[]);
    schema["type"] = json!(["object", "null"]);
    schema["if"] = json!({ "required": ["bind"], "properties": { "bind": { "type": "string", "minLength": 1 } } });
    schema["then"] = json!({ "required": ["driver"], "properties": { "driver": {
        "description": "`bind` is vfio-pci's.", "const": "vfio-pci",
    } } });
    described(schema, "Makes VFs and sets them up; the selectors have to name the PFs.")
}

/// Keys that mean something elsewhere only.
fn others(keys: &mut Map<String, Value>, names: &[&str], place: &str) {
    for name in names {
        keys.insert((*name).to_owned(), super::forms::nothing(&format!("No such key {place}.")));
    }
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
