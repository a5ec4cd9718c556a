//! What is done so that no two pods have one address.

use crate::Invalid;
use crate::fields::Fields;

/// How an attachment sees whether another host has its address already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// Whether ADD waits until the kernel's own detection (RFC 4862, section 5.4) is through with
    /// every IPv6 address (`dad: "wait"`). Else they can be used at once, and it goes on meanwhile
    /// (RFC 4429, `dad: "optimistic"`).
    pub wait_v6: bool,
    /// Whether ADD asks by ARP who has each IPv4 address (RFC 5227, `arpProbe`).
    pub probe_v4: bool,
}

impl Duplicates {
    pub(super) fn parse(root: &Fields<'_>) -> Result<Self, Invalid> {
        const DAD: &str = "\"optimistic\" or \"wait\"";
        let wait_v6 = match root.text("dad", DAD)? {
            None | Some("optimistic") => false,
            Some("wait") => true,
            Some(_) => return Err(root.invalid("dad", DAD)),
        };
        Ok(Self { wait_v6, probe_v4: root.boolean("arpProbe")? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{map, refused};
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_is_waited_for_unless_it_is_asked_for() {
        let parse = |keys| Duplicates::parse(&Fields::unchecked(&map(keys), "")).unwrap();
        assert_eq!(parse(json!({})), Duplicates { wait_v6: false, probe_v4: false });
        assert_eq!(parse(json!({"dad": "optimistic", "arpProbe": false})), Duplicates::default());
        assert_eq!(
            parse(json!({"dad": "wait", "arpProbe": true})),
            Duplicates { wait_v6: true, probe_v4: true }
        );
    }

    #[test]
    fn what_is_refused() {
        refused(
            &json!({"type": "macvlan"}),
            [
                (
                    json!({"dad": "off"}),
                    "`dad` is \"off\", expected \"optimistic\" or \"wait\"",
                    "",
                ),
                (json!({"dad": true}), "`dad` is true, expected \"optimistic\" or \"wait\"", ""),
                (json!({"arpProbe": 3}), "`arpProbe` is 3, expected true or false", ""),
            ],
        );
    }
}
