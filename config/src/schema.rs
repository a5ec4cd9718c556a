//! JSON Schemas of every configuration, for editors: made here of the same names and words that the parsers have, kept
//! as files in `config/schemas`, and held to what the parsers take by the parsers' own tests ([`agreement`]).
//!
//! It is built for tests only: no program carries it. `UPDATE_SCHEMAS=1 cargo test -p linkspan-config schemas` writes
//! the files anew.
//!
//! A schema can't say all that a parser does: it reads keys as they are written here and not in any case, knows no
//! misspelt key, and compares no two values. What it lets pass for that reason is listed in [`agreement`].

pub(crate) mod agreement;
mod forms;
mod ipam;
mod network;
mod pools;

use serde_json::{Value, json};

/// Each schema's file in `config/schemas`, and the schema.
pub(crate) fn all() -> [(&'static str, Value); 4] {
    [
        ("network.json", network::network()),
        ("network-list.json", network::list()),
        ("resource-list.json", pools::resource_list()),
        ("macvtap-pools.json", pools::of_macvtap_cni()),
    ]
}

/// A schema as a file begins.
fn file(title: &str, description: &str, mut schema: Value) -> Value {
    let mut whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
    });
    if let (Some(whole), Some(schema)) = (whole.as_object_mut(), schema.as_object_mut()) {
        whole.append(schema);
    }
    whole
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn schemas_are_as_the_code_has_them() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        for (name, schema) in super::all() {
            let file = folder.join(name);
            let text = format!("{schema:#}\n");
            if std::env::var_os("UPDATE_SCHEMAS").is_some() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&file, &text).unwrap();
            }
            let there = fs::read_to_string(&file).unwrap_or_default();
            assert!(
                there == text,
                "{name} is old: UPDATE_SCHEMAS=1 cargo test -p linkspan-config schemas"
            );
        }
    }

    #[test]
    fn every_key_says_what_it_does() {
        for (name, schema) in super::all() {
            for (key, property) in super::agreement::properties(&schema) {
                let is_plain =
                    property.as_object().is_some_and(|map| map.contains_key("description"));
                assert!(is_plain, "{name}: {key} has no description");
            }
        }
    }
}
