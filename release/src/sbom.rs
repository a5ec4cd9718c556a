//! The crates that are in the programs, as a bill of materials in `CycloneDX` 1.5, from what `cargo metadata` says: what
//! only tests, build scripts and macros use is not in them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// The packages of the programs.
const PROGRAMS: [&str; 4] =
    ["linkspan-cni", "linkspan-ctl", "linkspan-device-plugin", "linkspan-dhcp"];

/// The bill of materials, or what is missing in the metadata.
pub fn bill(metadata: &Value, version: &str) -> Result<Value, &'static str> {
    let packages = by_id(&metadata["packages"]).ok_or("packages")?;
    let nodes = by_id(&metadata["resolve"]["nodes"]).ok_or("resolve")?;
    let is_program =
        |package: &&Value| package["name"].as_str().is_some_and(|n| PROGRAMS.contains(&n));
    let mut wanted: Vec<&str> = packages
        .values()
        .copied()
        .filter(is_program)
        .filter_map(|package| package["id"].as_str())
        .collect();
    if wanted.len() != PROGRAMS.len() {
        return Err("the packages of the programs");
    }
    let mut dependencies: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut components = BTreeMap::new();
    while let Some(id) = wanted.pop() {
        let package = packages.get(id).ok_or("a package that another one uses")?;
        let (purl, component) = component(package);
        if components.insert(purl.clone(), component).is_some() {
            continue;
        }
        let below = dependencies.entry(purl).or_default();
        for id in linked(nodes.get(id).ok_or("what a package uses")?, &packages) {
            below.insert(purl_of(packages[id]));
            wanted.push(id);
        }
    }
    let dependencies: Vec<_> = dependencies
        .iter()
        .map(|(purl, below)| json!({ "ref": purl, "dependsOn": below }))
        .collect();
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "application", "bom-ref": "linkspan", "name": "linkspan", "version": version,
            "licenses": [{ "expression": env!("CARGO_PKG_LICENSE") }],
        } },
        "components": components.into_values().collect::<Vec<_>>(),
        "dependencies": dependencies,
    }))
}

fn by_id(list: &Value) -> Option<BTreeMap<&str, &Value>> {
    list.as_array()?.iter().map(|thing| Some((thing["id"].as_str()?, thing))).collect()
}

/// The packages whose code is linked with that of a node's.
fn linked<'a>(
    node: &'a Value,
    packages: &'a BTreeMap<&str, &Value>,
) -> impl Iterator<Item = &'a str> {
    let used = node["deps"].as_array().into_iter().flatten();
    let is_linked = |used: &&Value| {
        // The kind of a usual one is null.
        used["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k["kind"].is_null()))
    };
    used.filter(is_linked)
        .filter_map(|used| used["pkg"].as_str())
        .filter(|id| packages.get(id).is_some_and(|package| !is_macro(package)))
}

fn is_macro(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    targets
        .filter_map(|target| target["kind"].as_array())
        .flatten()
        .any(|kind| kind == "proc-macro")
}

fn purl_of(package: &Value) -> String {
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    format!("pkg:cargo/{}@{}", text("name"), text("version"))
}

fn component(package: &Value) -> (String, Value) {
    let purl = purl_of(package);
    let mut component = json!({
        "type": "library", "bom-ref": purl, "purl": purl,
        "name": package["name"], "version": package["version"],
    });
    if let Some(licence) = package["license"].as_str() {
        // Some write the SPDX expression as cargo once had it.
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    (purl, component)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, kind: &str) -> Value {
        json!({
            "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0",
            "targets": [{ "kind": [kind] }],
        })
    }

    fn node(name: &str, uses: &[(&str, Value)]) -> Value {
        let deps: Vec<_> = uses
            .iter()
            .map(|(name, kind)| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] }))
            .collect();
        json!({ "id": name, "deps": deps })
    }

    #[test]
    fn only_what_is_in_the_programs_is_told() {
        let mut packages: Vec<_> = PROGRAMS.iter().map(|name| package(name, "bin")).collect();
        packages.extend(["used", "tested", "built", "below"].map(|name| package(name, "lib")));
        packages.push(package("macro", "proc-macro"));
        let mut nodes: Vec<_> = PROGRAMS[1..].iter().map(|name| node(name, &[])).collect();
        nodes.push(node(
            PROGRAMS[0],
            &[
                ("used", Value::Null),
                ("tested", json!("dev")),
                ("built", json!("build")),
                ("macro", Value::Null),
            ],
        ));
        nodes.push(node("used", &[("below", Value::Null)]));
        nodes.push(node("below", &[]));
        let metadata = json!({ "packages": packages, "resolve": { "nodes": nodes } });
        let bill = bill(&metadata, "1.0.0").unwrap();
        let names: Vec<_> =
            bill["components"].as_array().unwrap().iter().map(|part| &part["name"]).collect();
        let mut expected = vec!["below"];
        expected.extend(PROGRAMS);
        expected.push("used");
        assert_eq!(names, expected);
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
    }

    #[test]
    fn metadata_without_the_programs_is_refused() {
        let metadata = json!({ "packages": [], "resolve": { "nodes": [] } });
        assert!(bill(&metadata, "1.0.0").is_err());
    }
}
