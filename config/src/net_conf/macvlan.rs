//! The keys of kind `macvlan`, which are the reference plugin's and some more.

use linkspan_types::{MacAddr, MacvlanMode};

use super::ipam::IpamConf;
use super::mac::MacChoice;
use super::parent::ParentConf;
use super::sources::Sources;
use crate::Invalid;
use crate::fields::Fields;

/// What an attachment of kind `macvlan` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacvlanConf {
    /// What the link rides on.
    pub parent: ParentConf,
    /// How it shares its parent.
    pub sharing: MacvlanSharing,
    /// The MAC of the link.
    pub mac: MacChoice,
}

/// How a macvlan or macvtap link shares its parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MacvlanSharing {
    /// The mode.
    pub mode: MacvlanMode,
    /// In mode `source`, the MACs whose frames are taken, at most 1024; empty in all others.
    pub sources: Vec<MacAddr>,
    /// How many broadcast frames may wait for the children of the parent (`bcqueuelen`); none leaves
    /// it to the kernel.
    pub broadcast_queue: Option<u32>,
}

/// A netlink attribute holds 65535 bytes, and each MAC takes 12 of them; a pod that listens to more
/// than this many senders wants another mode.
const MAX_SOURCES: usize = 1024;

impl MacvlanConf {
    pub(super) fn parse(sources: &Sources<'_>, ipam: &IpamConf) -> Result<Self, Invalid> {
        Ok(Self {
            parent: ParentConf::parse(sources)?,
            sharing: MacvlanSharing::parse(&sources.root)?,
            mac: MacChoice::parse(sources, ipam)?,
        })
    }
}

impl MacvlanSharing {
    pub(super) fn parse(root: &Fields<'_>) -> Result<Self, Invalid> {
        const QUEUE: &str = "a number of frames from 0 to 4294967295, 0 for the kernel's own";
        let mode = root.parsed("mode", MacvlanMode::EXPECTED)?.unwrap_or_default();
        Ok(Self {
            mode,
            sources: parse_sources(root, mode)?,
            broadcast_queue: root.number::<u32, u32>("bcqueuelen", QUEUE)?.filter(|n| *n != 0),
        })
    }
}

fn parse_sources(root: &Fields<'_>, mode: MacvlanMode) -> Result<Vec<MacAddr>, Invalid> {
    const KEY: &str = "sourceMacs";
    const ONE: &str = "the MAC address of a sender, such as \"02:00:00:00:00:01\"";
    let assignable = |text: &str| text.parse().ok().filter(|mac: &MacAddr| mac.is_assignable());
    let macs = root.each(KEY, ONE, assignable)?;
    match mode {
        MacvlanMode::Source if macs.is_empty() => {
            let expected = "a list of one or more MAC addresses where `mode` is \"source\"";
            Err(root.invalid(KEY, expected).advise("List those whose frames the pod is to get"))
        }
        MacvlanMode::Source if macs.len() > MAX_SOURCES => {
            Err(root.invalid(KEY, format!("at most {MAX_SOURCES} MAC addresses")))
        }
        MacvlanMode::Source => Ok(macs),
        _ if macs.is_empty() => Ok(macs),
        _ => Err(root
            .invalid(KEY, "no such key where `mode` is not \"source\"")
            .advise("Set `mode` to \"source\", or remove `sourceMacs`")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{kind_of, refused};
    use super::*;
    use crate::net_conf::KindConf;
    use serde_json::{Value, json};

    fn native() -> Value {
        json!({"type": "linkspan", "kind": "macvlan"})
    }

    fn sharing(keys: Value) -> MacvlanSharing {
        match kind_of(&native(), keys).unwrap() {
            KindConf::Macvlan(conf) => conf.sharing,
            other => panic!("another kind: {other:?}"),
        }
    }

    #[test]
    fn the_peer_s_configuration_is_read_unchanged() {
        let keys = json!({
            "type": "macvlan", "master": "eth0", "mode": "vepa", "mtu": 1400, "mac": "02:00:00:00:00:0A",
            "linkInContainer": true, "bcqueuelen": 2000, "ipam": {"type": "dhcp"}, "ipMasq": false,
        });
        let expected = MacvlanConf {
            parent: ParentConf {
                link: super::super::ParentLink::Named("eth0".parse().unwrap()),
                in_container: true,
                vlan: None,
                mtu: 1400.try_into().ok(),
            },
            sharing: MacvlanSharing {
                mode: MacvlanMode::Vepa,
                sources: Vec::new(),
                broadcast_queue: Some(2000),
            },
            mac: MacChoice::This("02:00:00:00:00:0a".parse().unwrap()),
        };
        assert_eq!(kind_of(&keys, json!({})), Ok(KindConf::Macvlan(expected)));
    }

    #[test]
    fn every_mode_is_known_and_bridge_is_the_one_that_is_not_written() {
        assert_eq!(sharing(json!({"bcqueuelen": 0})), MacvlanSharing::default());
        for mode in
            [MacvlanMode::Bridge, MacvlanMode::Private, MacvlanMode::Vepa, MacvlanMode::Passthru]
        {
            assert_eq!(sharing(json!({"mode": mode.to_string(), "sourceMacs": []})).mode, mode);
        }
        let source = sharing(
            json!({"mode": "source", "sourceMacs": ["02:00:00:00:00:01", "02-00-00-00-00-02"]}),
        );
        let macs: Vec<String> = source.sources.iter().map(ToString::to_string).collect();
        assert_eq!(
            (source.mode, macs),
            (MacvlanMode::Source, vec!["02:00:00:00:00:01".into(), "02:00:00:00:00:02".into()])
        );
    }

    #[test]
    fn what_is_refused() {
        const NONE: &str =
            "expected a list of one or more MAC addresses where `mode` is \"source\"";
        const LIST: &str = "List those whose frames the pod is to get";
        refused(
            &native(),
            [
                (
                    json!({"mode": "Bridge"}),
                    "`mode` is \"Bridge\", expected a macvlan mode: bridge, private, vepa, passthru or source",
                    "",
                ),
                (
                    json!({"mode": 1}),
                    "`mode` is 1, expected a macvlan mode: bridge, private, vepa, passthru or source",
                    "",
                ),
                (
                    json!({"bcqueuelen": -1}),
                    "`bcqueuelen` is -1, expected a number of frames from 0 to 4294967295, 0 for the kernel's own",
                    "",
                ),
                (
                    json!({"sourceMacs": ["02:00:00:00:00:01"]}),
                    "`sourceMacs` is [\"02:00:00:00:00:01\"], expected no such key where `mode` is not \"source\"",
                    "Set `mode` to \"source\", or remove `sourceMacs`",
                ),
                (
                    json!({"mode": "source", "sourceMacs": "02:00:00:00:00:01"}),
                    "`sourceMacs` is \"02:00:00:00:00:01\", expected a list, each entry the MAC address of a sender, such as \"02:00:00:00:00:01\"",
                    "",
                ),
                (
                    json!({"mode": "source", "sourceMacs": ["02:00:00:00:00:01", "01:00:5e:00:00:01"]}),
                    "`sourceMacs[1]` is \"01:00:5e:00:00:01\", expected the MAC address of a sender, such as \"02:00:00:00:00:01\"",
                    "",
                ),
            ],
        );
        for (keys, shown) in [
            (json!({"mode": "source"}), "nothing"),
            (json!({"mode": "source", "sourceMacs": []}), "[]"),
        ] {
            let error = kind_of(&native(), keys).unwrap_err();
            assert_eq!(error.to_string(), format!("`sourceMacs` is {shown}, {NONE}"));
            assert_eq!(error.advice.as_deref(), Some(LIST));
        }
        let many =
            |count| json!({"mode": "source", "sourceMacs": vec!["02:00:00:00:00:01"; count]});
        assert_eq!(sharing(many(1024)).sources.len(), 1024);
        let error = kind_of(&native(), many(1025)).unwrap_err();
        assert!(error.to_string().ends_with("expected at most 1024 MAC addresses"), "{error}");
    }
}
