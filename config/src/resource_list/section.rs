//! What the pools' file needs of a JSON object beside what all configurations do: no key is passed over.

use std::collections::BTreeMap;
use std::str::FromStr;

use linkspan_types::ParseError;
use serde_json::Value;

use crate::Invalid;
use crate::fields::{Fields, near_miss, says_nothing};

impl<'a> Fields<'a> {
    /// An error for the first key that is not known here. One that says nothing is passed over where
    /// it is known elsewhere: `elsewhere` says what is wrong with it, and what to do.
    pub(super) fn refuse_other_keys(
        &self,
        known: &[&str],
        elsewhere: impl Fn(&str) -> Option<(String, String)>,
    ) -> Result<(), Invalid> {
        for (key, value) in self.entries() {
            if known.iter().any(|k| k.eq_ignore_ascii_case(key)) || value.is_null() {
                continue;
            }
            let error = |expected| Invalid::new(self.path_of(key), Some(value), expected);
            let Some((expected, advice)) = elsewhere(key) else {
                let advice = match near_miss(key, known) {
                    Some(meant) => format!("Write `{meant}` if that is what `{key}` means"),
                    None => format!("The keys known here are {}", known.join(", ")),
                };
                return Err(error("no such key".to_owned()).advise(advice));
            };
            if !says_nothing(value) {
                return Err(error(expected).advise(advice));
            }
        }
        Ok(())
    }

    /// A truth value that is true where it is missing.
    pub(super) fn boolean_or_true(&self, key: &str) -> Result<bool, Invalid> {
        if self.get(key).is_none() { Ok(true) } else { self.boolean(key) }
    }

    /// A text that must be there.
    pub(super) fn required<T: FromStr<Err = ParseError>>(
        &self,
        key: &str,
        expected: &str,
    ) -> Result<T, Invalid> {
        self.parsed(key, expected)?.ok_or_else(|| self.invalid(key, expected))
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
