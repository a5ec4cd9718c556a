//! The reference plugins: the main ones with this program as their IPAM plugin, which stands alone in `CNI_PATH`
//! under the name of the one whose place it takes, and all of them beside this program, for the same answer.

use std::path::Path;

use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::{Case, Need};
use linkspan_tests::lan::{Lan, PARENT, host_local, reservations};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{addresses_of, check};

/// Where Debian's package containernetworking-plugins has them.
const MACVLAN: &str = "/usr/lib/cni/macvlan";
const BRIDGE: &str = "/usr/lib/cni/bridge";
const PTP: &str = "/usr/lib/cni/ptp";
const HOST_LOCAL: &str = "/usr/lib/cni/host-local";
const STATIC: &str = "/usr/lib/cni/static";

/// The versions that Debian's plugins speak, of those spoken here.
const VERSIONS: [&str; 4] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0"];

pub(crate) fn cases() -> impl IntoIterator<Item = Case> {
    cases![&[Need::Root, Need::Tool(MACVLAN)];
        a_reference_macvlan_gets_its_addresses_from_host_local,
        a_reference_macvlan_gets_its_addresses_from_static,
        a_reference_bridge_and_ptp_get_theirs_in_every_version,
        a_reference_plugin_hands_on_our_errors,
        host_local_and_static_answer_as_the_reference_does,
        called_as_macvlan_the_answer_is_the_reference_s,
    ]
}

/// A network of a reference plugin on this node. Its IPAM plugin is this program.
fn network(lan: &Lan, plugin: &str, mut config: Value, ipam: Value) -> Network {
    let ours = Network::new("", json!({})).called_as(ipam["type"].as_str().unwrap());
    config["ipam"] = ipam;
    config["type"] = json!(Path::new(plugin).file_name().unwrap().to_str());
    config["cniVersion"] = json!("1.0.0");
    lan.network(config).served_by(Path::new(plugin)).finding(&ours)
}

fn a_reference_macvlan_gets_its_addresses_from_host_local() {
    let lan = Lan::new("refhostlocal");
    let data = TempDir::new().unwrap();
    let mut ipam = host_local(&data, &["10.90.0.0/24", "fd00:90::/64"]);
    // With a gateway, as the reference CHECK finds no other route.
    ipam["routes"] = json!([{ "dst": "10.0.0.0/8", "gw": "10.90.0.1" }]);
    let network = network(&lan, MACVLAN, json!({ "master": PARENT }), ipam);
    let reserved = || reservations(&data, "refhostlocal");
    let pod = lan.pod("pod");
    let result = network.add(&pod, "net1");
    assert_eq!(addresses_of(&pod, "net1"), ["10.90.0.2/24", "fd00:90::2/64"]);
    assert_eq!(reserved(), ["10.90.0.2", "fd00:90::2"]);
    assert_eq!(result["ips"][0]["gateway"], "10.90.0.1");
    let route = pod.run("ip", &["route", "show", "10.0.0.0/8"]);
    assert!(route.contains("via 10.90.0.1"), "{route}");

    let checked = check(&network, &pod, "net1", &result);
    assert!(checked.success, "{checked:#?}");
    std::fs::remove_file(data.path().join("refhostlocal/10.90.0.2")).unwrap();
    let lost = check(&network, &pod, "net1", &result);
    assert_eq!((lost.code(), lost.msg()), (Some(105), "address 10.90.0.2 is not reserved"));

    for _ in 0..2 {
        network.del(&pod, "net1");
        assert_eq!(reserved(), [""; 0]);
    }
}

fn a_reference_macvlan_gets_its_addresses_from_static() {
    let lan = Lan::new("refstatic");
    let ipam = json!({
        "type": "static",
        "addresses": [{ "address": "10.91.0.5/24", "gateway": "10.91.0.1" }],
        "routes": [{ "dst": "0.0.0.0/0" }],
    });
    let mut network = network(&lan, MACVLAN, json!({ "master": PARENT }), ipam);
    network.args = String::from("IgnoreUnknown=1;IP=fd00:91::5/64;GATEWAY=fd00:91::1");
    let pod = lan.pod("pod");
    let result = network.add(&pod, "net1");
    assert_eq!(addresses_of(&pod, "net1"), ["10.91.0.5/24", "fd00:91::5/64"]);
    let route = pod.run("ip", &["route", "show", "default"]);
    assert!(route.contains("via 10.91.0.1"), "{route}");

    let checked = check(&network, &pod, "net1", &result);
    assert!(checked.success, "{checked:#?}");
    network.args.clear();
    let other = json!({ "type": "static", "addresses": [{ "address": "10.91.0.6/24" }] });
    let differs = check(&network.with("ipam", other), &pod, "net1", &result);
    assert_eq!(differs.msg(), "address 10.91.0.6/24 is not in the result of ADD");
    network.del(&pod, "net1");
}

fn a_reference_bridge_and_ptp_get_theirs_in_every_version() {
    let lan = Lan::new("refversions");
    let data = TempDir::new().unwrap();
    let pod = lan.pod("pod");
    let reserved = || reservations(&data, "refversions");
    for (plugin, config) in
        [(BRIDGE, json!({ "bridge": "br0", "isGateway": true })), (PTP, json!({}))]
    {
        for version in VERSIONS {
            let ipam = host_local(&data, &["10.92.0.0/24"]);
            let network = network(&lan, plugin, config.clone(), ipam).with("cniVersion", version);
            let result = network.add(&pod, "net1");
            assert_eq!(result["cniVersion"], version);
            assert_eq!((reserved().len(), addresses_of(&pod, "net1").len()), (1, 1));
            if version >= "0.4.0" {
                let checked = check(&network, &pod, "net1", &result);
                assert!(checked.success, "{plugin}, {version}: {checked:#?}");
            }
            network.del(&pod, "net1");
            assert_eq!(reserved(), [""; 0]);
        }
    }
}

fn a_reference_plugin_hands_on_our_errors() {
    let lan = Lan::new("referrors");
    let data = TempDir::new().unwrap();
    let bridge = json!({ "bridge": "br0" });
    let full = network(&lan, BRIDGE, bridge.clone(), host_local(&data, &["10.93.0.0/30"]));
    let [first, second, third] = ["first", "second", "third"].map(|name| lan.pod(name));
    full.add(&first, "net1");
    let reply = full.try_add(&second, "net1");
    assert_eq!(reply.code(), Some(102), "{reply:#?}");
    assert!(reply.msg().starts_with("network referrors has no free address"), "{reply:#?}");

    let wrong = json!({ "type": "host-local", "subnet": "10.93.0.0/24", "gatway": "10.93.0.1" });
    let reply = network(&lan, BRIDGE, bridge, wrong).try_add(&third, "net1");
    assert_eq!(reply.code(), Some(7), "{reply:#?}");
    assert!(reply.msg().starts_with("`ipam.gatway` is \"10.93.0.1\""), "{reply:#?}");
}

/// What an IPAM plugin answers to ADD and DEL of a few configurations in every version.
fn ipam_answers(network: &Network) -> Vec<Value> {
    let environment = [("CNI_CONTAINERID", "c1"), ("CNI_NETNS", "/run/x"), ("CNI_IFNAME", "eth0")];
    let call = |version: &str, verb| {
        let reply = network.with("cniVersion", version).call(verb, &environment);
        assert!(reply.success, "{reply:#?}");
        without_empty_dns(reply.json)
    };
    VERSIONS.iter().flat_map(|version| [call(version, "ADD"), call(version, "DEL")]).collect()
}

/// Debian's plugins write one where there is none.
fn without_empty_dns(mut result: Value) -> Value {
    if result["dns"] == json!({}) {
        result.as_object_mut().unwrap().remove("dns");
    }
    result
}

fn host_local_and_static_answer_as_the_reference_does() {
    let routes = json!([
        { "dst": "0.0.0.0/0" }, { "dst": "10.2.0.0/16", "gw": "10.1.2.9" }, { "dst": "fd00:2::/64" },
    ]);
    let resolv_conf = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&resolv_conf, "nameserver 10.1.2.53\nsearch a.b c.d\noptions ndots:2\n")
        .unwrap();
    let sections = [
        json!({ "type": "host-local", "subnet": "10.1.2.0/24" }),
        json!({ "type": "host-local", "subnet": "10.1.2.0/24", "rangeStart": "10.1.2.20",
                "rangeEnd": "10.1.2.30", "gateway": "10.1.2.254", "routes": routes }),
        json!({ "type": "host-local", "routes": routes, "resolvConf": resolv_conf.path(),
                "ranges": [[{ "subnet": "10.1.2.0/24" }], [{ "subnet": "fd00:1::/64" }]] }),
        json!({ "type": "static", "routes": routes, "dns": { "nameservers": ["10.1.2.53"] },
                "addresses": [{ "address": "10.1.2.3/24", "gateway": "10.1.2.1" },
                              { "address": "fd00:1::3/64" }] }),
        json!({ "type": "static", "addresses": [{ "address": "10.1.2.3/24" }] }),
    ];
    for mut section in sections {
        let name = section["type"].as_str().unwrap().to_owned();
        let reference = if name == "static" { STATIC } else { HOST_LOCAL };
        let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let [ours, theirs] = folders.each_ref().map(|folder| {
            section["dataDir"] = json!(folder.path());
            Network::new("net", json!({ "type": "bridge", "ipam": section }))
        });
        let theirs = ipam_answers(&theirs.served_by(Path::new(reference)));
        assert_eq!(ipam_answers(&ours.called_as(&name)), theirs, "{section}");
    }
}

fn called_as_macvlan_the_answer_is_the_reference_s() {
    let lan = Lan::new("refanswer");
    let ipam = json!({
        "type": "static",
        "addresses": [{ "address": "10.94.0.5/24", "gateway": "10.94.0.1" }],
        "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "10.95.0.0/16", "gw": "10.94.0.9" }],
    });
    let config = json!({ "master": PARENT, "mode": "private", "mtu": 1400 });
    let reference = network(&lan, MACVLAN, config, ipam);
    let plugin = Network::new("", json!({})).called_as("macvlan");
    let ours = reference.served_by(&plugin.folder().join("macvlan"));
    for version in VERSIONS {
        let [theirs, own] = [&reference, &ours].map(|network| {
            let network = network.with("cniVersion", version);
            let pod = lan.pod("pod");
            let result = network.add(&pod, "net1");
            let mac = pod.link("net1")["address"].clone();
            assert_eq!(result["interfaces"][0]["mac"], mac);
            let info = pod.run("ip", &["-d", "link", "show", "net1"]);
            assert!(info.contains("macvlan mode private") && info.contains("mtu 1400"), "{info}");
            // Ours are marked as an administrator's, so that no routing daemon removes them.
            let routes = pod.run("ip", &["route", "show"]).replace(" proto static", "");
            network.del(&pod, "net1");
            let mut result = without_empty_dns(result);
            result["interfaces"][0].as_object_mut().unwrap().remove("mac");
            (result, routes)
        });
        assert_eq!(own, theirs, "{version}");
    }
}
