//! Every configuration of the pages works.
//!
//! A block of `json` is a configuration of a network or of pools; with `pool` it is one pool, with `ipam` that section of a
//! network, and with `not-a-configuration` it is none that works. A block of `yaml` is for `kubectl apply`.

use std::io::Write as _;
use std::process::Command;

use linkspan_config::net_conf::{KindName, NetConf, RuntimeInputs, StatusConf};
use linkspan_config::resource_list::ResourceList;
use linkspan_tests::program::program;
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;

use crate::page::pages;

#[test]
fn each_configuration_works() {
    let mut count = 0;
    for page in pages() {
        for block in page.parts().0 {
            match block.language.as_str() {
                _ if block.mark.starts_with("not-a-configuration") => {}
                "json" => {
                    let value: Value = serde_json::from_str(&block.text)
                        .unwrap_or_else(|error| panic!("{}: {error}", block.place));
                    let whole = match block.mark.split(' ').next().unwrap_or_default() {
                        "pool" => json!({ "resourceList": [value] }),
                        "ipam" => json!({ "name": "a", "type": "macvlan", "ipam": value }),
                        _ => value,
                    };
                    check(&block.place, &whole);
                    count += 1;
                }
                "yaml" => count += check_yaml(&block.place, &block.text),
                _ => {}
            }
        }
    }
    assert!(count > 10, "configurations are found: {count}");
}

fn check(place: &str, config: &Value) {
    if config.get("resourceList").is_some() {
        let list = ResourceList::from_json(config);
        assert!(list.is_ok(), "{place}: {}", list.unwrap_err());
        return;
    }
    let root = config.as_object().unwrap();
    let plugins = root.get("plugins").and_then(Value::as_array);
    let Some(plugins) = plugins else { return check_network(place, root) };
    for plugin in plugins {
        let mut plugin = plugin.as_object().unwrap().clone();
        for key in ["name", "cniVersion"] {
            plugin.extend(root.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        check_network(place, &plugin);
    }
}

/// As STATUS and ADD would; for ADD with the device that Multus writes there.
fn check_network(place: &str, config: &Map<String, Value>) {
    let name = config.get("type").and_then(Value::as_str).unwrap_or_default();
    let called_as: Option<KindName> = name.parse().ok();
    if called_as.is_none() && name != "linkspan" {
        assert!(!name.is_empty(), "{place}: this is no network and no list of pools");
        return;
    }
    let status = StatusConf::parse(config, called_as);
    let kind = status.unwrap_or_else(|error| panic!("{place}: {error}")).kind;
    let mut config = config.clone();
    if kind == KindName::Sriov {
        config.entry("deviceID").or_insert_with(|| "0000:3b:02.1".into());
    }
    if let Err(error) = NetConf::parse(&config, &RuntimeInputs::default(), called_as) {
        panic!("{place}: {error}");
    }
}

/// As the operator would have it checked: each network and each list of pools in it.
fn check_yaml(place: &str, text: &str) -> usize {
    let mut file = NamedTempFile::with_suffix(".yaml").unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut validate = Command::new(program("linkspan"));
    let told = validate.arg("validate").arg(file.path()).output().unwrap();
    let said = String::from_utf8(told.stdout).unwrap();
    assert!(told.status.success(), "{place}: {said}");
    let count = said.lines().filter(|line| line.contains("work")).count();
    let networks = text.matches("kind: NetworkAttachmentDefinition").count();
    assert!(count >= networks, "{place}: not every network's configuration is found: {said}");
    count
}
