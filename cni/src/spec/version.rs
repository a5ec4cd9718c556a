//! The versions of the CNI spec that are spoken here, and the answer to the verb VERSION.

use std::fmt;

use serde_json::{Map, Value, json};

/// A version of the CNI spec; a later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 0.3.0, the first with lists of interfaces and addresses.
    V0_3_0,
    /// 0.3.1, which mends a slip of the pen in 0.3.0.
    V0_3_1,
    /// 0.4.0, which adds CHECK and gives DEL the result of ADD.
    V0_4_0,
    /// 1.0.0, in which addresses no longer name their family.
    V1_0_0,
    /// 1.1.0, which adds GC and STATUS, and more about interfaces and routes.
    V1_1_0,
}

/// A configuration whose `cniVersion` is not spoken here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`cniVersion` is {given}, expected one of {}", Version::list())]
pub struct UnsupportedVersion {
    /// The value as JSON, or what its absence means.
    pub given: String,
}

impl Version {
    /// All of them, the oldest first.
    pub const ALL: [Self; 5] =
        [Self::V0_3_0, Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];

    /// The one to answer in where the caller's is not known.
    pub const NEWEST: Self = Self::V1_1_0;

    /// The version as the spec writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// The `cniVersion` of a configuration or of a result.
    pub fn of(object: &Map<String, Value>) -> Result<Self, UnsupportedVersion> {
        let given = match object.get("cniVersion") {
            // The spec's first version had no such key.
            None | Some(Value::Null) => "nothing, which means 0.1.0".to_owned(),
            Some(Value::String(text)) if text.is_empty() => "\"\", which means 0.1.0".to_owned(),
            Some(Value::String(text)) => {
                if let Some(version) = Self::ALL.into_iter().find(|v| v.as_str() == text) {
                    return Ok(version);
                }
                format!("{:?}", text.chars().take(32).collect::<String>())
            }
            Some(_) => "no text".to_owned(),
        };
        Err(UnsupportedVersion { given })
    }

    fn list() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The answer to VERSION (section 2): the version that was asked with, and those spoken here.
#[must_use]
pub fn version_reply(asked: &str) -> Value {
    json!({ "cniVersion": asked, "supportedVersions": Version::ALL.map(Version::as_str) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &Value) -> Result<Version, String> {
        let object: Map<String, Value> =
            serde_json::from_value(json!({ "cniVersion": value })).unwrap();
        Version::of(&object).map_err(|e| e.to_string())
    }

    #[test]
    fn each_version_is_known_by_its_text() {
        for version in Version::ALL {
            assert_eq!(of(&json!(version.as_str())), Ok(version));
        }
        assert_eq!(Version::ALL.last(), Some(&Version::NEWEST));
        assert!(Version::ALL.is_sorted());
    }

    #[test]
    fn any_other_is_refused_by_name() {
        let table = [
            (json!("0.2.0"), "\"0.2.0\""),
            (json!("1.1"), "\"1.1\""),
            (json!("2.0.0"), "\"2.0.0\""),
            (json!(""), "\"\", which means 0.1.0"),
            (json!(null), "nothing, which means 0.1.0"),
            (json!(1), "no text"),
        ];
        for (value, shown) in table {
            let message = format!(
                "`cniVersion` is {shown}, expected one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"
            );
            assert_eq!(of(&value), Err(message));
        }
    }

    #[test]
    fn the_answer_to_version_lists_them() {
        let reply = json!({
            "cniVersion": "0.4.0",
            "supportedVersions": ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"],
        });
        assert_eq!(version_reply("0.4.0"), reply);
    }
}
