//! Whether a schema and its parser agree on a configuration. The parsers' tests ask it of all that they try: what a
//! parser takes the schema takes, and what a parser refuses the schema refuses, but for what no schema can say.

use std::collections::HashMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Map, Value};

use crate::Invalid;

/// Sees that the schema of this file says of a configuration what the parser has said.
#[track_caller]
pub(crate) fn check(file: &str, written: &Value, refused: Option<&Invalid>) {
    let (validator, keys) = &SCHEMAS[file];
    let value = canonical(written, keys);
    let errors: Vec<String> =
        validator.iter_errors(&value).map(|e| format!("{} at {}", e, e.instance_path())).collect();
    match refused {
        None => assert!(errors.is_empty(), "{file} refuses what is taken: {written}: {errors:?}"),
        Some(error) => assert!(
            !errors.is_empty() || is_beyond(error),
            "{file} takes what is refused: {written}: {error}"
        ),
    }
}

type Schema = (Validator, Vec<String>);

static SCHEMAS: LazyLock<HashMap<&str, Schema>> = LazyLock::new(|| {
    let of = |schema: &Value| {
        let keys = properties(schema).into_iter().map(|(key, _)| key.to_owned()).collect();
        (jsonschema::validator_for(schema).unwrap(), keys)
    };
    super::all().iter().map(|(file, schema)| (*file, of(schema))).collect()
});

/// What a schema can't say, by words of the parser's error.
const BEYOND: &[&str] = &[
    // Other keys, and other values.
    "a key that is known",
    "no such key where",
    "no such key beside",
    "no such key for kind",
    "nothing where",
    "nothing beside",
    " where `",
    "the same as `",
    "as `type` is",
    "at most `max_tx_rate`",
    "not below `minID`",
    "is there already",
    "not before `rangeStart`",
    "of the same family",
    "as the others of its set",
    "an address for a pod in",
    "addresses of ",
    "a range that shares no address",
    "leave an address",
    "another address than",
    "as in the resource",
    "at least one set of ranges",
    // What the runtime fills in, or says elsewhere.
    "the PCI address of the VF, such as 0000:3b:02.1",
    "the PCI address of the VF that is the parent",
    "the PCI address of a VF, or the ID of a device of a macvtap pool",
    "the device of `resourceName`",
    "a single interface",
    // Numbers within a text, and bits of an address.
    "an interface can have",
    "the MAC address of a sender",
    "host bits",
    "four or more addresses",
    "with rising ranges",
    "a number in quotes",
    "an address for a pod with its prefix length",
    "in quotes, without a prefix length",
    "with or without a prefix length",
    "a last address such as",
    "254 bytes together",
    "255 bytes or less",
    "not the protocol's own",
    "what the option is to have",
    "without '/', ':', '%' or white space",
    "the name of a plugin",
    "an IPAM plugin",
];

fn is_beyond(error: &Invalid) -> bool {
    let elsewhere = ["CNI_ARGS", "prevResult", "args.", "runtimeConfig."];
    // To a schema 1500.0 is a whole number.
    let has_point = error.value.ends_with(".0");
    has_point
        || elsewhere.iter().any(|place| error.key.starts_with(place))
        || BEYOND.iter().any(|words| error.expected.contains(words))
}

/// A configuration with its keys spelt as the schema has them: the parsers take them in any case.
fn canonical(value: &Value, keys: &[String]) -> Value {
    match value {
        Value::Object(map) => {
            let spelt = |key: &String| {
                let is_other = |known: &&String| known.eq_ignore_ascii_case(key);
                let is_known = keys.contains(key);
                keys.iter()
                    .find(is_other)
                    .filter(|known| !is_known && !map.contains_key(*known))
                    .unwrap_or(key)
                    .clone()
            };
            let map: Map<_, _> =
                map.iter().map(|(key, value)| (spelt(key), canonical(value, keys))).collect();
            Value::Object(map)
        }
        Value::Array(items) => items.iter().map(|item| canonical(item, keys)).collect(),
        plain => plain.clone(),
    }
}

/// All keys that a schema describes. Those of a condition describe nothing.
pub(super) fn properties(schema: &Value) -> Vec<(&str, &Value)> {
    let mut found = Vec::new();
    match schema {
        Value::Object(map) => {
            for (word, inner) in
                map.iter().filter(|(word, _)| !matches!(word.as_str(), "if" | "not"))
            {
                match inner {
                    Value::Object(keys) if word == "properties" => {
                        for (key, property) in keys {
                            found.push((key.as_str(), property));
                            found.extend(properties(property));
                        }
                    }
                    inner => found.extend(properties(inner)),
                }
            }
        }
        Value::Array(items) => found.extend(items.iter().flat_map(properties)),
        _ => {}
    }
    found
}
