//! The keys of kind `ipvlan`, which are the reference plugin's and some more.

use linkspan_types::{IfName, IpvlanFlag, IpvlanMode};
use serde_json::Value;

use super::parent::{ParentConf, ParentLink};
use super::sources::Sources;
use crate::Invalid;
use crate::fields::Fields;

/// What an attachment of kind `ipvlan` asks for. Its MAC is its parent's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpvlanConf {
    /// What the link rides on.
    pub parent: ParentConf,
    /// How packets are passed.
    pub mode: IpvlanMode,
    /// Whether the children of the parent reach each other.
    pub flag: IpvlanFlag,
}

impl IpvlanConf {
    pub(super) fn parse(sources: &Sources<'_>) -> Result<Self, Invalid> {
        refuse_macs(sources)?;
        let root = &sources.root;
        let mut parent = ParentConf::parse(sources)?;
        if parent.link == ParentLink::DefaultRoute
            && let Some(result) = root.get("prevResult")
        {
            parent.link = ParentLink::Named(only_interface(result)?);
        }
        Ok(Self {
            parent,
            mode: root.parsed("mode", IpvlanMode::EXPECTED)?.unwrap_or_default(),
            flag: root.parsed("flag", IpvlanFlag::EXPECTED)?.unwrap_or_default(),
        })
    }
}

fn refuse_macs(sources: &Sources<'_>) -> Result<(), Invalid> {
    const EXPECTED: &str = "no such key: an ipvlan link has the MAC of its parent";
    let refuse = |place: &Fields<'_>, key| {
        let error = place.invalid(key, EXPECTED);
        let advice = "or use kind macvlan, whose links have MACs of their own";
        Err(error.advise(format!("Remove `{}`, {advice}", place.path_of(key))))
    };
    let places = [(&sources.root, "mac"), (&sources.root, "macFrom"), (&sources.runtime, "mac")];
    if let Some((place, key)) = places.into_iter().find(|(place, key)| place.is_set(key)) {
        return refuse(place, key);
    }
    match sources.inputs.mac {
        None => Ok(()),
        Some(mac) => {
            let shown = Value::from(mac.to_string());
            Err(Invalid::new("CNI_ARGS MAC", Some(&shown), EXPECTED))
        }
    }
}

/// The parent of a link in a chain that names none: the interface that the plugin before it has made.
fn only_interface(result: &Value) -> Result<IfName, Invalid> {
    const KEY: &str = "prevResult.interfaces";
    let interfaces = result.get("interfaces");
    let only = match interfaces.and_then(Value::as_array).map(Vec::as_slice) {
        Some([only]) => only.get("name").and_then(Value::as_str).and_then(|name| name.parse().ok()),
        _ => None,
    };
    only.ok_or_else(|| {
        let expected = "a single interface, which is the parent where `parent` is not set";
        Invalid::new(KEY, interfaces, expected).advise("Set `parent`")
    })
}
