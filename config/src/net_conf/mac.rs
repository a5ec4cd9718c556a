//! The MAC of an attachment: the runtime's wins over that of `CNI_ARGS`, and both over the
//! configuration's.

use linkspan_types::MacAddr;

use super::ipam::IpamConf;
use super::sources::Sources;
use crate::Invalid;
use crate::fields::Fields;

/// Which MAC a child is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacChoice {
    /// Any: a random one.
    Any,
    /// This one; an interface can have it.
    This(MacAddr),
    /// One that is made of the attachment's first address, the same on every node.
    FromIp,
}

impl MacChoice {
    pub(super) fn parse(sources: &Sources<'_>, ipam: &IpamConf) -> Result<Self, Invalid> {
        const EXPECTED: &str = "\"ip\"";
        let root = &sources.root;
        let fixed = fixed(sources)?;
        match root.text("macFrom", EXPECTED)? {
            None => return Ok(fixed.map_or(Self::Any, Self::This)),
            Some("ip") => {}
            Some(_) => return Err(root.invalid("macFrom", EXPECTED)),
        }
        if root.is_set("mac") {
            let error = root.invalid("macFrom", "no such key where `mac` is set");
            return Err(error.advise("Remove one of the two"));
        }
        if !gives_before_the_link_is_made(ipam) {
            return Err(root
                .invalid("macFrom", "no such key where no address is known before the link is made")
                .advise("Set `ipam` to host-local or static, or remove `macFrom`"));
        }
        Ok(fixed.map_or(Self::FromIp, Self::This))
    }
}

/// The MAC that is asked for. All are checked, so that a wrong one is not found only when a better one
/// is gone.
pub(super) fn fixed(sources: &Sources<'_>) -> Result<Option<MacAddr>, Invalid> {
    let configured = assignable(&sources.root)?;
    Ok(assignable(&sources.runtime)?.or(sources.inputs.mac).or(configured))
}

fn assignable(place: &Fields<'_>) -> Result<Option<MacAddr>, Invalid> {
    const EXPECTED: &str = "a MAC address such as 02:00:00:00:00:01";
    const ASSIGNABLE: &str = "a MAC address that an interface can have: neither zero nor multicast";
    match place.parsed::<MacAddr>("mac", EXPECTED)? {
        Some(mac) if !mac.is_assignable() => Err(place.invalid("mac", ASSIGNABLE)),
        mac => Ok(mac),
    }
}

/// A DHCP server answers to a link's MAC, so there is no address of its before there is a link.
fn gives_before_the_link_is_made(ipam: &IpamConf) -> bool {
    match ipam {
        IpamConf::None | IpamConf::Dhcp(_) => false,
        IpamConf::HostLocal(_) | IpamConf::Delegate(_) => true,
        IpamConf::Static(conf) => !conf.addresses.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{kind_with, refused};
    use super::*;
    use crate::net_conf::{KindConf, RuntimeInputs};
    use serde_json::{Value, json};

    fn native() -> Value {
        json!({"type": "linkspan", "kind": "macvlan"})
    }

    fn mac(last: u8) -> MacChoice {
        MacChoice::This(MacAddr([2, 0, 0, 0, 0, last]))
    }

    fn choice(keys: Value, inputs: &RuntimeInputs) -> MacChoice {
        match kind_with(&native(), keys, inputs).unwrap() {
            KindConf::Macvlan(conf) => conf.mac,
            other => panic!("another kind: {other:?}"),
        }
    }

    #[test]
    fn the_runtimes_wins_then_that_of_the_environment_then_the_configurations() {
        let inputs = RuntimeInputs { mac: "02:00:00:00:00:02".parse().ok(), ..Default::default() };
        let none = RuntimeInputs::default();
        let own = json!("02:00:00:00:00:03");
        let runtime = json!({"mac": "02:00:00:00:00:01"});
        let ipam = json!({"type": "host-local", "subnet": "10.1.2.0/24"});
        let from_ip = json!({"macFrom": "ip", "ipam": ipam});
        let all = json!({"macFrom": "ip", "ipam": ipam, "runtimeConfig": runtime});
        let table = [
            (json!({"mac": own, "runtimeConfig": runtime}), &inputs, mac(1)),
            (json!({"mac": own}), &inputs, mac(2)),
            (json!({"mac": own}), &none, mac(3)),
            (json!({}), &none, MacChoice::Any),
            (json!({"mac": "", "macFrom": ""}), &none, MacChoice::Any),
            (all, &none, mac(1)),
            (from_ip.clone(), &inputs, mac(2)),
            (from_ip, &none, MacChoice::FromIp),
            (json!({"macFrom": "ip", "ipam": {"type": "whereabouts"}}), &none, MacChoice::FromIp),
            (
                json!({"macFrom": "ip", "ipam": {"type": "static"}, "args": {"cni": {"ips": ["10.1.2.3/24"]}}}),
                &none,
                MacChoice::FromIp,
            ),
        ];
        for (keys, inputs, expected) in table {
            assert_eq!(choice(keys.clone(), inputs), expected, "{keys}");
        }
    }

    #[test]
    fn what_is_refused() {
        const EARLY: &str = "`macFrom` is \"ip\", expected no such key where no address is known before the link is made";
        const ADVICE: &str = "Set `ipam` to host-local or static, or remove `macFrom`";
        const ASSIGNABLE: &str = "`mac` is \"ff:ff:ff:ff:ff:ff\", expected a MAC address that an interface can have: neither zero nor multicast";
        refused(
            &native(),
            [
                (json!({"macFrom": "ip"}), EARLY, ADVICE),
                (json!({"macFrom": "ip", "ipam": {}}), EARLY, ADVICE),
                (json!({"macFrom": "ip", "ipam": {"type": "dhcp"}}), EARLY, ADVICE),
                (json!({"macFrom": "ip", "ipam": {"type": "static"}}), EARLY, ADVICE),
                (json!({"macFrom": "name"}), "`macFrom` is \"name\", expected \"ip\"", ""),
                (json!({"macFrom": true}), "`macFrom` is true, expected \"ip\"", ""),
                (
                    json!({"macFrom": "ip", "mac": "02:00:00:00:00:01", "ipam": {"type": "x"}}),
                    "`macFrom` is \"ip\", expected no such key where `mac` is set",
                    "Remove one of the two",
                ),
                (
                    json!({"mac": "02:00"}),
                    "`mac` is \"02:00\", expected a MAC address such as 02:00:00:00:00:01",
                    "",
                ),
                (json!({"mac": "ff:ff:ff:ff:ff:ff"}), ASSIGNABLE, ""),
                (
                    json!({"runtimeConfig": {"mac": 1}, "mac": "02:00:00:00:00:01"}),
                    "`runtimeConfig.mac` is 1, expected a MAC address such as 02:00:00:00:00:01",
                    "",
                ),
            ],
        );
    }
}
