//! One reason why a node fails, or may: what was seen, why it matters, and what helps.

use serde_json::{Value, json};

/// One thing that is wrong with a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// The check that found it, by which scripts know it.
    pub(super) check: &'static str,
    pub(super) severity: Severity,
    /// What was seen, and of what.
    pub(super) seen: String,
    /// What comes of it.
    pub(super) why: String,
    /// What to do: a command where there is one.
    pub(super) help: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Something may fail, or already costs something.
    Warning,
    /// Something fails.
    Error,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The widest line that is written.
const WIDTH: usize = 100;

impl Finding {
    pub(super) fn error(check: &'static str, seen: impl Into<String>) -> Self {
        let (why, help) = (String::new(), String::new());
        Self { check, severity: Severity::Error, seen: seen.into(), why, help }
    }

    pub(super) fn warning(check: &'static str, seen: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(check, seen) }
    }

    pub(super) fn because(self, why: impl Into<String>) -> Self {
        Self { why: why.into(), ..self }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: help.into(), ..self }
    }

    /// For people: a few lines, none of them wide but by a long word.
    pub(super) fn in_words(&self) -> String {
        let head = format!("{} ({}): ", self.severity.name(), self.check);
        let parts =
            [(head.as_str(), &self.seen), ("  why:  ", &self.why), ("  help: ", &self.help)];
        parts.into_iter().map(|(label, text)| wrapped(label, text)).collect()
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let Self { check, severity, seen, why, help } = self;
        json!({"check": check, "severity": severity.name(), "seen": seen, "why": why, "help": help})
    }
}

/// A text behind its label, its further lines below the first.
fn wrapped(label: &str, text: &str) -> String {
    let indent = " ".repeat(8);
    let (mut all, mut line) = (String::new(), label.trim_end().to_owned());
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            all.push_str(line.trim_end());
            all.push('\n');
            line = format!("{indent}{word}");
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    all + line.trim_end() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_few_narrow_lines_or_an_object() {
        let finding = Finding::error("kernel", "word ".repeat(40).trim()).because("so").help("do");
        let words = finding.in_words();
        assert!(words.starts_with("error (kernel): word word"), "{words}");
        assert!(words.ends_with("\n  why: so\n  help: do\n"), "{words}");
        assert!(words.lines().all(|line| line.len() <= WIDTH), "{words}");
        assert_eq!(finding.to_json()["severity"], "error");
        assert_eq!(finding.to_json()["help"], "do");
    }
}
