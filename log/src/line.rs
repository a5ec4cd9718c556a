//! One event as a line of logfmt. Whatever its values are, it stays one line, and no value passes for another key.

use std::fmt::{self, Display, Write as _};
use std::time::SystemTime;

use crate::Level;
use crate::time::Utc;

/// The most bytes of a value that are written.
const LONGEST: usize = 4096;

/// One event: how grave it is, a sentence, and what it concerns.
#[derive(Clone, Debug)]
pub struct Line {
    level: Level,
    text: String,
}

impl Line {
    /// An event that happened just now.
    #[must_use]
    pub fn new(level: Level, message: impl Display) -> Self {
        let line = Self { level, text: format!(" level={level}") };
        line.with("msg", message)
    }

    /// Adds a value. One that is empty is left out; a key is made of letters, digits, `_` and `.`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Display) -> Self {
        let mut shown = Shortened(String::new());
        // An error says that the value was cut.
        let is_cut = write!(shown, "{value}").is_err();
        let Shortened(mut shown) = shown;
        if is_cut {
            shown.push_str("...");
        }
        if !shown.is_empty() {
            self.text.push(' ');
            self.text.push_str(key);
            self.text.push('=');
            quote(&mut self.text, &shown);
        }
        self
    }

    /// How grave it is.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// As a line with a time of its own.
    pub(crate) fn timed(&self, at: SystemTime) -> String {
        format!("time={}{}\n", Utc::from(at), self.text)
    }

    /// As the journal reads it: the priority in front, and the time is the journal's.
    pub(crate) fn for_journal(&self) -> String {
        format!("<{}>{}\n", self.level.priority(), self.text.trim_start())
    }
}

/// Text up to [`LONGEST`]; what is longer is an error.
struct Shortened(String);

impl fmt::Write for Shortened {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LONGEST - self.0.len();
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

/// A value as it is, where it is one plain word; else in quotes.
fn quote(out: &mut String, value: &str) {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:/@+%[]".contains(c);
    if value.chars().all(is_plain) {
        out.push_str(value);
        return;
    }
    out.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_invisible(c) => {
                // Above U+FFFF there is none that moves text.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// What a terminal acts on instead of showing it: control characters, other ends of lines, marks of direction.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(line: &Line) -> String {
        line.for_journal()
    }

    #[test]
    fn a_line_has_its_level_its_sentence_and_its_values() {
        let line = Line::new(Level::Info, "attached")
            .with("pod", "web/a-1")
            .with("device", "")
            .with("addresses", "10.0.0.2/24,fd00::2/64");
        let text = "level=info msg=attached pod=web/a-1 addresses=10.0.0.2/24,fd00::2/64\n";
        assert_eq!(
            line.timed(SystemTime::UNIX_EPOCH),
            format!("time=1970-01-01T00:00:00.000Z {text}")
        );
        assert_eq!(line.for_journal(), format!("<6>{text}"));
    }

    #[test]
    fn a_value_that_is_no_plain_word_is_quoted() {
        let table = [
            ("a b", r#""a b""#),
            ("a=b", r#""a=b""#),
            ("say \"no\" \\", r#""say \"no\" \\""#),
            ("one\ntwo\r\t", r#""one\ntwo\r\t""#),
            ("\u{1b}[31m \u{202e} \u{2028}", r#""\u001b[31m \u202e \u2028""#),
            ("Größe", "\"Größe\""),
            ("$(reboot)", r#""$(reboot)""#),
        ];
        for (value, text) in table {
            let line = Line::new(Level::Error, "m").with("key", value);
            assert_eq!(shown(&line), format!("<3>level=error msg=m key={text}\n"));
        }
    }

    #[test]
    fn a_value_without_an_end_is_cut() {
        let long = "é".repeat(LONGEST);
        let line = shown(&Line::new(Level::Error, &long).with("next", 1));
        assert!(line.len() < LONGEST + 64, "{}", line.len());
        assert!(line.ends_with("é...\" next=1\n"), "{}", &line[line.len() - 30..]);
        let fits = "x".repeat(LONGEST);
        assert!(shown(&Line::new(Level::Error, &fits)).ends_with("x\n"));
    }

    proptest! {
        #[test]
        fn a_line_is_one_line_and_its_values_read_back(message in ".*", value in "(?s).{0,200}") {
            let line = shown(&Line::new(Level::Warning, &message).with("key", &value));
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(!line.trim_end().chars().any(is_invisible), "{:?}", line);
            let pairs = read(line.trim_end().strip_prefix("<4>").unwrap());
            let expected = [("level", "warning"), ("msg", &message), ("key", &value)];
            let expected: Vec<_> =
                expected.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            prop_assert_eq!(pairs, expected);
        }
    }

    /// A reader of logfmt, as strict as there are.
    fn read(line: &str) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut rest = line.chars().peekable();
        while rest.peek().is_some() {
            let key: String = rest.by_ref().take_while(|c| *c != '=').collect();
            let mut value = String::new();
            if rest.next_if_eq(&'"').is_none() {
                value.extend(rest.by_ref().take_while(|c| *c != ' '));
            } else {
                loop {
                    match rest.next().unwrap() {
                        '"' => break,
                        '\\' => value.push(match rest.next().unwrap() {
                            'n' => '\n',
                            'r' => '\r',
                            't' => '\t',
                            'u' => {
                                let digits: String = rest.by_ref().take(4).collect();
                                char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap()
                            }
                            other => other,
                        }),
                        other => value.push(other),
                    }
                }
                rest.next_if_eq(&' ');
            }
            pairs.push((key, value));
        }
        pairs
    }
}
