//! `resourceName`: the pool from which an attachment gets its device where no Multus says which.

use serde_json::{Map, Value};

use crate::fields::Fields;
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
    config.retain(|key, _| !key.eq_ignore_ascii_case("deviceID"));
    config.insert("deviceID".to_owned(), Value::from(device));
    config
}
