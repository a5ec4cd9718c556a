//! The forms that values have. As to the parsers, `null` and an empty text are a key that is not there.

use serde_json::{Value, json};

pub(super) const MAC: &str =
    "^([0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{2}(-[0-9A-Fa-f]{2}){5})$";
pub(super) const PCI: &str = "^[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\\.[0-7]$";
pub(super) const INTERFACE: &str = "^[^/:%\\s\\x00]{1,15}$";
pub(super) const NETWORK: &str = "^[0-9A-Za-z][0-9A-Za-z_.-]{0,254}$";
const LABEL: &str = "[0-9a-z]([0-9a-z-]*[0-9a-z])?";
const V4: &str = "((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3})";
/// Of IPv6 only the letters: who wrote them in the wrong number is told by the parser.
const V6: &str = "([0-9A-Fa-f]*:[0-9A-Fa-f:]*(:[0-9]{1,3}(\\.[0-9]{1,3}){3})?)";

pub(super) fn address() -> String {
    format!("^({V4}|{V6})$")
}

/// An address with a prefix length.
pub(super) fn net() -> String {
    format!("^({V4}/(3[0-2]|[12]?[0-9])|{V6}/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$")
}

pub(super) fn address_or_net() -> String {
    format!("{}|{}", address(), net())
}

/// An address, a subnet, or two addresses with `-` between them.
pub(super) fn span() -> String {
    format!("{}|^\\s*({V4}|{V6})\\s*-\\s*({V4}|{V6})\\s*$", address_or_net())
}

pub(super) fn dns_name() -> String {
    format!("^{LABEL}(\\.{LABEL})*$")
}

/// The whole name of an extended resource.
pub(super) fn resource() -> String {
    format!("^{LABEL}(\\.{LABEL})*/[0-9A-Za-z]([0-9A-Za-z_.-]{{0,61}}[0-9A-Za-z])?$")
}

/// A text of any form.
pub(super) fn text(description: &str) -> Value {
    json!({ "description": description, "type": ["string", "null"] })
}

/// A text of this form, or none.
pub(super) fn formed(pattern: &str, description: &str) -> Value {
    json!({
        "description": description,
        "type": ["string", "null"],
        "pattern": format!("{pattern}|^$"),
    })
}

/// A text that has to be there.
pub(super) fn demanded(pattern: &str, description: &str) -> Value {
    json!({ "description": description, "type": "string", "pattern": pattern })
}

/// One of these words.
pub(super) fn word(words: &[&str], description: &str) -> Value {
    let mut all: Vec<Value> = words.iter().map(|word| json!(word)).collect();
    all.extend([json!(""), Value::Null]);
    json!({ "description": description, "enum": all })
}

/// One of these words in any case, which editors are told in this one.
pub(super) fn word_in_any_case(words: &[&str], description: &str) -> Value {
    let any_case = |word: &&str| -> String {
        let either = |c: char| match c {
            'a'..='z' => format!("[{}{c}]", c.to_ascii_uppercase()),
            '.' => "\\.".to_owned(),
            c => c.to_string(),
        };
        word.chars().map(either).collect()
    };
    let pattern: Vec<String> = words.iter().map(any_case).collect();
    let pattern = format!("^({})?$", pattern.join("|"));
    let forms =
        [json!({ "enum": words }), json!({ "type": ["string", "null"], "pattern": pattern })];
    json!({ "description": description, "anyOf": forms })
}

pub(super) fn switch(description: &str) -> Value {
    word_in_any_case(&["on", "off"], description)
}

pub(super) fn truth(description: &str) -> Value {
    json!({ "description": description, "type": ["boolean", "null"] })
}

pub(super) fn number(from: u64, to: u64, description: &str) -> Value {
    json!({ "description": description, "type": ["integer", "null"], "minimum": from, "maximum": to })
}

/// An MTU; 0 is none.
pub(super) fn mtu(description: &str) -> Value {
    let sizes = [
        json!({ "type": "integer", "minimum": 68, "maximum": 65535 }),
        json!({ "enum": [0, null] }),
    ];
    json!({ "description": description, "anyOf": sizes })
}

/// An absolute path that does not climb.
pub(super) fn path(description: &str) -> Value {
    let mut path = formed("^/[^\\x00]*$", description);
    path["not"] = json!({ "pattern": "(^|/)\\.\\.(/|$)" });
    path
}

/// A list of items.
pub(super) fn list(item: &Value, description: &str) -> Value {
    json!({ "description": description, "type": ["array", "null"], "items": item })
}

/// A list of texts of this form.
pub(super) fn texts(pattern: &str, description: &str) -> Value {
    list(&json!({ "type": "string", "pattern": pattern }), description)
}

/// An object with these keys, and others that are ignored.
pub(super) fn object(properties: &Value, description: &str) -> Value {
    json!({ "description": description, "type": ["object", "null"], "properties": properties })
}

/// What is the same as no key at all.
pub(super) fn nothing(description: &str) -> Value {
    json!({ "description": description, "enum": [null, false, 0, "", []] })
}
