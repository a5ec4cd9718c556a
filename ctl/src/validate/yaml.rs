//! YAML as far as Kubernetes' objects need it: trees whose nodes know their lines.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// A value, and the line in which it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) content: Content,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Content {
    /// A text, a number or anything else that has no parts.
    Scalar(Scalar),
    /// A list.
    List(Vec<Rc<Node>>),
    /// An object: its keys in the file's order. A key that is no text is left out.
    Object(Vec<(String, Rc<Node>)>),
}

/// A value without parts.
#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Whether it is in double quotes, which alone can have a line break that the file has not.
    quoted: bool,
    /// Its last line in the file.
    last_line: usize,
    /// Where it begins in its first line, in characters.
    column: usize,
}

/// A file that is no YAML, or none that is read here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct YamlError {
    pub(super) line: usize,
    pub(super) what: String,
}

/// Deeper than any object that Kubernetes has.
const DEEPEST: usize = 100;

/// A list or an object that is being read.
struct Open {
    line: usize,
    anchor: usize,
    /// The nodes of a list; the keys and values of an object in turn.
    nodes: Vec<Rc<Node>>,
}

/// The documents of a file, and the error that ended the reading.
pub(super) fn documents(text: &str) -> (Vec<Rc<Node>>, Option<YamlError>) {
    let mut documents = Vec::new();
    let end = read(text, &mut documents).err();
    (documents, end)
}

fn read(text: &str, documents: &mut Vec<Rc<Node>>) -> Result<(), YamlError> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, Rc<Node>> = HashMap::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError {
            line: error.marker().line(),
            what: error.info().to_owned(),
        })?;
        let line = span.start.line();
        let node = match event {
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                if open.len() == DEEPEST {
                    let what = format!("it is deeper than {DEEPEST} levels");
                    return Err(YamlError { line, what });
                }
                open.push(Open { line, anchor, nodes: Vec::new() });
                continue;
            }
            Event::SequenceEnd => close(&mut open, &mut anchors, Content::List),
            Event::MappingEnd => close(&mut open, &mut anchors, |nodes| object(&nodes)),
            Event::Scalar(text, style, anchor, _) => {
                let node = Rc::new(Node { line, content: scalar(&text, style, &span) });
                anchors.insert(anchor, node.clone());
                Some(node)
            }
            Event::Alias(anchor) => anchors.get(&anchor).cloned(),
            _ => None,
        };
        let Some(node) = node else { continue };
        match open.last_mut() {
            Some(parent) => parent.nodes.push(node),
            None => documents.push(node),
        }
    }
    Ok(())
}

fn close(
    open: &mut Vec<Open>,
    anchors: &mut HashMap<usize, Rc<Node>>,
    content: impl Fn(Vec<Rc<Node>>) -> Content,
) -> Option<Rc<Node>> {
    let Open { line, anchor, nodes } = open.pop()?;
    let node = Rc::new(Node { line, content: content(nodes) });
    anchors.insert(anchor, node.clone());
    Some(node)
}

fn object(nodes: &[Rc<Node>]) -> Content {
    let entry = |pair: &[Rc<Node>]| match pair {
        [key, value] => Some((key.text()?.to_owned(), value.clone())),
        _ => None,
    };
    Content::Object(nodes.chunks(2).filter_map(entry).collect())
}

fn scalar(text: &str, style: ScalarStyle, span: &Span) -> Content {
    Content::Scalar(Scalar {
        text: text.to_owned(),
        quoted: style == ScalarStyle::DoubleQuoted,
        last_line: span.end.line(),
        column: span.start.col(),
    })
}

impl Node {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Content::Object(entries) = &self.content else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_ref())
    }

    /// The keys and values of an object.
    pub(super) fn entries(&self) -> &[(String, Rc<Self>)] {
        match &self.content {
            Content::Object(entries) => entries,
            _ => &[],
        }
    }

    /// The entries of a list.
    pub(super) fn items(&self) -> &[Rc<Self>] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// A text.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// The text as it stands in the file, with the line in which it begins; only that line where its breaks are
    /// not the file's.
    pub(super) fn as_written(&self, file: &str) -> (String, usize) {
        let Content::Scalar(scalar) = &self.content else { return (String::new(), self.line) };
        if scalar.quoted {
            return (String::new(), self.line);
        }
        let mut lines = file.lines().skip(self.line.saturating_sub(1));
        let first = lines.next().unwrap_or_default();
        let first = first.char_indices().nth(scalar.column).map_or("", |(at, _)| &first[at..]);
        let others = lines.take(scalar.last_line.saturating_sub(self.line));
        let written: Vec<&str> = std::iter::once(first).chain(others).collect();
        (written.join("\n"), self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_know_their_lines() {
        let file = "# one\nkind: A\nspec:\n  config: |\n    {\n    \"a\": 1}\n---\n- &x {b: 'two'}\n- *x\n";
        let (documents, error) = documents(file);
        assert_eq!((documents.len(), error), (2, None));
        let config = documents[0].get("spec").and_then(|spec| spec.get("config")).unwrap();
        assert_eq!(config.text(), Some("{\n\"a\": 1}\n"));
        let (written, line) = config.as_written(file);
        assert_eq!(
            super::super::lines::Lines::of(&written, line).line("a"),
            6,
            "{written:?} {line}"
        );
        let items = documents[1].items();
        assert_eq!(items[1].get("b").and_then(Node::text), Some("two"));
        assert_eq!((items[0].line, items[1].line), (8, 8));
    }

    #[test]
    fn what_stands_before_an_error_is_read() {
        let (read, error) = documents("a: 1\n---\nb: [1\nc: 2\n");
        assert_eq!(read.len(), 1);
        assert!(error.is_some_and(|error| error.line >= 3));
    }

    #[test]
    fn neither_depth_nor_aliases_can_do_harm() {
        assert!(documents(&"[".repeat(10_000)).1.is_some());
        assert!(documents(&"- ".repeat(10_000)).1.is_some());
        let level = |level| {
            let alias = format!("*a{}, ", level - 1);
            format!("a{level}: &a{level} [{}]\n", alias.repeat(9))
        };
        let laughs: String = (1..60).map(level).collect();
        assert_eq!(documents(&format!("a0: &a0 [x]\n{laughs}")).1, None);
    }
}
