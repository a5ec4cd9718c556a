//! How a call fails: one error in three parts (what kind, what was wrong, what to do next), as the
//! JSON object that runtimes read.

use linkspan_config::Invalid;
use serde_json::{Value, json};

use super::version::Version;

/// The kind of an error: 1 to 99 are the spec's (section 5, "Error"), from 100 up they are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The configuration's `cniVersion` is not spoken here, or is too old for the verb.
    IncompatibleVersion,
    /// A key of the configuration is not supported; the message names it.
    UnsupportedField,
    /// The container is not known or does not exist; DEL need not be tried again.
    UnknownContainer,
    /// A variable of the environment is missing or wrong; the message names it.
    InvalidEnvironment,
    /// A file or a socket failed.
    Io,
    /// What came in is not the JSON it should be.
    Decode,
    /// The configuration says something that can't be.
    InvalidConfig,
    /// It may work if the runtime tries again.
    TryAgain,
    /// STATUS: no attachment can be made now.
    NotAvailable,
    /// STATUS: no attachment can be made now, and those there are may be cut off.
    LimitedConnectivity,
    /// The kernel refused a change; the message has its words.
    KernelRefused,
    /// The device belongs to another attachment; the message names it.
    DeviceHeld,
    /// Every address of a set of ranges is taken.
    RangeExhausted,
    /// The device is not there, or is no virtual function.
    NoSuchDevice,
    /// The address that was asked for belongs to another attachment; the message names it.
    AddressHeld,
    /// CHECK: the attachment is not as ADD has left it.
    NotAsAttached,
    /// Another plugin failed, and did not say why as the spec has it.
    DelegateFailed,
    /// What another plugin has given as its code. From 100 up, each plugin has its own.
    Foreign(u32),
}

impl Code {
    /// The number in the JSON object.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::IncompatibleVersion => 1,
            Self::UnsupportedField => 2,
            Self::UnknownContainer => 3,
            Self::InvalidEnvironment => 4,
            Self::Io => 5,
            Self::Decode => 6,
            Self::InvalidConfig => 7,
            Self::TryAgain => 11,
            Self::NotAvailable => 50,
            Self::LimitedConnectivity => 51,
            Self::KernelRefused => 100,
            Self::DeviceHeld => 101,
            Self::RangeExhausted => 102,
            Self::NoSuchDevice => 103,
            Self::AddressHeld => 104,
            Self::NotAsAttached => 105,
            Self::DelegateFailed => 106,
            Self::Foreign(number) => number,
        }
    }
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{msg}")]
pub struct CniError {
    /// The kind.
    pub code: Code,
    /// What was wrong, and what was expected instead.
    pub msg: String,
    /// What to do next; empty where `msg` says it all.
    pub details: String,
}

impl CniError {
    /// An error of these three parts.
    #[must_use]
    pub fn new(code: Code, msg: impl Into<String>, details: impl Into<String>) -> Self {
        Self { code, msg: msg.into(), details: details.into() }
    }

    /// An error whose message is that of `cause` and of all that is behind it, joined by colons.
    #[must_use]
    pub fn caused_by(
        code: Code,
        cause: &dyn std::error::Error,
        details: impl Into<String>,
    ) -> Self {
        Self::new(code, in_full(cause), details)
    }

    /// The object for standard output.
    #[must_use]
    pub fn to_json(&self, version: Version) -> Value {
        let Self { code, msg, details } = self;
        let mut object =
            json!({ "cniVersion": version.as_str(), "code": code.number(), "msg": msg });
        if !details.is_empty() {
            object["details"] = json!(details);
        }
        object
    }
}

/// An error and all that is behind it, joined by colons.
#[must_use]
pub fn in_full(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl From<Invalid> for CniError {
    fn from(invalid: Invalid) -> Self {
        let details = invalid.advice.clone().unwrap_or_default();
        Self::new(Code::InvalidConfig, invalid.to_string(), details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_specs_and_then_ours() {
        let table = [
            (Code::IncompatibleVersion, 1),
            (Code::UnsupportedField, 2),
            (Code::UnknownContainer, 3),
            (Code::InvalidEnvironment, 4),
            (Code::Io, 5),
            (Code::Decode, 6),
            (Code::InvalidConfig, 7),
            (Code::TryAgain, 11),
            (Code::NotAvailable, 50),
            (Code::LimitedConnectivity, 51),
            (Code::KernelRefused, 100),
            (Code::DeviceHeld, 101),
            (Code::RangeExhausted, 102),
            (Code::NoSuchDevice, 103),
            (Code::AddressHeld, 104),
            (Code::NotAsAttached, 105),
            (Code::DelegateFailed, 106),
            (Code::Foreign(999), 999),
        ];
        for (code, number) in table {
            assert_eq!(code.number(), number);
        }
    }

    #[test]
    fn an_invalid_configuration_keeps_its_three_parts() {
        let invalid = Invalid {
            key: "vlan".to_owned(),
            value: "\"1\"".to_owned(),
            expected: "a VLAN ID from 0 to 4094".to_owned(),
            advice: Some("Write the number without quotes".to_owned()),
        };
        let object = json!({
            "cniVersion": "0.4.0",
            "code": 7,
            "msg": "`vlan` is \"1\", expected a VLAN ID from 0 to 4094",
            "details": "Write the number without quotes",
        });
        assert_eq!(CniError::from(invalid).to_json(Version::V0_4_0), object);
    }
}
