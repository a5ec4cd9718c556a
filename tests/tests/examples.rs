//! The examples work: each network and each list of pools is read by the parser that the programs have, and by the
//! schema that editors have, and each pod asks for what there is.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use linkspan_config::net_conf::{KindName, NetConf, RuntimeInputs, with_device};
use linkspan_config::resource_list::ResourceList;
use linkspan_tests::program::program;
use linkspan_tests::yaml;
use serde_json::{Map, Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("config")
}

/// The objects of all examples, each with its file.
fn objects() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        all.extend(yaml::documents(&text).into_iter().map(|object| (name.clone(), object)));
    }
    all
}

fn of_kind(kind: &str) -> impl Iterator<Item = (String, Value)> {
    objects().into_iter().filter(move |(_, object)| object["kind"] == kind)
}

fn schema(name: &str) -> jsonschema::Validator {
    let text = fs::read_to_string(folder().join("schemas").join(name)).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

fn embedded(file: &str, text: &Value) -> Value {
    let text = text.as_str().unwrap_or_else(|| panic!("{file}: no text"));
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn networks() -> Vec<(String, Value, Map<String, Value>)> {
    let of = |(file, object): (String, Value)| {
        let config = embedded(&file, &object["spec"]["config"]);
        let config = config.as_object().unwrap().clone();
        (file, object, config)
    };
    of_kind("NetworkAttachmentDefinition").map(of).collect()
}

const RESOURCE: &str = "k8s.v1.cni.cncf.io/resourceName";

#[test]
fn every_network_is_taken() {
    let schema = schema("network.json");
    let mut seen = BTreeSet::new();
    for (file, object, config) in networks() {
        let value = Value::Object(config.clone());
        let errors: Vec<_> = schema.iter_errors(&value).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{file}: {errors:?}");
        assert_eq!(config["name"], object["metadata"]["name"], "{file}");
        // What Multus fills in, or the device plugin is asked for.
        let resource = object["metadata"]["annotations"][RESOURCE].as_str();
        let config = match resource.or_else(|| config.get("resourceName")?.as_str()) {
            Some("linkspan.dev/dataplane") => with_device(&config, "dataplaneMvp7"),
            Some(_) => with_device(&config, "0000:3b:02.1"),
            None => config,
        };
        let conf = NetConf::parse(&config, &RuntimeInputs::default(), None);
        let conf = conf.unwrap_or_else(|e| panic!("{file}: {e}"));
        seen.insert(conf.kind.name().to_string());
        seen.extend(config.get("ipam").map(|ipam| ipam["type"].as_str().unwrap().to_owned()));
    }
    let kinds = KindName::ALL.iter().map(ToString::to_string);
    let all: BTreeSet<_> =
        kinds.chain(["host-local", "static", "dhcp"].map(str::to_owned)).collect();
    assert_eq!(seen, all, "each kind and each way to an address has an example");
}

#[test]
fn every_list_of_pools_is_taken_and_every_pod_asks_for_what_is_offered() {
    let schema = schema("resource-list.json");
    let mut offered = BTreeSet::new();
    for (file, object) in of_kind("ConfigMap") {
        let config = embedded(&file, &object["data"]["config.json"]);
        let errors: Vec<_> = schema.iter_errors(&config).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{file}: {errors:?}");
        let list = ResourceList::from_json(&config).unwrap_or_else(|e| panic!("{file}: {e}"));
        offered.extend(
            list.resources.iter().map(|resource| format!("linkspan.dev/{}", resource.name)),
        );
    }
    let mut used = BTreeSet::new();
    let networks = networks();
    for (file, pod) in of_kind("Pod") {
        let asked = pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"].as_str().unwrap();
        let name = match serde_json::from_str::<Value>(asked) {
            Ok(list) => list[0]["name"].as_str().unwrap().to_owned(),
            Err(_) => asked.to_owned(),
        };
        let network = networks.iter().find(|(_, object, _)| object["metadata"]["name"] == *name);
        let (_, object, config) = network.unwrap_or_else(|| panic!("{file}: no network {name}"));
        let resource = object["metadata"]["annotations"].get(RESOURCE);
        let resource = resource.or_else(|| config.get("resourceName")).and_then(Value::as_str);
        let resources = &pod["spec"]["containers"][0]["resources"];
        let expected = resource.map_or(Value::Null, |resource| json!({ resource: 1 }));
        assert_eq!(
            (&resources["limits"], &resources["requests"]),
            (&expected, &expected),
            "{file}"
        );
        used.extend(resource.map(str::to_owned));
        assert!(resource.is_none_or(|resource| offered.contains(resource)), "{file}");
    }
    offered.remove("linkspan.dev/storage-share");
    assert_eq!(used, offered, "each pool has a pod");
}

#[test]
fn linkspan_validate_finds_nothing_wrong() {
    let mut command = Command::new(program("linkspan"));
    command.arg("validate");
    let mut files: Vec<_> = objects().into_iter().map(|(file, _)| file).collect();
    files.dedup();
    command.args(files).current_dir(folder().join("examples"));
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
}
