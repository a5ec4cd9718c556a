//! What the tests of the kinds share: a configuration from few keys, and tables of what is refused.

use serde_json::{Map, Value, json};

use super::{KindConf, NetConf, RuntimeInputs};
use crate::Invalid;
use crate::schema::agreement;

pub(super) fn map(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

/// A network with these keys, of which the schema has to say the same.
pub(super) fn parse_with(keys: Value, inputs: &RuntimeInputs) -> Result<NetConf, Invalid> {
    let mut config = map(json!({"cniVersion": "1.1.0", "name": "fast"}));
    config.extend(map(keys));
    let parsed = NetConf::parse(&config, inputs, None);
    agreement::check("network.json", &Value::Object(config), parsed.as_ref().err());
    parsed
}

/// What is attached where a network has these keys, and `base` besides.
pub(super) fn kind_of(base: &Value, keys: Value) -> Result<KindConf, Invalid> {
    kind_with(base, keys, &RuntimeInputs::default())
}

pub(super) fn kind_with(
    base: &Value,
    keys: Value,
    inputs: &RuntimeInputs,
) -> Result<KindConf, Invalid> {
    let mut config = map(base.clone());
    config.extend(map(keys));
    Ok(parse_with(Value::Object(config), inputs)?.kind)
}

/// Sees that each of these keys, added to `base`, is refused with this message and this advice.
#[track_caller]
pub(super) fn refused(
    base: &Value,
    table: impl IntoIterator<Item = (Value, &'static str, &'static str)>,
) {
    for (keys, message, advice) in table {
        match kind_of(base, keys.clone()) {
            Ok(kind) => panic!("{keys} was taken: {kind:?}"),
            Err(error) => {
                assert_eq!(error.to_string(), message);
                assert_eq!(error.advice.unwrap_or_default(), advice, "{keys}");
            }
        }
    }
}
