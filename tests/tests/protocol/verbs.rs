//! What holds for every name and verb.

use linkspan_tests::cases;
use linkspan_tests::cni::Network;
use linkspan_tests::harness::Case;
use serde_json::{Value, json};

pub(crate) fn cases() -> [Case; 3] {
    cases![&[];
        under_each_name_the_same_versions_are_spoken,
        each_verb_needs_its_own_part_of_the_environment,
        without_a_command_it_is_a_person_who_calls,
    ]
}

const NAMES: [&str; 9] = [
    "linkspan",
    "sriov",
    "macvlan",
    "ipvlan",
    "macvtap",
    "host-local",
    "static",
    "dhcp",
    "anything",
];

fn network(name: &str) -> Network {
    let ipam = json!({ "type": "static" });
    Network::new("any", json!({ "type": "linkspan", "ipam": ipam })).called_as(name)
}

fn under_each_name_the_same_versions_are_spoken() {
    for name in NAMES {
        let reply = network(name).call_with("VERSION", &[], r#"{"cniVersion": "0.4.0"}"#);
        let spoken = json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
        let expected = json!({ "cniVersion": "0.4.0", "supportedVersions": spoken });
        assert_eq!(reply.json, expected, "{name}");
        let old = network(name).with("cniVersion", "0.2.0").call("DEL", &[]);
        assert_eq!(old.code(), Some(4), "{name}: {old:#?}");
    }
}

fn each_verb_needs_its_own_part_of_the_environment() {
    let full = [
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", "/run/netns/none"),
        ("CNI_IFNAME", "net1"),
        ("CNI_PATH", "/opt/cni/bin"),
        ("CNI_NETNS_OVERRIDE", "1"),
    ];
    let needs = [
        ("ADD", vec!["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"]),
        ("CHECK", vec!["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"]),
        ("DEL", vec!["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"]),
        ("GC", vec!["CNI_PATH"]),
        ("STATUS", vec![]),
        ("VERSION", vec![]),
    ];
    let lists = json!({ "cni.dev/valid-attachments": [], "prevResult": {} });
    for (verb, needed) in needs {
        for (name, _) in full {
            let without = full.map(|(n, value)| if n == name { (n, "") } else { (n, value) });
            let mut network = network("static");
            network.config.as_object_mut().unwrap().extend(lists.as_object().unwrap().clone());
            let reply = network.call(verb, &without);
            assert_eq!(reply.success, !needed.contains(&name), "{verb} without {name}: {reply:#?}");
            if !reply.success {
                assert_eq!(reply.code(), Some(4));
                assert_eq!(reply.msg(), format!("{name} is not set or empty, expected for {verb}"));
            }
        }
    }
}

fn without_a_command_it_is_a_person_who_calls() {
    for name in NAMES {
        let plugin = network(name);
        let program = plugin.folder().join(name);
        let output =
            std::process::Command::new(program).env_remove("CNI_COMMAND").output().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.ends_with("CNI versions: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n"), "{said}");
    }
    let empty = network("linkspan").call("", &[]);
    assert_eq!((empty.success, empty.code()), (false, Some(4)));
    assert_eq!(empty.json["cniVersion"], Value::from("1.1.0"));
}
