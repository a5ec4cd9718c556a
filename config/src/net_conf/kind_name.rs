//! Which kind of attachment a configuration is for, and in whose style it is written.

use std::fmt;
use std::str::FromStr;

use linkspan_types::ParseError;

use crate::Invalid;
use crate::fields::Fields;
use crate::names::parse_error;

/// The kinds of attachment. Each has the name of the peer whose configuration it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KindName {
    /// A virtual function.
    Sriov,
    /// A macvlan child of a host link.
    Macvlan,
    /// An ipvlan child of a host link.
    Ipvlan,
    /// A macvtap child of a host link.
    Macvtap,
}

impl KindName {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Sriov, Self::Macvlan, Self::Ipvlan, Self::Macvtap];
    /// What was expected where a text is none of them, as the end of a sentence.
    pub const EXPECTED: &str = "\"sriov\", \"macvlan\", \"ipvlan\" or \"macvtap\"";
}

impl FromStr for KindName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.to_string() == text)
            .ok_or_else(|| parse_error(text, Self::EXPECTED))
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sriov => "sriov",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
            Self::Macvtap => "macvtap",
        })
    }
}

/// The kind of a configuration, and who it was written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) kind: KindName,
    /// It names us, or a kind: then no key is passed over that a peer would not know.
    pub(super) native: bool,
}

impl Chosen {
    /// The kind is that of the peer's name under which the plugin is called; else that of `kind`,
    /// else that of `type`.
    pub(super) fn of(root: &Fields<'_>, called_as: Option<KindName>) -> Result<Self, Invalid> {
        const TYPE: &str = "\"linkspan\", \"sriov\", \"macvlan\", \"ipvlan\" or \"macvtap\"";
        let type_text = root.text("type", TYPE)?;
        let native_type = type_text == Some("linkspan");
        let typed = type_text.and_then(|text| text.parse::<KindName>().ok());
        let named = root.parsed::<KindName>("kind", KindName::EXPECTED)?;
        let native = native_type || named.is_some();
        let kind = match (called_as.or(typed), named) {
            (Some(one), Some(other)) if one != other => {
                let expected = match called_as {
                    Some(_) => format!("\"{one}\", the name under which the plugin is called"),
                    None => format!("\"{one}\", as `type` is"),
                };
                let advice = "Remove `kind`, or set `type` to \"linkspan\"";
                return Err(root.invalid("kind", expected).advise(advice));
            }
            (Some(kind), _) | (None, Some(kind)) => kind,
            (None, None) if native_type => {
                let advice = "Set `kind` to what pods are to get";
                return Err(root.invalid("kind", KindName::EXPECTED).advise(advice));
            }
            (None, None) => return Err(root.invalid("type", TYPE)),
        };
        Ok(Self { kind, native })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value, json};

    fn choose(config: Value, called_as: &str) -> Result<(String, bool), Invalid> {
        let config: Map<String, Value> = serde_json::from_value(config).unwrap();
        let chosen = Chosen::of(&Fields::unchecked(&config, ""), called_as.parse().ok())?;
        Ok((chosen.kind.to_string(), chosen.native))
    }

    #[test]
    fn the_name_called_by_says_the_kind_then_the_key_then_the_type() {
        let table = [
            (json!({"type": "sriov"}), "", ("sriov", false)),
            (json!({"type": "macvtap"}), "", ("macvtap", false)),
            (json!({"type": "linkspan", "kind": "ipvlan"}), "", ("ipvlan", true)),
            (json!({"type": "linkspan-next", "kind": "ipvlan"}), "", ("ipvlan", true)),
            (json!({"type": "macvlan", "kind": "macvlan"}), "", ("macvlan", true)),
            (json!({"type": "macvlan"}), "macvlan", ("macvlan", false)),
            (json!({"type": "macvlan", "kind": "macvlan"}), "macvlan", ("macvlan", true)),
            (json!({"type": "linkspan"}), "macvlan", ("macvlan", true)),
            (json!({}), "sriov", ("sriov", false)),
        ];
        for (config, called_as, (kind, native)) in table {
            assert_eq!(choose(config, called_as).unwrap(), (kind.to_owned(), native));
        }
    }

    #[test]
    fn what_is_refused() {
        let table = [
            (
                json!({"type": "linkspan"}),
                "",
                "`kind` is nothing, expected \"sriov\", \"macvlan\", \"ipvlan\" or \"macvtap\"",
                "Set `kind` to what pods are to get",
            ),
            (
                json!({"type": "linkspan", "kind": "bridge"}),
                "",
                "`kind` is \"bridge\", expected \"sriov\", \"macvlan\", \"ipvlan\" or \"macvtap\"",
                "",
            ),
            (
                json!({"type": "linkspan", "kind": 1}),
                "",
                "`kind` is 1, expected \"sriov\", \"macvlan\", \"ipvlan\" or \"macvtap\"",
                "",
            ),
            (
                json!({"type": "sriov", "kind": "macvlan"}),
                "",
                "`kind` is \"macvlan\", expected \"sriov\", as `type` is",
                "Remove `kind`, or set `type` to \"linkspan\"",
            ),
            (
                json!({"type": "sriov", "kind": "macvlan"}),
                "sriov",
                "`kind` is \"macvlan\", expected \"sriov\", the name under which the plugin is called",
                "Remove `kind`, or set `type` to \"linkspan\"",
            ),
            (
                json!({"type": "bridge"}),
                "",
                "`type` is \"bridge\", expected \"linkspan\", \"sriov\", \"macvlan\", \"ipvlan\" or \"macvtap\"",
                "",
            ),
            (
                json!({"type": ""}),
                "",
                "`type` is \"\", expected \"linkspan\", \"sriov\", \"macvlan\", \"ipvlan\" or \"macvtap\"",
                "",
            ),
        ];
        for (config, called_as, message, advice) in table {
            let error = choose(config, called_as).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert_eq!(error.advice.unwrap_or_default(), advice);
        }
    }
}
