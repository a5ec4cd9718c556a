//! One JSON object of the file, and where it stands in it. As in the peer's Go, a key matches in
//! any case, and `null` is a key that is not there; but no key is passed over.

use std::collections::BTreeMap;
use std::str::FromStr;

use linkspan_types::ParseError;
use serde_json::{Map, Value};

use crate::Invalid;

pub(super) struct Section<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Section<'a> {
    /// The section that stands at `path`, if it is an object.
    pub(super) fn new(path: &str, value: &'a Value, expected: &str) -> Result<Self, Invalid> {
        let map = value.as_object().ok_or_else(|| Invalid::new(path, Some(value), expected))?;
        Ok(Self { path: path.to_owned(), map })
    }

    /// An error for the first key that is neither known nor to come and that says something.
    pub(super) fn refuse_other_keys(
        &self,
        known: &[&str],
        to_come: &[&str],
    ) -> Result<(), Invalid> {
        let is_in = |keys: &[&str], key: &str| keys.iter().any(|k| k.eq_ignore_ascii_case(key));
        for (key, value) in self.map {
            if is_in(known, key) || value.is_null() {
                continue;
            }
            if !is_in(to_come, key) {
                let error = Invalid::new(self.path_of(key), Some(value), "no such key");
                return Err(match nearest(key, known) {
                    Some(meant) => error.advise(format!("Did you mean `{meant}`?")),
                    None => error.advise(format!("The keys known here are {}", known.join(", "))),
                });
            }
            if !says_nothing(value) {
                let error = Invalid::new(self.path_of(key), Some(value), "no such key yet");
                return Err(error.advise(
                    "Leave this resource to the peer: without this key it would select too much",
                ));
            }
        }
        Ok(())
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.map.keys().map(String::as_str)
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        let in_any_case = || self.map.iter().find(|(k, _)| k.eq_ignore_ascii_case(key));
        let value = self.map.get(key).or_else(|| in_any_case().map(|(_, value)| value));
        value.filter(|value| !value.is_null())
    }

    /// The error that a key is not what was expected.
    pub(super) fn invalid(&self, key: &str, expected: &str) -> Invalid {
        Invalid::new(self.path_of(key), self.get(key), expected)
    }

    /// A text that passes a test; none where it is empty, as for the peer.
    pub(super) fn text_where(
        &self,
        key: &str,
        expected: &str,
        is_valid: impl Fn(&str) -> bool,
    ) -> Result<Option<&'a str>, Invalid> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) if is_valid(text) => Ok(Some(text)),
            Some(_) => Err(self.invalid(key, expected)),
        }
    }

    /// A text that stands for a value whose own error says what was expected.
    pub(super) fn parsed<T: FromStr<Err = ParseError>>(
        &self,
        key: &str,
    ) -> Result<Option<T>, Invalid> {
        let Some(text) = self.text_where(key, "a text", |_| true)? else { return Ok(None) };
        text.parse().map(Some).map_err(|error: ParseError| self.invalid(key, error.expected))
    }

    /// A truth value; false where it is missing.
    pub(super) fn boolean(&self, key: &str) -> Result<bool, Invalid> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(self.invalid(key, "true or false")),
        }
    }

    /// An object.
    pub(super) fn section(&self, key: &str, expected: &str) -> Result<Option<Self>, Invalid> {
        let value = self.get(key);
        value.map(|value| Self::new(&self.path_of(key), value, expected)).transpose()
    }

    /// A list of objects; empty where it is missing.
    pub(super) fn sections(&self, key: &str, expected: &str) -> Result<Vec<Self>, Invalid> {
        let items = self.list(key, expected)?.iter().enumerate();
        let path = |index| format!("{}[{index}]", self.path_of(key));
        items.map(|(index, item)| Self::new(&path(index), item, "an object")).collect()
    }

    /// A list of texts, each of which stands for a `T`; empty where it is missing.
    pub(super) fn each<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, Invalid> {
        let items = self.list(key, &format!("a list, each entry {expected}"))?.iter().enumerate();
        items
            .map(|(index, item)| {
                item.as_str().and_then(&parse).ok_or_else(|| {
                    Invalid::new(format!("{}[{index}]", self.path_of(key)), Some(item), expected)
                })
            })
            .collect()
    }

    /// An object of texts.
    pub(super) fn texts_by_key(
        &self,
        key: &str,
        expected: &str,
    ) -> Result<BTreeMap<String, String>, Invalid> {
        let Some(section) = self.section(key, expected)? else { return Ok(BTreeMap::new()) };
        let text = |key: &str| match section.map.get(key) {
            Some(Value::String(text)) => Ok((key.to_owned(), text.clone())),
            _ => Err(section.invalid(key, "a text")),
        };
        section.keys().map(text).collect()
    }

    fn list(&self, key: &str, expected: &str) -> Result<&'a [Value], Invalid> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.invalid(key, expected)),
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// Whether a value is the same as none: `false`, `""`, `[]`.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// The known key that is nearest to a wrong one, if a few typing errors lie between them.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |k: &str| strsim::damerau_levenshtein(&key.to_lowercase(), &k.to_lowercase());
    let (distance, nearest) = known.iter().map(|k| (distance(k), *k)).min()?;
    (distance <= 3 && distance < key.len()).then_some(nearest)
}
