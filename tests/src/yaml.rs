//! YAML as the JSON that Kubernetes makes of it.

use saphyr::{LoadableYamlNode as _, ScalarOwned, YamlOwned};
use serde_json::Value;

/// The documents of a file.
///
/// # Panics
///
/// If it is no YAML, or has something that JSON doesn't.
#[must_use]
pub fn documents(text: &str) -> Vec<Value> {
    let documents = YamlOwned::load_from_str(text).unwrap_or_else(|e| panic!("{e} in {text}"));
    documents.iter().map(json).collect()
}

fn json(node: &YamlOwned) -> Value {
    match node {
        YamlOwned::Mapping(map) => {
            map.iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), json(value))).collect()
        }
        YamlOwned::Sequence(items) => items.iter().map(json).collect(),
        YamlOwned::Value(ScalarOwned::Null) => Value::Null,
        YamlOwned::Value(ScalarOwned::Boolean(truth)) => (*truth).into(),
        YamlOwned::Value(ScalarOwned::Integer(number)) => (*number).into(),
        YamlOwned::Value(ScalarOwned::String(text)) => text.as_str().into(),
        other => panic!("{other:?} is nothing that Kubernetes takes"),
    }
}
