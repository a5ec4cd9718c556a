//! Changes a JSON document so that it stays one; what knows only bytes mostly breaks it. Other inputs are only bytes.

use std::ops::Range;

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// What a document gets from others: their keys and values.
#[derive(Debug, Default)]
pub struct Donors {
    keys: Vec<String>,
    values: Vec<Value>,
}

impl Donors {
    /// All that is in these documents.
    #[must_use]
    pub fn of(documents: &[(String, Vec<u8>)]) -> Self {
        let mut donors = Self::default();
        let parsed = documents.iter().filter_map(|(_, text)| serde_json::from_slice(text).ok());
        parsed.for_each(|document| donors.collect(document));
        donors
    }

    fn collect(&mut self, value: Value) {
        match &value {
            Value::Object(map) => {
                self.keys.extend(map.keys().cloned());
                map.values().for_each(|value| self.collect(value.clone()));
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect(item.clone())),
            _ => {}
        }
        self.values.push(value);
    }

    fn key(&self, rng: &mut Rng) -> String {
        rng.choice(&self.keys).cloned().unwrap_or_default()
    }

    fn value(&self, rng: &mut Rng) -> Value {
        rng.choice(&self.values).cloned().unwrap_or_default()
    }
}

/// Changes one place of a document, to what donors have or another place of its own; or some bytes of what is no JSON.
#[must_use]
pub fn mutate(document: &[u8], donors: &Donors, rng: &mut Rng) -> Vec<u8> {
    let Ok(mut root) = serde_json::from_slice::<Value>(document) else {
        return change_bytes(document, rng);
    };
    let mut own = Donors::default();
    own.collect(root.clone());
    let donors = if rng.u8(..3) == 0 { &own } else { donors };
    let mut place = rng.usize(..count(&root));
    change_at(&mut root, &mut place, donors, rng);
    root.to_string().into_bytes()
}

fn change_bytes(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let (one, other) = (rng.usize(..=bytes.len()), rng.usize(..=bytes.len()));
    let range = one.min(other)..one.max(other).min(one.min(other) + 16);
    match rng.u8(..6) {
        0 => bytes.truncate(one),
        1 => drop(bytes.drain(range)),
        2 => {
            let part = bytes[range].to_vec();
            bytes.splice(one..one, part);
        }
        3 => bytes.insert(one, rng.u8(..)),
        _ if one == bytes.len() => {}
        4 => bytes[one] = bytes[one].wrapping_add(rng.u8(..5)).wrapping_sub(2),
        _ => bytes[one] = rng.u8(..),
    }
    bytes
}

/// How many values there are in a value, itself among them.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(map) => map.values().map(count).sum(),
        Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

/// Changes the value at a place, counted as [`count`] counts; true once that is done.
fn change_at(value: &mut Value, place: &mut usize, donors: &Donors, rng: &mut Rng) -> bool {
    if *place == 0 {
        change(value, donors, rng);
        return true;
    }
    *place -= 1;
    match value {
        Value::Object(map) => map.values_mut().any(|value| change_at(value, place, donors, rng)),
        Value::Array(items) => items.iter_mut().any(|item| change_at(item, place, donors, rng)),
        _ => false,
    }
}

fn change(value: &mut Value, donors: &Donors, rng: &mut Rng) {
    match value {
        Value::Object(map) => change_object(map, donors, rng),
        Value::Array(items) => change_array(items, donors, rng),
        _ if rng.u8(..4) == 0 => *value = donors.value(rng),
        Value::String(text) => change_text(text, donors, rng),
        Value::Number(_) => {
            let near = value.as_i64().unwrap_or_default();
            let all = [
                json!(near.wrapping_add(1)),
                json!(near.wrapping_sub(1)),
                json!(1_u64 << rng.u32(..64)),
                json!(rng.u64(..)),
                json!(rng.f64()),
            ];
            *value = all[rng.usize(..all.len())].clone();
        }
        Value::Bool(truth) => *truth = !*truth,
        Value::Null => *value = json!(""),
    }
}

fn change_object(map: &mut Map<String, Value>, donors: &Donors, rng: &mut Rng) {
    let key = rng.choice(map.keys()).cloned();
    match (key, rng.u8(..4)) {
        (Some(key), 0) => drop(map.remove(&key)),
        (Some(key), 1) => {
            let value = map.remove(&key).unwrap_or_default();
            let mut other = key;
            change_text(&mut other, donors, rng);
            map.insert(other, value);
        }
        _ => drop(map.insert(donors.key(rng), donors.value(rng))),
    }
}

fn change_array(items: &mut Vec<Value>, donors: &Donors, rng: &mut Rng) {
    let at = rng.usize(..=items.len());
    match rng.u8(..4) {
        0 if at < items.len() => drop(items.remove(at)),
        1 if at < items.len() => items.push(items[at].clone()),
        2 if at < items.len() => items.rotate_left(at),
        _ => items.insert(at, donors.value(rng)),
    }
}

fn change_text(text: &mut String, donors: &Donors, rng: &mut Rng) {
    let mut chars: Vec<char> = text.chars().collect();
    let at = rng.usize(..=chars.len());
    match rng.u8(..7) {
        0 if at < chars.len() => drop(chars.remove(at)),
        1 if at < chars.len() => chars[at] = rng.char(' '..='~'),
        2 => chars.truncate(at),
        3 => chars.insert(at, rng.char(..)),
        4 if chars.len() < 256 => chars = chars.repeat(rng.usize(..16)),
        _ => {
            let other = donors.value(rng);
            let other: Vec<char> = other.as_str().unwrap_or_default().chars().collect();
            let taken = word(&other, rng);
            let place = if rng.bool() { word(&chars, rng) } else { at..at };
            chars.splice(place, other[taken].iter().copied());
        }
    }
    *text = chars.into_iter().collect();
}

/// Where one of a text's words is: what stands between the signs that join addresses, arguments and lists.
fn word(chars: &[char], rng: &mut Rng) -> Range<usize> {
    let at = rng.usize(..=chars.len());
    let joins = |c: &char| matches!(c, ';' | ',' | '=' | '/' | '-' | '#' | ' ' | '\n');
    let start = chars[..at].iter().rposition(joins).map_or(0, |place| place + 1);
    let end = chars[at..].iter().position(joins).map_or(chars.len(), |length| at + length);
    start..end
}
