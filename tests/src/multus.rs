//! Multus as the plugin meets it: calls as it makes them, each file of `recorded/multus` the life of one attachment.
//!
//! No file was taken from a cluster: each is written from what Multus and libcni are known to send. A text such as
//! `${NETNS}` stands for what only the test knows, `${RESULT}` for what ADD has printed, and `${ANY}` in an expected
//! result for anything.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::cni::{Network, Reply};
use crate::pods::Pod;

/// What stands in for a text of a file.
pub type Names<'a> = &'a [(&'a str, Value)];

const RESULT: &str = "RESULT";

/// The recorded life of an attachment, and on whom it is replayed.
pub struct Story<'a> {
    recorded: Value,
    steps: Vec<Value>,
    network: &'a Network,
    pod: &'a Pod,
    names: Vec<(String, Value)>,
}

impl<'a> Story<'a> {
    /// The story of a file. Of `network` only what runs the plugin matters: configuration and `CNI_ARGS` are the file's.
    ///
    /// # Panics
    ///
    /// If there is no such file, or it is not understood.
    #[must_use]
    pub fn read(file: &str, network: &'a Network, pod: &'a Pod, names: Names<'_>) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/recorded/multus");
        let text = fs::read_to_string(folder.join(format!("{file}.json"))).unwrap();
        let recorded: Value = serde_json::from_str(&text).unwrap();
        let mut all = vec![
            ("NETNS".to_owned(), json!(pod.netns())),
            ("CONTAINER".to_owned(), json!(pod.name())),
            (RESULT.to_owned(), Value::Null),
        ];
        all.extend(names.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let steps = recorded["steps"].as_array().unwrap().clone();
        Self { recorded, steps, network, pod, names: all }
    }

    /// Replays it up to the step of this verb, and this step too; what ADD has printed.
    ///
    /// # Panics
    ///
    /// If a call fails, or does not come to what Multus expects.
    pub fn until(&mut self, verb: &str) -> Value {
        let last = self.steps.iter().position(|step| step["verb"] == verb).unwrap();
        let steps: Vec<Value> = self.steps.drain(..=last).collect();
        for step in steps {
            self.replay(&step);
        }
        self.result().clone()
    }

    /// Replays what is left of it.
    ///
    /// # Panics
    ///
    /// As [`Self::until`].
    pub fn to_the_end(mut self) {
        for step in std::mem::take(&mut self.steps) {
            self.replay(&step);
        }
    }

    fn replay(&mut self, step: &Value) {
        if let Some(words) = step["inPod"].as_array() {
            let words: Vec<&str> = words.iter().map(|word| word.as_str().unwrap()).collect();
            self.pod.run(words[0], &words[1..]);
            let kept = step["kept"].as_object().unwrap().clone();
            self.result().as_object_mut().unwrap().extend(kept);
            return;
        }
        let verb = step["verb"].as_str().unwrap();
        let reply = self.call(verb, step);
        assert!(reply.success, "{verb}: {reply:#?}");
        if verb == "ADD" {
            let expected = self.filled(&step["result"]);
            assert!(is_as(&reply.json, &expected), "{:#}\nexpected {expected:#}", reply.json);
            *self.result() = reply.json;
            // libcni keeps what it has decoded, and that always has this key.
            self.result().as_object_mut().unwrap().entry("dns").or_insert_with(|| json!({}));
        } else {
            assert_eq!(reply.json, Value::Null, "{verb} prints nothing");
        }
    }

    /// What libcni keeps of the attachment, for CHECK and DEL.
    fn result(&mut self) -> &mut Value {
        &mut self.names.iter_mut().find(|(name, _)| name == RESULT).unwrap().1
    }

    fn call(&self, verb: &str, step: &Value) -> Reply {
        let mut config = self.recorded["config"].clone();
        let more = step["with"].as_object().cloned().unwrap_or_default();
        config.as_object_mut().unwrap().extend(more);
        let mut network = self.network.clone();
        let mut environment = Vec::new();
        if matches!(verb, "STATUS" | "GC") {
            // They are of no pod, and libcni tells nothing that one has asked for.
            config.as_object_mut().unwrap().remove("runtimeConfig");
        } else {
            let args = [&self.recorded["args"], &step["moreArgs"]].map(|a| self.filled_in(a));
            network.args = args.concat();
            let netns = step["netns"].as_str().unwrap_or("${NETNS}");
            environment.push(("CNI_CONTAINERID", self.pod.name().to_owned()));
            environment.push(("CNI_NETNS", self.filled_in(&json!(netns))));
            environment.push(("CNI_IFNAME", "net1".to_owned()));
        }
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(key, value)| (*key, value.as_str())).collect();
        network.call_with(verb, &environment, &self.filled(&config).to_string())
    }

    /// A text with the names' values in it; empty where there is none.
    fn filled_in(&self, text: &Value) -> String {
        self.filled(text).as_str().unwrap_or_default().to_owned()
    }

    /// The same with each name's value in its place.
    fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.filled_text(text),
            Value::Array(items) => items.iter().map(|item| self.filled(item)).collect(),
            Value::Object(map) => {
                Value::Object(map.iter().map(|(k, v)| (k.clone(), self.filled(v))).collect())
            }
            other => other.clone(),
        }
    }

    fn filled_text(&self, text: &str) -> Value {
        let mut filled = text.to_owned();
        for (name, value) in &self.names {
            let placeholder = format!("${{{name}}}");
            match value {
                _ if text == placeholder => return value.clone(),
                Value::String(value) => filled = filled.replace(&placeholder, value),
                _ => {}
            }
        }
        json!(filled)
    }
}

/// Whether a result is what is expected, key by key: Multus and other plugins decode it by its version, and a key of
/// another version is lost on them.
fn is_as(result: &Value, expected: &Value) -> bool {
    match (result, expected) {
        (_, Value::String(any)) if any == "${ANY}" => true,
        (Value::Object(result), Value::Object(expected)) => {
            result.len() == expected.len()
                && expected.iter().all(|(k, v)| result.get(k).is_some_and(|of| is_as(of, v)))
        }
        (Value::Array(result), Value::Array(expected)) => {
            result.len() == expected.len() && result.iter().zip(expected).all(|(a, b)| is_as(a, b))
        }
        (result, expected) => result == expected,
    }
}
