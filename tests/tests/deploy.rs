//! The manifests of config/deploy: what they give each program, that the programs take what they are told there, and
//! that kubectl renders them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use linkspan_tests::program::program;
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value, json};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("config/deploy")
}

/// The documents of a text in YAML.
fn documents(text: &str) -> Vec<Value> {
    let mut documents = Vec::new();
    let mut events = Parser::new_from_str(text).map(|event| event.unwrap().0);
    while let Some(event) = events.next() {
        if let Event::DocumentStart(_) = event {
            let first = events.next().unwrap();
            documents.push(value(first, &mut events));
        }
    }
    documents
}

fn value<'a>(event: Event<'a>, rest: &mut impl Iterator<Item = Event<'a>>) -> Value {
    match event {
        Event::Scalar(text, ScalarStyle::Plain, ..) => {
            serde_json::from_str(&text).unwrap_or_else(|_| json!(text))
        }
        Event::Scalar(text, ..) => json!(text),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match rest.next().unwrap() {
                    Event::SequenceEnd => return Value::Array(items),
                    item => items.push(value(item, rest)),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut object = Map::new();
            loop {
                match rest.next().unwrap() {
                    Event::MappingEnd => return Value::Object(object),
                    key => {
                        let key = value(key, rest).as_str().unwrap().to_owned();
                        let next = rest.next().unwrap();
                        assert!(
                            object.insert(key.clone(), value(next, rest)).is_none(),
                            "{key} twice"
                        );
                    }
                }
            }
        }
        other => panic!("{other:?}: write it out, these manifests have no aliases"),
    }
}

/// Each program as its manifest has it.
fn daemon_sets() -> Vec<Value> {
    let read = |part: &str| documents(&fs::read_to_string(deploy().join(part)).unwrap());
    ["base/cni", "base/device-plugin", "base/dhcp", "uninstall"]
        .map(|part| format!("{part}/daemonset.yaml"))
        .iter()
        .map(String::as_str)
        .flat_map(read)
        .filter(|object| object["kind"] == "DaemonSet")
        .collect()
}

fn container(daemon_set: &Value) -> &Value {
    let containers = daemon_set["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    &containers[0]
}

/// What each may do beyond reading its own files: capabilities, and folders of the node that it writes to.
fn needs() -> [(&'static str, Value, Vec<&'static str>); 4] {
    [
        ("linkspan", json!({ "drop": ["ALL"] }), vec!["/opt/cni/bin"]),
        (
            "linkspan-device-plugin",
            json!({ "drop": ["ALL"] }),
            vec![
                "/var/lib/kubelet/device-plugins",
                "/run/linkspan",
                "/var/run/k8s.cni.cncf.io/devinfo/dp",
            ],
        ),
        (
            "linkspan-dhcp",
            json!({ "drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW", "SYS_ADMIN"] }),
            vec!["/run/cni", "/run/linkspan", "/run/netns", "/var/run/netns"],
        ),
        ("linkspan", json!({ "drop": ["ALL"] }), vec!["/opt/cni/bin"]),
    ]
}

#[test]
fn nothing_is_given_that_is_not_needed() {
    for (daemon_set, (name, capabilities, written)) in daemon_sets().iter().zip(needs()) {
        let pod = &daemon_set["spec"]["template"]["spec"];
        let container = container(daemon_set);
        assert_eq!(container["image"], format!("{name}:{}", env!("CARGO_PKG_VERSION")));
        assert_eq!(
            container["securityContext"],
            json!({
                "runAsUser": 0, "runAsGroup": 0, "privileged": false, "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true, "capabilities": capabilities,
                "seccompProfile": { "type": "RuntimeDefault" },
            }),
            "{name}"
        );
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["hostNetwork"], true);
        for absent in ["hostPID", "hostIPC", "initContainers", "securityContext"] {
            assert_eq!(pod[absent], Value::Null, "{name}: {absent}");
        }
        let mounts = container["volumeMounts"].as_array().unwrap();
        let writable: Vec<_> = mounts
            .iter()
            .filter(|mount| mount["readOnly"] != true)
            .map(|mount| mount["mountPath"].as_str().unwrap())
            .collect();
        assert_eq!(writable, written, "{name}");
        for need in ["cpu", "memory"] {
            assert!(container["resources"]["requests"][need].is_string(), "{name}: {need}");
        }
    }
}

/// No node has both what installs and what takes it away: a label of the node decides.
#[test]
fn a_node_is_installed_or_uninstalled() {
    let label = "linkspan.dev/uninstall";
    let sets = daemon_sets();
    let (uninstall, others) = sets.split_last().unwrap();
    let pod = |set: &Value| set["spec"]["template"]["spec"].clone();
    assert_eq!(pod(uninstall)["nodeSelector"][label], "true");
    for set in others {
        let affinity = &pod(set)["affinity"]["nodeAffinity"];
        let required = &affinity["requiredDuringSchedulingIgnoredDuringExecution"];
        let absent =
            json!([{ "matchExpressions": [{ "key": label, "operator": "DoesNotExist" }] }]);
        assert_eq!(required["nodeSelectorTerms"], absent, "{}", set["metadata"]["name"]);
    }
}

/// They ask nothing of the API server.
#[test]
fn no_right_in_the_cluster_is_asked_for() {
    let mut folders = vec![deploy()];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                count += 1;
                for object in documents(&fs::read_to_string(&path).unwrap()) {
                    let kind = object["kind"].as_str().unwrap();
                    assert!(!kind.contains("Role"), "{}: {kind}", path.display());
                }
            }
        }
    }
    assert!(count > 10, "the manifests are found: {count}");
}

#[test]
fn the_programs_take_what_the_manifests_tell_them() {
    for (daemon_set, (name, ..)) in daemon_sets().iter().zip(needs()) {
        let container = container(daemon_set);
        let arguments = container["args"].as_array().unwrap();
        let arguments: Vec<_> = arguments.iter().map(|word| word.as_str().unwrap()).collect();
        // What stands before is read, too.
        let output = Command::new(program(name)).args(&arguments).arg("--help").output().unwrap();
        assert!(output.status.success(), "{name} {arguments:?}: {output:?}");
        for probe in ["livenessProbe", "readinessProbe"] {
            let asked = &container[probe]["httpGet"];
            if asked.is_object() {
                let address = format!("--metrics-address=127.0.0.1:{}", asked["port"]);
                assert!(arguments.contains(&address.as_str()), "{name}: {probe}");
                assert_eq!(asked["host"], "127.0.0.1", "{name}: {probe}");
            }
        }
    }
    let pools = deploy().join("base/device-plugin/pools.yaml");
    let output = Command::new(program("linkspan")).arg("validate").arg(pools).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn each_overlay_is_rendered() {
    let overlays: [(&str, &[&str]); 6] = [
        ("cni", &["linkspan-cni"]),
        ("device-plugin", &["linkspan-device-plugin"]),
        ("dhcp", &["linkspan-dhcp"]),
        ("all", &["linkspan-cni", "linkspan-device-plugin", "linkspan-dhcp"]),
        ("provision", &["linkspan-cni", "linkspan-device-plugin", "linkspan-dhcp"]),
        ("uninstall", &["linkspan-uninstall"]),
    ];
    if !kubectl_reads_folders() {
        println!(
            "skipped: there is no kubectl of version 1.21 or later here; `make e2e` applies the overlays"
        );
        return;
    }
    for (overlay, names) in overlays {
        let rendered = Command::new("kubectl")
            .args(["kustomize", overlay])
            .current_dir(deploy())
            .output()
            .unwrap();
        assert!(rendered.status.success(), "{overlay}: {rendered:?}");
        assert!(rendered.stderr.is_empty(), "{overlay}: {rendered:?}");
        let objects = documents(std::str::from_utf8(&rendered.stdout).unwrap());
        let daemon_sets: Vec<_> =
            objects.iter().filter(|object| object["kind"] == "DaemonSet").collect();
        let found: Vec<_> = daemon_sets.iter().map(|set| &set["metadata"]["name"]).collect();
        assert_eq!(found, names, "{overlay}");
        for object in &objects {
            let is_in = object["metadata"]["namespace"] == "linkspan";
            assert!(is_in || object["kind"] == "Namespace", "{overlay}: {object}");
        }
        if overlay == "provision" {
            let container = container(daemon_sets[1]);
            let capabilities = &container["securityContext"]["capabilities"];
            assert_eq!(*capabilities, json!({ "drop": ["ALL"], "add": ["NET_ADMIN"] }));
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        }
    }
}

/// Older ones take no folder among the resources.
fn kubectl_reads_folders() -> bool {
    let asked = Command::new("kubectl").args(["version", "--client", "--output=json"]).output();
    let version = asked.ok().and_then(|output| serde_json::from_slice(&output.stdout).ok());
    version.is_some_and(|version: Value| {
        let number = |key: &str| -> Option<u32> {
            version["clientVersion"][key].as_str()?.trim_end_matches('+').parse().ok()
        };
        number("major").zip(number("minor")) >= Some((1, 21))
    })
}
