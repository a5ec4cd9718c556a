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

#[cfg(test)]
mod tests {
    use super::super::testing::{kind_of, kind_with, refused};
    use super::*;
    use crate::net_conf::{KindConf, RuntimeInputs};
    use serde_json::json;

    fn native() -> Value {
        json!({"type": "linkspan", "kind": "ipvlan"})
    }

    fn ipvlan(base: &Value, keys: Value) -> IpvlanConf {
        match kind_of(base, keys).unwrap() {
            KindConf::Ipvlan(conf) => conf,
            other => panic!("another kind: {other:?}"),
        }
    }

    #[test]
    fn the_peer_s_configuration_is_read_unchanged() {
        let keys = json!({
            "master": "eth0", "mode": "l3s", "mtu": 1400, "linkInContainer": false,
            "ipam": {"type": "host-local", "subnet": "10.1.2.0/24"},
        });
        let expected = IpvlanConf {
            parent: ParentConf {
                link: ParentLink::Named("eth0".parse().unwrap()),
                in_container: false,
                vlan: None,
                mtu: 1400.try_into().ok(),
            },
            mode: IpvlanMode::L3s,
            flag: IpvlanFlag::Bridge,
        };
        assert_eq!(ipvlan(&json!({"type": "ipvlan"}), keys), expected);
    }

    #[test]
    fn modes_and_flags_have_their_kernel_s_names() {
        let conf = ipvlan(&native(), json!({}));
        assert_eq!((conf.mode, conf.flag), (IpvlanMode::L2, IpvlanFlag::Bridge));
        for flag in [IpvlanFlag::Bridge, IpvlanFlag::Private, IpvlanFlag::Vepa] {
            assert_eq!(ipvlan(&native(), json!({"flag": flag.to_string()})).flag, flag);
        }
        for mode in [IpvlanMode::L2, IpvlanMode::L3, IpvlanMode::L3s] {
            assert_eq!(ipvlan(&native(), json!({"mode": mode.to_string()})).mode, mode);
        }
    }

    #[test]
    fn in_a_chain_the_only_interface_is_the_parent() {
        let before = json!({"prevResult": {"interfaces": [{"name": "eth7"}]}});
        let conf = ipvlan(&json!({"type": "ipvlan"}), before.clone());
        assert_eq!(conf.parent.link, ParentLink::Named("eth7".parse().unwrap()));
        let named = json!({"type": "ipvlan", "master": "eth0"});
        let conf = ipvlan(&named, before);
        assert_eq!(conf.parent.link, ParentLink::Named("eth0".parse().unwrap()));
    }

    #[test]
    fn what_is_refused() {
        const MAC: &str = "02:00:00:00:00:01";
        refused(
            &native(),
            [
                (
                    json!({"mode": "L2"}),
                    "`mode` is \"L2\", expected an ipvlan mode: l2, l3 or l3s",
                    "",
                ),
                (
                    json!({"flag": "bridged"}),
                    "`flag` is \"bridged\", expected an ipvlan flag: bridge, private or vepa",
                    "",
                ),
                (
                    json!({"mac": MAC}),
                    "`mac` is \"02:00:00:00:00:01\", expected no such key: an ipvlan link has the MAC of its parent",
                    "Remove `mac`, or use kind macvlan, whose links have MACs of their own",
                ),
                (
                    json!({"macFrom": "ip"}),
                    "`macFrom` is \"ip\", expected no such key: an ipvlan link has the MAC of its parent",
                    "Remove `macFrom`, or use kind macvlan, whose links have MACs of their own",
                ),
                (
                    json!({"runtimeConfig": {"mac": MAC}}),
                    "`runtimeConfig.mac` is \"02:00:00:00:00:01\", expected no such key: an ipvlan link has the MAC of its parent",
                    "Remove `runtimeConfig.mac`, or use kind macvlan, whose links have MACs of their own",
                ),
                (
                    json!({"prevResult": {"interfaces": []}}),
                    "`prevResult.interfaces` is [], expected a single interface, which is the parent where `parent` is not set",
                    "Set `parent`",
                ),
                (
                    json!({"prevResult": {}}),
                    "`prevResult.interfaces` is nothing, expected a single interface, which is the parent where `parent` is not set",
                    "Set `parent`",
                ),
                (
                    json!({"prevResult": {"interfaces": [{"name": "a"}, {"name": "b"}]}}),
                    "`prevResult.interfaces` is [{\"name\":\"a\"},{\"name\":\"b\"}], expected a single interface, which is the parent where `parent` is not set",
                    "Set `parent`",
                ),
            ],
        );
        let inputs = RuntimeInputs { mac: MAC.parse().ok(), ..Default::default() };
        let error = kind_with(&native(), json!({}), &inputs).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`CNI_ARGS MAC` is \"02:00:00:00:00:01\", expected no such key: an ipvlan link has the MAC of its parent"
        );
    }
}
