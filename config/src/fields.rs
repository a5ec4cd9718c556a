//! Reads one JSON object of a configuration, key by key, the way the field's Go programs do: a key
//! matches in any case, and `null` or an empty text is a key that is not there.

use std::str::FromStr;
use std::sync::LazyLock;

use linkspan_types::ParseError;
use serde_json::{Map, Value};

use crate::Invalid;

/// One JSON object, and where it stands in the file.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// The path of the object, empty for the root of the file.
    path: String,
}

impl<'a> Fields<'a> {
    /// An object in which a key that is nearly one of `known` is an error; other keys are ignored,
    /// as the peers ignore them.
    pub(crate) fn new(
        map: &'a Map<String, Value>,
        path: impl Into<String>,
        known: &[&str],
    ) -> Result<Self, Invalid> {
        let fields = Self::unchecked(map, path);
        fields.refuse_near_misses(known)?;
        Ok(fields)
    }

    /// An error for the first key that is nearly one of `known`.
    pub(crate) fn refuse_near_misses(&self, known: &[&str]) -> Result<(), Invalid> {
        self.entries().try_for_each(|(key, value)| self.refuse_near_miss(key, value, known))
    }

    /// An error if a key is nearly one of `known`.
    pub(crate) fn refuse_near_miss(
        &self,
        key: &str,
        value: &Value,
        known: &[&str],
    ) -> Result<(), Invalid> {
        match near_miss(key, known) {
            None => Ok(()),
            Some(meant) => Err(Invalid::new(self.path_of(key), Some(value), "a key that is known")
                .advise(format!("Write `{meant}` if that is what `{key}` means"))),
        }
    }

    /// An object whose unknown keys are not looked at, because a program wrote it.
    pub(crate) fn unchecked(map: &'a Map<String, Value>, path: impl Into<String>) -> Self {
        Self { map, path: path.into() }
    }

    /// The object that stands at `path`, if it is one; its unknown keys are not looked at.
    pub(crate) fn of(path: &str, value: &'a Value, expected: &str) -> Result<Self, Invalid> {
        let map = value.as_object().ok_or_else(|| Invalid::new(path, Some(value), expected))?;
        Ok(Self::unchecked(map, path))
    }

    /// All keys with their values, as they are written.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.map.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The path of one of the keys, for a message.
    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        let any_case =
            || self.map.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v);
        self.map.get(key).or_else(any_case).filter(|value| !value.is_null())
    }

    /// Whether a key says something; `false`, `0`, an empty text and an empty list don't.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !says_nothing(value))
    }

    /// The error that a key is not what was expected.
    pub(crate) fn invalid(&self, key: &str, expected: impl Into<String>) -> Invalid {
        Invalid::new(self.path_of(key), self.get(key), expected)
    }

    /// A text; none where it is empty.
    pub(crate) fn text(&self, key: &str, expected: &str) -> Result<Option<&'a str>, Invalid> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.invalid(key, expected)),
        }
    }

    /// A text that stands for a value of another type, whose own error says what was expected.
    pub(crate) fn parsed<T: FromStr<Err = ParseError>>(
        &self,
        key: &str,
        expected: &str,
    ) -> Result<Option<T>, Invalid> {
        let parse =
            |text: &str| text.parse().map_err(|e: ParseError| self.invalid(key, e.expected));
        self.text(key, expected)?.map(parse).transpose()
    }

    /// A whole number, first narrowed to `N` and then made into a `T`.
    pub(crate) fn number<N, T>(&self, key: &str, expected: &str) -> Result<Option<T>, Invalid>
    where
        N: TryFrom<u64>,
        T: TryFrom<N>,
    {
        let Some(value) = self.get(key) else { return Ok(None) };
        let narrowed = value.as_u64().and_then(|n| N::try_from(n).ok());
        if let Some(number) = narrowed.and_then(|n| T::try_from(n).ok()) {
            return Ok(Some(number));
        }
        let quoted = value.as_str().is_some_and(|text| text.parse::<u64>().is_ok());
        let invalid = self.invalid(key, expected);
        Err(if quoted { invalid.advise("Write the number without quotes") } else { invalid })
    }

    /// A truth value; false where it is missing.
    pub(crate) fn boolean(&self, key: &str) -> Result<bool, Invalid> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(Value::String(text)) if text == "true" || text == "false" => Err(self
                .invalid(key, "true or false")
                .advise(format!("Write {text} without quotes"))),
            Some(_) => Err(self.invalid(key, "true or false")),
        }
    }

    /// A switch: `on` or `off`, in any case.
    pub(crate) fn switch(&self, key: &str) -> Result<Option<bool>, Invalid> {
        const EXPECTED: &str = "\"on\" or \"off\"";
        match self.text(key, EXPECTED)? {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("on") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("off") => Ok(Some(false)),
            Some(_) => Err(self.invalid(key, EXPECTED)),
        }
    }

    /// An absolute path without `..`.
    pub(crate) fn absolute_path(&self, key: &str) -> Result<Option<std::path::PathBuf>, Invalid> {
        const EXPECTED: &str = "an absolute path without \"..\"";
        let Some(text) = self.text(key, EXPECTED)? else { return Ok(None) };
        let path = std::path::Path::new(text);
        let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
        if path.is_absolute() && !climbs && !text.contains('\0') {
            Ok(Some(path.to_owned()))
        } else {
            Err(self.invalid(key, EXPECTED))
        }
    }

    /// An object inside this one.
    pub(crate) fn object(&self, key: &str) -> Result<Option<&'a Map<String, Value>>, Invalid> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(_) => Err(self.invalid(key, "an object")),
        }
    }

    /// An object inside this one, empty where there is none; its unknown keys are not looked at.
    pub(crate) fn inside(&self, key: &str) -> Result<Self, Invalid> {
        static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        let map = self.object(key)?.unwrap_or(&EMPTY);
        Ok(Self::unchecked(map, self.path_of(key)))
    }

    /// A list; empty where there is none.
    pub(crate) fn list(&self, key: &str, expected: &str) -> Result<&'a [Value], Invalid> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.invalid(key, expected)),
        }
    }

    /// A list of objects; empty where there is none.
    pub(crate) fn sections(&self, key: &str, expected: &str) -> Result<Vec<Self>, Invalid> {
        let items = self.list(key, expected)?.iter().enumerate();
        let path = |index| format!("{}[{index}]", self.path_of(key));
        items.map(|(index, item)| Self::of(&path(index), item, "an object")).collect()
    }

    /// A list of texts, each of which stands for a `T`; empty where there is none.
    pub(crate) fn each<T>(
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

    /// A list of texts; empty where there is none.
    pub(crate) fn texts(&self, key: &str, expected: &str) -> Result<Vec<String>, Invalid> {
        let one = |item: &Value| item.as_str().map(str::to_owned);
        let texts: Option<Vec<String>> = self.list(key, expected)?.iter().map(one).collect();
        texts.ok_or_else(|| self.invalid(key, expected))
    }
}

/// Removes a key, however it is written.
pub(crate) fn remove(map: &mut Map<String, Value>, key: &str) {
    map.retain(|k, _| !k.eq_ignore_ascii_case(key));
}

/// Whether a value is the same as none, as to the field's Go programs: `null`, `false`, `0`, `""`, `[]`.
pub(crate) fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(_) => false,
    }
}

/// The known key that an unknown one was probably meant to be: at most one typing error (a letter
/// wrong, missing, added or swapped with its neighbour) for every three letters.
///
/// `args` on the environment use it too, hence public.
#[must_use]
pub fn near_miss<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    // A key under a domain, like `cni.dev/attachments`, belongs to that domain's owner.
    if key.contains('/') || known.iter().any(|k| k.eq_ignore_ascii_case(key)) {
        return None;
    }
    let key = key.to_ascii_lowercase();
    let length = key.chars().count();
    let is_near = |distance: usize| distance * 3 <= length;
    let distance = |k: &str| strsim::damerau_levenshtein(&key, &k.to_ascii_lowercase());
    // No two texts are nearer than their lengths, and to compare a very long key takes very long.
    let comparable = known.iter().filter(|k| is_near(length.abs_diff(k.len())));
    let (distance, nearest) = comparable.map(|k| (distance(k), *k)).min()?;
    is_near(distance).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn keys_match_in_any_case_and_null_or_empty_is_absent() {
        let map = map(json!({"DeviceId": "a", "mac": "", "vlan": null}));
        let fields = Fields::new(&map, "", &["deviceID", "mac", "vlan"]).unwrap();
        assert_eq!(fields.text("deviceID", "").unwrap(), Some("a"));
        assert_eq!(fields.text("mac", "").unwrap(), None);
        assert_eq!(fields.number::<u16, u16>("vlan", "").unwrap(), None);
    }

    #[test]
    fn near_misses_are_found_and_strangers_are_not() {
        let known = ["spoofchk", "link_state", "vlan", "trust", "mac", "ipam", "deviceID"];
        let table = [
            ("spoofcheck", Some("spoofchk")),
            ("linkState", Some("link_state")),
            ("vlanId", Some("vlan")),
            ("device_id", Some("deviceID")),
            ("trust", None),
            ("trunk", None),
            ("ipMasq", None),
            ("master", None),
            ("cni.dev/vlan", None),
            ("日本語語", None),
        ];
        for (key, meant) in table {
            assert_eq!(near_miss(key, &known), meant, "{key}");
        }
    }

    #[test]
    fn a_number_in_quotes_is_refused_with_advice() {
        let map = map(json!({"vlan": "100"}));
        let error =
            Fields::unchecked(&map, "a[0]").number::<u16, u16>("vlan", "a number").unwrap_err();
        assert_eq!(error.to_string(), "`a[0].vlan` is \"100\", expected a number");
        assert_eq!(error.advice.unwrap(), "Write the number without quotes");
    }

    #[test]
    fn a_key_that_says_nothing_is_not_set() {
        let map = map(json!({"a": null, "b": false, "c": 0, "d": "", "e": [], "f": {}, "g": "0"}));
        let fields = Fields::unchecked(&map, "");
        let set: Vec<&str> = ["a", "b", "c", "d", "e", "f", "g", "h"]
            .into_iter()
            .filter(|key| fields.is_set(key))
            .collect();
        assert_eq!(set, ["f", "g"]);
    }

    #[test]
    fn what_is_inside_has_its_path() {
        let map = map(json!({"args": {"cni": {"ips": [1]}}, "list": [{}, 3]}));
        let fields = Fields::unchecked(&map, "");
        let cni = fields.inside("args").unwrap().inside("cni").unwrap();
        assert_eq!(cni.path_of("ips"), "args.cni.ips");
        let nowhere = fields.inside("a").unwrap().inside("b").unwrap();
        assert_eq!((nowhere.path_of("c").as_str(), nowhere.get("c")), ("a.b.c", None));
        let error = fields.sections("list", "").map(|sections| sections.len()).unwrap_err();
        assert_eq!(error.to_string(), "`list[1]` is 3, expected an object");
    }

    #[test]
    fn paths_must_be_absolute_and_may_not_climb() {
        for (text, taken) in
            [("/var/lib/x", true), ("var/lib", false), ("/var/../etc", false), ("/a\0b", false)]
        {
            let map = map(json!({"dataDir": text}));
            let path = Fields::unchecked(&map, "ipam").absolute_path("dataDir");
            assert_eq!(path.is_ok(), taken, "{text:?}");
        }
    }
}
