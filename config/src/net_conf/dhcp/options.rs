//! The DHCP options that are sent, and those that are asked for.

use serde_json::Value;

use crate::Invalid;
use crate::fields::Fields;

/// One option that is sent to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvidedOption {
    /// Its code, from 1 to 254.
    pub code: u8,
    /// What it has, 1 to 255 bytes; none where only the argument can tell.
    pub value: Option<Vec<u8>>,
    /// The key of `CNI_ARGS` whose value takes the place of the other, where it is there.
    pub argument: Option<String>,
}

/// What a server is asked for unless a request says `skipDefault`: mask, routes, name servers, names, MTU, time
/// servers, search list, and the lease's times. Classless routes come first, as RFC 3442 demands.
const DEFAULT_REQUEST: [u8; 14] = [1, 121, 249, 3, 33, 6, 12, 15, 26, 42, 119, 51, 58, 59];

const HOST_NAME: u8 = 12;
const PARAMETER_REQUEST_LIST: u8 = 55;
const VENDOR_CLASS: u8 = 60;
pub(super) const CLIENT_IDENTIFIER: u8 = 61;
const USER_CLASS: u8 = 77;

/// The names that the reference plugin has for some of them.
const NAMES: [(&str, u8); 6] = [
    ("dhcp-client-identifier", CLIENT_IDENTIFIER),
    ("subnet-mask", 1),
    ("routers", 3),
    ("host-name", HOST_NAME),
    ("user-class", USER_CLASS),
    ("vendor-class-identifier", VENDOR_CLASS),
];

/// The options of which a message of the protocol itself is made: the address asked for, how much longer a message
/// is, what kind of message it is, and for which server.
const OWN: [u8; 4] = [50, 52, 53, 54];

/// The keys of an entry of `provide`, and of `request`.
pub(in super::super) const PROVIDE_KEYS: &[&str] = &["option", "value", "fromArg"];
pub(in super::super) const REQUEST_KEYS: &[&str] = &["option", "skipDefault"];

/// What an option's length is written in: one byte.
const MOST_BYTES: usize = 255;

/// The options of `provide`, and those that have keys of their own.
pub(super) fn provided(ipam: &Fields<'_>) -> Result<Vec<ProvidedOption>, Invalid> {
    const LIST: &str =
        "a list such as [{\"option\": \"host-name\", \"fromArg\": \"K8S_POD_NAME\"}]";
    let mut all: Vec<ProvidedOption> = Vec::new();
    for entry in ipam.sections("provide", LIST)? {
        let option = provided_one(&entry)?;
        if option.value.is_some() || option.argument.is_some() {
            // The last one counts, as with the reference plugin.
            all.retain(|other| other.code != option.code);
            all.push(option);
        }
    }
    let keys = [
        ("hostname", HOST_NAME, host_name(ipam)?),
        (
            "vendorClass",
            VENDOR_CLASS,
            text(ipam, "vendorClass")?.map(|text| of_bytes(VENDOR_CLASS, text)),
        ),
        ("userClass", USER_CLASS, user_class(ipam)?),
    ];
    for (key, code, option) in keys {
        let Some(option) = option else { continue };
        if all.iter().any(|other| other.code == code) {
            return Err(ipam
                .invalid(key, format!("no such key where `provide` has option {code}"))
                .advise("Remove one of the two"));
        }
        all.push(option);
    }
    Ok(all)
}

fn provided_one(entry: &Fields<'_>) -> Result<ProvidedOption, Invalid> {
    const ARGUMENT: &str = "a key of CNI_ARGS, such as \"K8S_POD_NAME\"";
    entry.refuse_near_misses(PROVIDE_KEYS)?;
    let code = code(entry)?;
    if OWN.contains(&code) {
        return Err(entry.invalid("option", "an option that is not the protocol's own"));
    }
    if code == PARAMETER_REQUEST_LIST {
        return Err(entry
            .invalid("option", "an option that is not the protocol's own")
            .advise("List what the server is to be asked for in `request`"));
    }
    let value = text(entry, "value")?.map(String::into_bytes);
    let argument = entry.text("fromArg", ARGUMENT)?.map(str::to_owned);
    if argument.as_ref().is_some_and(|key| key.contains(['=', ';'])) {
        return Err(entry.invalid("fromArg", ARGUMENT));
    }
    if entry.get("value").is_none() && entry.get("fromArg").is_none() {
        return Err(entry
            .invalid("value", "what the option is to have")
            .advise("Set `value`, or `fromArg` to the key of CNI_ARGS that has it"));
    }
    Ok(ProvidedOption { code, value, argument })
}

/// The name by which a server may know the pod.
fn host_name(ipam: &Fields<'_>) -> Result<Option<ProvidedOption>, Invalid> {
    const POD: &str = "pod";
    Ok(text(ipam, "hostname")?.map(|name| {
        if name == POD {
            let argument = Some("K8S_POD_NAME".to_owned());
            ProvidedOption { code: HOST_NAME, value: None, argument }
        } else {
            of_bytes(HOST_NAME, name)
        }
    }))
}

/// One user class, or a list of them, each behind its length (RFC 3004).
fn user_class(ipam: &Fields<'_>) -> Result<Option<ProvidedOption>, Invalid> {
    const KEY: &str = "userClass";
    const EXPECTED: &str = "a text, or a list of texts, of 254 bytes together";
    let classes = match ipam.get(KEY) {
        Some(Value::Array(_)) => ipam.texts(KEY, EXPECTED)?,
        _ => ipam.text(KEY, EXPECTED)?.map(str::to_owned).into_iter().collect(),
    };
    let mut bytes = Vec::new();
    for class in &classes {
        let length = u8::try_from(class.len()).ok().filter(|length| *length > 0);
        bytes.push(length.ok_or_else(|| ipam.invalid(KEY, EXPECTED))?);
        bytes.extend(class.bytes());
    }
    if bytes.len() > MOST_BYTES {
        return Err(ipam.invalid(KEY, EXPECTED));
    }
    let option = ProvidedOption { code: USER_CLASS, value: Some(bytes), argument: None };
    Ok((!classes.is_empty()).then_some(option))
}

fn of_bytes(code: u8, text: String) -> ProvidedOption {
    ProvidedOption { code, value: Some(text.into_bytes()), argument: None }
}

fn text(place: &Fields<'_>, key: &str) -> Result<Option<String>, Invalid> {
    const EXPECTED: &str = "a text of 255 bytes or less";
    match place.text(key, EXPECTED)? {
        Some(text) if text.len() > MOST_BYTES => Err(place.invalid(key, EXPECTED)),
        text => Ok(text.map(str::to_owned)),
    }
}

/// What the server is asked for: the defaults, unless one of the requests skips them, and what is listed.
pub(super) fn requested(ipam: &Fields<'_>) -> Result<Vec<u8>, Invalid> {
    const LIST: &str = "a list such as [{\"option\": \"routers\"}]";
    let mut skips_default = false;
    let mut listed = Vec::new();
    for entry in ipam.sections("request", LIST)? {
        entry.refuse_near_misses(REQUEST_KEYS)?;
        skips_default |= entry.boolean("skipDefault")?;
        listed.push(code(&entry)?);
    }
    let mut all = if skips_default { Vec::new() } else { DEFAULT_REQUEST.to_vec() };
    for code in listed {
        if !all.contains(&code) {
            all.push(code);
        }
    }
    Ok(all)
}

/// The code of `option`: a name, or a number, with or without quotes.
fn code(entry: &Fields<'_>) -> Result<u8, Invalid> {
    const KEY: &str = "option";
    let expected = || {
        let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        format!("the number of a DHCP option from 1 to 254, or one of {}", names.join(", "))
    };
    let named = |text: &str| NAMES.iter().find(|(name, _)| *name == text).map(|(_, code)| *code);
    let found = match entry.get(KEY) {
        Some(Value::String(text)) => named(text).or_else(|| text.parse().ok()),
        Some(Value::Number(number)) => number.as_u64().and_then(|code| code.try_into().ok()),
        _ => None,
    };
    // 0 fills, and 255 ends.
    let found = found.filter(|code| (1..=254).contains(code));
    found.ok_or_else(|| entry.invalid(KEY, expected()))
}
