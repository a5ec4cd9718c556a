//! `resourceName`: the pool from which an attachment gets its device where no Multus says which.

use serde_json::{Map, Value};

use crate::fields::{Fields, remove};
use crate::{Invalid, ResourceName};

/// The resource of which the caller is to find the pod's device; none where the configuration
/// names none, or a device already (`deviceID`, also in `runtimeConfig`). The device goes into the
/// configuration as `deviceID`, which is parsed then.
pub fn wanted_resource(config: &Map<String, Value>) -> Result<Option<ResourceName>, Invalid> {
    let root = Fields::unchecked(config, "");
    let resource = root.parsed("resourceName", ResourceName::EXPECTED)?;
    let named = root.is_set("deviceID") || root.inside("runtimeConfig")?.is_set("deviceID");
    Ok(resource.filter(|_| !named))
}

/// The same configuration with a device for the resource that it wants.
#[must_use]
pub fn with_device(config: &Map<String, Value>, device: &str) -> Map<String, Value> {
    let mut config = config.clone();
    remove(&mut config, "deviceID");
    config.insert("deviceID".to_owned(), Value::from(device));
    config
}

#[cfg(test)]
mod tests {
    use super::super::testing::map;
    use super::*;
    use serde_json::json;

    fn wanted(config: Value) -> Result<Option<String>, String> {
        let resource = wanted_resource(&map(config)).map_err(|e| e.to_string())?;
        Ok(resource.map(|resource| resource.to_string()))
    }

    #[test]
    fn a_resource_is_wanted_where_no_device_is_named() {
        let name = "linkspan.dev/fast";
        let device = "0000:3b:02.1";
        let table = [
            (json!({"resourceName": name}), Some(name)),
            (json!({"resourceName": name, "deviceID": ""}), Some(name)),
            (json!({"resourceName": name, "runtimeConfig": {"deviceID": ""}}), Some(name)),
            (json!({"resourceName": name, "runtimeConfig": {"mac": "x"}}), Some(name)),
            (json!({"resourceName": name, "deviceID": device}), None),
            (json!({"resourceName": name, "runtimeConfig": {"deviceID": device}}), None),
            (json!({"resourceName": ""}), None),
            (json!({"deviceID": ""}), None),
        ];
        for (config, resource) in table {
            assert_eq!(wanted(config.clone()), Ok(resource.map(str::to_owned)), "{config}");
        }
    }

    #[test]
    fn what_is_refused() {
        for value in [json!("fast"), json!("a/b/c"), json!(1), json!(["linkspan.dev/fast"])] {
            assert_eq!(
                wanted(json!({"resourceName": value, "deviceID": "0000:3b:02.1"})),
                Err(format!(
                    "`resourceName` is {value}, expected an extended resource such as linkspan.dev/fast"
                ))
            );
        }
        assert_eq!(
            wanted(json!({"resourceName": "a/b", "runtimeConfig": 1})),
            Err("`runtimeConfig` is 1, expected an object".to_owned())
        );
    }

    #[test]
    fn the_device_takes_the_place_of_an_empty_one() {
        let config = map(json!({"name": "n", "DeviceId": "", "resourceName": "a/b"}));
        let device = "0000:3b:02.1";
        let expected = map(json!({"name": "n", "deviceID": device, "resourceName": "a/b"}));
        assert_eq!(with_device(&config, device), expected);
    }
}
