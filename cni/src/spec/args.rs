//! `CNI_ARGS`: what the user or the runtime asks for one attachment, as `KEY=VALUE;KEY=VALUE`.

use std::net::IpAddr;
use std::str::FromStr;

use linkspan_config::near_miss;
use linkspan_config::net_conf::{RequestedIp, RuntimeInputs};
use linkspan_types::MacAddr;

use super::call_error::CallError;

/// What `CNI_ARGS` asks for, each value checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CniArgs {
    /// The variable's text, for other plugins.
    pub text: String,
    /// `MAC`, one that an interface can have.
    pub mac: Option<MacAddr>,
    /// `IP`: one or more addresses, joined by commas.
    pub ips: Vec<RequestedIp>,
    /// `GATEWAY`: the same without prefix lengths.
    pub gateways: Vec<IpAddr>,
    /// `K8S_POD_NAMESPACE`.
    pub pod_namespace: Option<String>,
    /// `K8S_POD_NAME`.
    pub pod_name: Option<String>,
    /// `K8S_POD_UID`.
    pub pod_uid: Option<String>,
}

const NAME: &str = "CNI_ARGS";
const KNOWN: &[&str] = &[
    "MAC",
    "IP",
    "GATEWAY",
    "IgnoreUnknown",
    "K8S_POD_NAMESPACE",
    "K8S_POD_NAME",
    "K8S_POD_UID",
    "K8S_POD_INFRA_CONTAINER_ID",
];

impl CniArgs {
    /// Reads the variable's text; empty is no argument. A key that is not known is an error unless
    /// `IgnoreUnknown` is `1` or `true`, as in the reference plugins.
    pub fn parse(text: &str) -> Result<Self, CallError> {
        let mut args = Self { text: text.to_owned(), ..Self::default() };
        let mut ignore_unknown = false;
        let mut unknown = None;
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(invalid(NAME, pair, "KEY=VALUE pairs joined by ';'", ""));
            };
            match key {
                "MAC" => args.mac = Some(parse_mac(value)?),
                "IP" => args.ips = parse_ips(value)?,
                "GATEWAY" => args.gateways = parse_gateways(value)?,
                "IgnoreUnknown" => ignore_unknown = parse_bool(value)?,
                "K8S_POD_NAMESPACE" => args.pod_namespace = Some(value.to_owned()),
                "K8S_POD_NAME" => args.pod_name = Some(value.to_owned()),
                "K8S_POD_UID" => args.pod_uid = Some(value.to_owned()),
                _ if key.starts_with("K8S_POD_") => {}
                _ => unknown = unknown.or(Some(key)),
            }
        }
        match unknown {
            Some(key) if !ignore_unknown => Err(unknown_key(key)),
            _ => Ok(args),
        }
    }

    /// The pod's name, as people write it: `namespace/name`.
    #[must_use]
    pub fn pod(&self) -> Option<String> {
        let (namespace, name) = (self.pod_namespace.as_ref()?, self.pod_name.as_ref()?);
        Some(format!("{namespace}/{name}"))
    }

    /// The part that decides what a configuration comes to.
    #[must_use]
    pub fn runtime_inputs(&self) -> RuntimeInputs {
        RuntimeInputs { mac: self.mac, ips: self.ips.clone(), gateways: self.gateways.clone() }
    }
}

fn invalid(name: &'static str, value: &str, expected: &str, advice: &str) -> CallError {
    CallError::InvalidEnvironment {
        name,
        value: value.chars().take(64).collect(),
        expected: expected.to_owned(),
        advice: advice.to_owned(),
    }
}

fn unknown_key(key: &str) -> CallError {
    let other_case = KNOWN.iter().copied().find(|known| known.eq_ignore_ascii_case(key));
    let advice = match other_case.or_else(|| near_miss(key, KNOWN)) {
        Some(meant) => format!("Write {meant} if that is what {key} means"),
        None => "Remove it, or add IgnoreUnknown=1".to_owned(),
    };
    invalid(
        NAME,
        key,
        &format!("one of {} or any key beside IgnoreUnknown=1", KNOWN.join(", ")),
        &advice,
    )
}

fn parse_mac(value: &str) -> Result<MacAddr, CallError> {
    let expected = "a MAC address that an interface can have, such as 02:00:00:00:00:01";
    let mac = value.parse().ok().filter(|mac: &MacAddr| mac.is_assignable());
    mac.ok_or_else(|| invalid("CNI_ARGS MAC", value, expected, ""))
}

fn parse_ips(value: &str) -> Result<Vec<RequestedIp>, CallError> {
    let expected = "IP addresses joined by ',', each with or without a prefix length";
    parse_all(value).ok_or_else(|| invalid("CNI_ARGS IP", value, expected, ""))
}

fn parse_gateways(value: &str) -> Result<Vec<IpAddr>, CallError> {
    let expected = "IP addresses joined by ',', without prefix lengths";
    let all: Option<Vec<IpAddr>> = parse_all(value);
    let all = all.ok_or_else(|| invalid("CNI_ARGS GATEWAY", value, expected, ""))?;
    Ok(all.iter().map(IpAddr::to_canonical).collect())
}

/// The parts between the commas; nothing if one of them makes no sense.
fn parse_all<T: FromStr>(value: &str) -> Option<Vec<T>> {
    value.split(',').filter(|text| !text.is_empty()).map(|text| text.trim().parse().ok()).collect()
}

fn parse_bool(value: &str) -> Result<bool, CallError> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(invalid("CNI_ARGS IgnoreUnknown", value, "1, true, 0 or false", "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_runtimes_pass_is_taken() {
        let multus = "IgnoreUnknown=true;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=pod;\
                      K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=1-2;MAC=02:00:00:00:00:0A;\
                      IP=10.1.2.3/24,fd00::3;GATEWAY=10.1.2.1, fd00::1;NEW=x=y";
        let args = CniArgs {
            text: multus.to_owned(),
            mac: "02:00:00:00:00:0a".parse().ok(),
            ips: vec!["10.1.2.3/24".parse().unwrap(), "fd00::3".parse().unwrap()],
            gateways: vec!["10.1.2.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            pod_namespace: Some("ns".to_owned()),
            pod_name: Some("pod".to_owned()),
            pod_uid: Some("1-2".to_owned()),
        };
        assert_eq!(CniArgs::parse(multus).unwrap(), args);
        for text in ["", ";", "IP=;GATEWAY=", "K8S_POD_ANYTHING=1", "a=b;IgnoreUnknown=1"] {
            let nothing = CniArgs { text: text.to_owned(), ..CniArgs::default() };
            assert_eq!(CniArgs::parse(text).unwrap(), nothing);
        }
    }

    #[test]
    fn what_is_refused() {
        let one_of = "one of MAC, IP, GATEWAY, IgnoreUnknown, K8S_POD_NAMESPACE, K8S_POD_NAME, \
                      K8S_POD_UID, K8S_POD_INFRA_CONTAINER_ID or any key beside IgnoreUnknown=1";
        let mac = "a MAC address that an interface can have, such as 02:00:00:00:00:01";
        let table = [
            ("MAC", "CNI_ARGS is \"MAC\", expected KEY=VALUE pairs joined by ';'".to_owned()),
            ("MACC=1", format!("CNI_ARGS is \"MACC\", expected {one_of}")),
            ("mac=1", format!("CNI_ARGS is \"mac\", expected {one_of}")),
            ("a=b;IgnoreUnknown=0", format!("CNI_ARGS is \"a\", expected {one_of}")),
            ("MAC=02:00", format!("CNI_ARGS MAC is \"02:00\", expected {mac}")),
            (
                "MAC=ff:ff:ff:ff:ff:ff",
                format!("CNI_ARGS MAC is \"ff:ff:ff:ff:ff:ff\", expected {mac}"),
            ),
            (
                "IP=10.1.2",
                "CNI_ARGS IP is \"10.1.2\", expected IP addresses joined by ',', each with or \
                 without a prefix length"
                    .to_owned(),
            ),
            (
                "GATEWAY=10.1.2.1/24",
                "CNI_ARGS GATEWAY is \"10.1.2.1/24\", expected IP addresses joined by ',', without \
                 prefix lengths"
                    .to_owned(),
            ),
            (
                "IgnoreUnknown=yes",
                "CNI_ARGS IgnoreUnknown is \"yes\", expected 1, true, 0 or false".to_owned(),
            ),
        ];
        for (text, message) in table {
            assert_eq!(CniArgs::parse(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_near_miss_is_suggested() {
        for text in ["MACC=1", "mac=1"] {
            let CallError::InvalidEnvironment { advice, .. } = CniArgs::parse(text).unwrap_err()
            else {
                panic!("{text} fails in another way");
            };
            assert!(advice.starts_with("Write MAC if that is what"), "{advice}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = CniArgs::parse(&text);
        }
    }
}
