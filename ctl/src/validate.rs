//! `linkspan validate FILE...`: whether the plugins would take these configurations, and if not, what is wrong,
//! in which line, and what a peer would make of it.

mod kubernetes;
mod lines;
mod network;
mod pools;
mod yaml;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use linkspan_config::Invalid;
use serde_json::Value;

use lines::Lines;

/// More than any configuration has.
const LIMIT: u64 = 1 << 20;

/// One thing that is to be said of a file.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    line: usize,
    verdict: Verdict,
    /// What is spoken of, where it is a part of the file only.
    subject: String,
    text: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// It works.
    Fine,
    /// It works, but perhaps not as it was meant.
    Note,
    /// It does not work.
    Error,
}

/// A JSON text in a file.
struct Text<'a> {
    /// What it is, for messages; empty where it is the whole file.
    subject: String,
    json: &'a str,
    lines: Lines,
    /// Of the network, where the text has none: Multus gives it that of its object.
    default_name: Option<&'a str>,
    /// Whether Multus knows of a resource from which it gets the network's device.
    has_resource: bool,
}

/// Check networks' configurations and resource lists, and change nothing
///
/// Reads JSON, and in YAML or JSON the objects of Kubernetes that have it in them. Says of each
/// configuration whether the plugins would take it, and if not, what is wrong, and in which line; and notes what
/// Linkspan, or the program that it stands in for, would ignore without a word. The exit code is 1 if any of them
/// would not work.
#[derive(Debug, clap::Args)]
pub(super) struct Validate {
    /// Such as /etc/cni/net.d/10-fast.conflist, or a manifest for kubectl apply
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Validate {
    /// Says of each file whether it works; the exit code is for scripts.
    pub(super) fn run(&self) -> ExitCode {
        let mut worst = Verdict::Fine;
        let mut said = String::new();
        for file in &self.files {
            for finding in check(file) {
                worst = worst.max(finding.verdict);
                said.push_str(&finding.in_file(file));
            }
        }
        match io::stdout().write_all(said.as_bytes()) {
            Ok(()) if worst < Verdict::Error => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }
}

/// What is to be said of a file, in the order of its lines.
fn check(file: &Path) -> Vec<Finding> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|opened| opened.take(LIMIT + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let text =
            format!("it can't be read: {error}. Give the path of a file that this user may read");
        return vec![Finding::error(0, text)];
    }
    if bytes.len() as u64 > LIMIT {
        let text = format!("it has more than {LIMIT} bytes, expected a configuration");
        return vec![Finding::error(0, text)];
    }
    let mut findings = match String::from_utf8(bytes) {
        Ok(text) => check_text(&text),
        Err(_) => {
            vec![Finding::error(0, "it is no text in UTF-8, expected a configuration".to_owned())]
        }
    };
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// JSON is what begins as it; all else is YAML.
fn check_text(text: &str) -> Vec<Finding> {
    if !text.trim_start().starts_with(['{', '[']) {
        return kubernetes::check(text);
    }
    match serde_json::from_str::<Value>(text) {
        Err(error) => {
            // The parser's own text ends with the line and the column.
            vec![Finding::error(error.line(), format!("it is not JSON: {error}"))]
        }
        Ok(root) if root.get("apiVersion").is_some() => kubernetes::check(text),
        Ok(_) => Text::file(text).check(),
    }
}

impl<'a> Text<'a> {
    /// A text that is a whole file.
    fn file(json: &'a str) -> Self {
        let lines = Lines::of(json, 1);
        Self { subject: String::new(), json, lines, default_name: None, has_resource: false }
    }

    /// Checks a network, a list of plugins or a list of resources, whichever it is.
    fn check(&self) -> Vec<Finding> {
        let root: Value = match serde_json::from_str(self.json) {
            Ok(root) => root,
            Err(error) => {
                return vec![self.error("", format!("it is not JSON: {error}"))];
            }
        };
        let mut findings = match &root {
            Value::Object(config) if config.contains_key("resourceList") => {
                pools::check(self, &root)
            }
            Value::Object(config) if config.contains_key("plugins") => {
                network::check_chain(self, config)
            }
            Value::Object(config) if config.contains_key("type") => {
                network::check_single(self, config)
            }
            _ => {
                let what = "it is no configuration, expected one of a network (with the key `type`), a list of \
                            plugins (with `plugins`) or of resources (with `resourceList`)";
                return vec![self.error("", what.to_owned())];
            }
        };
        findings.extend(self.lines.twice.iter().map(|(path, first, second)| {
            let text = format!("`{path}` stands in line {first} too: only this one counts");
            self.finding(Verdict::Note, *second, text)
        }));
        findings
    }

    /// Whether it is something that is checked here, as far as can be seen without a look at its keys' values.
    fn is_ours(json: &str) -> bool {
        let root = serde_json::from_str::<Value>(json).ok();
        let has = |root: &Value| {
            let keys = ["resourceList", "plugins", "type"];
            keys.iter().any(|key| root.get(key).is_some())
        };
        root.is_some_and(|root| has(&root))
    }

    fn finding(&self, verdict: Verdict, line: usize, text: String) -> Finding {
        Finding { line, verdict, subject: self.subject.clone(), text }
    }

    fn fine(&self, text: String) -> Finding {
        self.finding(Verdict::Fine, self.lines.line(""), text)
    }

    fn note(&self, path: &str, text: &str) -> Finding {
        self.finding(Verdict::Note, self.lines.line(path), format!("`{path}`: {text}"))
    }

    fn error(&self, path: &str, text: String) -> Finding {
        self.finding(Verdict::Error, self.lines.line(path), text)
    }

    /// An error of the configuration that stands at `place`.
    fn invalid(&self, place: &str, invalid: &Invalid) -> Finding {
        let path =
            if place.is_empty() { invalid.key.clone() } else { format!("{place}.{}", invalid.key) };
        let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
        let advice =
            invalid.advice.as_ref().map(|advice| format!(". {advice}")).unwrap_or_default();
        self.error(&path, format!("{place}{invalid}{advice}"))
    }
}

impl Finding {
    fn error(line: usize, text: String) -> Self {
        Self { line, verdict: Verdict::Error, subject: String::new(), text }
    }

    /// One line, as compilers write it.
    fn in_file(&self, file: &Path) -> String {
        let line = if self.line == 0 { String::new() } else { format!("{}:", self.line) };
        let verdict = match self.verdict {
            Verdict::Fine => "",
            Verdict::Note => " note:",
            Verdict::Error => " error:",
        };
        let subject =
            if self.subject.is_empty() { String::new() } else { format!(" {}:", self.subject) };
        format!("{}:{line}{verdict}{subject} {}\n", file.display(), self.text)
    }
}

#[cfg(test)]
mod tests;
