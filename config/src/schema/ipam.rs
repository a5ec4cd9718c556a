//! The section `ipam`: who gives addresses.

use serde_json::{Value, json};

use super::forms::{
    address, demanded, formed, list, net, number, object, path, span, text, texts, truth, word,
};
use crate::net_conf::{DEFAULT_DATA_DIR, DEFAULT_DHCP_SOCKET};

pub(super) fn section() -> Value {
    let of = |name: &str, keys: Value| {
        json!({
            "if": { "properties": { "type": { "const": name } }, "required": ["type"] },
            "then": { "properties": keys },
        })
    };
    json!({
        "description": "Who gives addresses; nothing is a link without any.",
        "type": ["object", "null"],
        "properties": {
            "type": text("host-local, static or dhcp, which are in this program, or the name of another IPAM plugin."),
        },
        "allOf": [of("host-local", host_local()), of("static", statics()), of("dhcp", dhcp())],
    })
}

pub(super) fn dns(description: &str) -> Value {
    let keys = json!({
        "nameservers": texts("", "Addresses of name servers."),
        "domain": text("The domain that the pod is in."),
        "search": texts("", "Domains in which short names are looked for."),
        "options": texts("", "Options of the resolver."),
    });
    object(&keys, description)
}

fn host_local() -> Value {
    let exclude = texts(
        &span(),
        "Addresses that no pod gets: single ones, subnets, or a first and a last one.",
    );
    let address = |which: &str| formed(&address(), which);
    let keys = json!({
        "subnet": demanded(&net(), "The subnet, without host bits, such as \"10.1.2.0/24\"."),
        "rangeStart": address("The first address that pods get."),
        "rangeEnd": address("The last address that pods get."),
        "gateway": address("The gateway, which no pod gets; if nothing is said the subnet's first address."),
        "exclude": exclude,
    });
    let range = json!({ "type": "object", "required": ["subnet"], "properties": keys });
    let set = json!({ "type": "array", "minItems": 1, "items": range });
    let mut all = keys;
    all["ranges"] = list(&set, "Sets of ranges: a pod gets an address of each.");
    all["routes"] = routes();
    all["dataDir"] =
        path(&format!("Where reservations are kept; if nothing is said {DEFAULT_DATA_DIR}."));
    all["resolvConf"] = path("A file resolv.conf that is told as DNS.");
    all["subnet"] = formed(&net(), "A single set's only subnet, in place of `ranges`.");
    all
}

fn statics() -> Value {
    let keys = json!({
        "address": demanded(&net(), "The address with its prefix length, such as \"10.1.2.3/24\"."),
        "gateway": formed(&address(), "The next hop of a default route."),
    });
    let one = json!({ "type": "object", "required": ["address"], "properties": keys });
    json!({
        "addresses": list(&one, "The addresses; a pod's annotation comes before them."),
        "routes": routes(),
        "dns": dns("What the pod is told of DNS."),
    })
}

fn dhcp() -> Value {
    let option = |description: &str| {
        let names = [
            "dhcp-client-identifier",
            "subnet-mask",
            "routers",
            "host-name",
            "user-class",
            "vendor-class-identifier",
        ];
        let number = json!({ "type": "integer", "minimum": 1, "maximum": 254 });
        let digits = json!({ "type": "string", "pattern": "^\\+?0*([1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-4])$" });
        json!({ "description": description, "anyOf": [number, { "enum": names }, digits] })
    };
    let short = |description: &str| json!({ "description": description, "type": ["string", "null"], "maxLength": 255 });
    let provided = json!({
        "type": "object",
        "required": ["option"],
        "anyOf": [{ "required": ["value"] }, { "required": ["fromArg"] }],
        "properties": {
            "option": option("Which option, by its name or number."),
            "value": short("What it has."),
            "fromArg": formed("^[^=;]*$", "The key of CNI_ARGS that has it, such as K8S_POD_NAME; it comes before `value`."),
        },
    });
    let requested = json!({
        "type": "object",
        "required": ["option"],
        "properties": {
            "option": option("Which option, by its name or number."),
            "skipDefault": truth("Whether only options that are listed are asked for."),
        },
    });
    let class = json!({ "type": "string", "minLength": 1, "maxLength": 254 });
    json!({
        "daemonSocketPath": path(&format!("Where the daemon listens; if nothing is said {DEFAULT_DHCP_SOCKET}.")),
        "provide": list(&provided, "Options that are sent."),
        "request": list(&requested, "Options that are asked for beside those that are used anyhow."),
        "priority": number(0, u32::MAX.into(), "The metric of the routes; 0 is the kernel's own."),
        "clientId": word(&["reference", "duid"], "By what a server knows the interface: as the reference plugin has it, or RFC 4361."),
        "rapidCommit": truth("Whether an address may come in two messages, where the server does that (RFC 4039)."),
        "probe": word(&["quick", "thorough", "never"], "Whether neighbours are asked who has the address (RFC 5227)."),
        "whenGone": word(&["expire", "release"], "What becomes of the lease of a pod that vanished."),
        "prefetch": number(0, 256, "How many leases are kept ready for pods to come: macvlan and macvtap without `mac` only."),
        "hostname": short("\"pod\" for the pod's name, or a text."),
        "vendorClass": short("What a server may tell kinds of clients apart by (option 60)."),
        "userClass": {
            "description": "The same, of users (option 77): a text, or some.",
            "anyOf": [
                { "type": ["string", "null"], "maxLength": 254 },
                { "type": "array", "items": class },
            ],
        },
    })
}

fn routes() -> Value {
    let any = |description: &str| number(0, u32::MAX.into(), description);
    let keys = json!({
        "dst": demanded(&net(), "Where it leads, without host bits, such as \"0.0.0.0/0\"."),
        "gw": formed(&address(), "The next hop; if nothing is said the address's gateway."),
        "mtu": number(68, 65535, "The largest packet that goes this way."),
        "advmss": any("The segment size that TCP tells its peers."),
        "priority": any("The metric."),
        "table": any("The routing table."),
        "scope": number(0, 255, "0 is global, 253 link, 254 host."),
    });
    list(
        &json!({ "type": "object", "required": ["dst"], "properties": keys }),
        "Routes that the pod gets.",
    )
}
