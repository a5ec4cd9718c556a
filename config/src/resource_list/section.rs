//! What the pools' file needs of a JSON object beside what all configurations do: no key is passed over.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Invalid;
use crate::fields::{Fields, near_miss, says_nothing};

impl<'a> Fields<'a> {
    /// An error for the first key that is neither known nor to come and that says something.
    pub(super) fn refuse_other_keys(
        &self,
        known: &[&str],
        to_come: &[&str],
    ) -> Result<(), Invalid> {
        let is_in = |keys: &[&str], key: &str| keys.iter().any(|k| k.eq_ignore_ascii_case(key));
        for (key, value) in self.entries() {
            if is_in(known, key) || value.is_null() {
                continue;
            }
            if !is_in(to_come, key) {
                let error = Invalid::new(self.path_of(key), Some(value), "no such key");
                return Err(match near_miss(key, known) {
                    Some(meant) => {
                        error.advise(format!("Write `{meant}` if that is what `{key}` means"))
                    }
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

    /// An object.
    pub(super) fn section(&self, key: &str, expected: &str) -> Result<Option<Self>, Invalid> {
        let value = self.get(key);
        value.map(|value| Self::of(&self.path_of(key), value, expected)).transpose()
    }

    /// An object of texts.
    pub(super) fn texts_by_key(
        &self,
        key: &str,
        expected: &str,
    ) -> Result<BTreeMap<String, String>, Invalid> {
        let Some(section) = self.section(key, expected)? else { return Ok(BTreeMap::new()) };
        let text = |(key, value): (&str, &Value)| match value {
            Value::String(text) => Ok((key.to_owned(), text.clone())),
            _ => Err(Invalid::new(section.path_of(key), Some(value), "a text")),
        };
        section.entries().map(text).collect()
    }
}
