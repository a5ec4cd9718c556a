//! In which line of a file each key of a JSON text stands, by the path by which errors name it.
//!
//! The text is known to be JSON, or is the piece of a YAML file in which JSON stands: its indent, its `|` and its
//! quotes are passed over. What is no JSON gives fewer lines, and nothing worse.

use std::collections::HashMap;

/// The lines of the keys and of the entries of lists.
#[derive(Debug, Default)]
pub(super) struct Lines {
    first: usize,
    by_path: HashMap<String, usize>,
    /// The keys that stand in an object twice, with both lines.
    pub(super) twice: Vec<(String, usize, usize)>,
}

/// Longer than any path that a configuration has; what is below is told by the line of what is above.
const LONGEST_PATH: usize = 512;

/// An object or a list that the text is in.
struct Frame {
    path: String,
    /// The number of the entry, in a list.
    entry: Option<usize>,
    /// Where the value of the key is, in an object; none before the key.
    value: Option<String>,
}

impl Lines {
    /// Those of a text whose first line is this one of the file.
    pub(super) fn of(text: &str, first: usize) -> Self {
        let mut lines = Self { first, ..Self::default() };
        let mut line = first;
        let mut stack: Vec<Frame> = Vec::new();
        let mut rest = text.bytes().enumerate();
        while let Some((at, byte)) = rest.next() {
            match byte {
                b'\n' => line += 1,
                b'"' => {
                    let begins = line;
                    let mut escaped = false;
                    let end = rest.find(|(_, byte)| {
                        line += usize::from(*byte == b'\n');
                        let ends = *byte == b'"' && !escaped;
                        escaped = *byte == b'\\' && !escaped;
                        ends
                    });
                    let end = end.map_or(text.len(), |(end, _)| end + 1);
                    let word = text.get(at..end).unwrap_or_default();
                    lines.value_or_key(stack.last_mut(), word, begins);
                }
                b'{' | b'[' => {
                    let path = lines.begin_value(stack.last(), line);
                    let entry = (byte == b'[').then_some(0);
                    stack.push(Frame { path, entry, value: None });
                }
                b'}' | b']' => {
                    stack.pop();
                    if stack.is_empty() {
                        break;
                    }
                }
                b',' => {
                    if let Some(frame) = stack.last_mut() {
                        frame.entry = frame.entry.map(|entry| entry + 1);
                        frame.value = None;
                    }
                }
                b':' => {}
                _ if byte.is_ascii_whitespace() => {}
                _ => {
                    lines.begin_value(stack.last(), line);
                }
            }
        }
        lines
    }

    /// The line of a key, or of the innermost object around it that stands in the text.
    pub(super) fn line(&self, path: &str) -> usize {
        let mut path = path.to_ascii_lowercase();
        loop {
            if let Some(line) = self.by_path.get(&path) {
                return *line;
            }
            let Some(end) = path.rfind(['.', '[']) else { return self.first };
            path.truncate(end);
        }
    }

    fn value_or_key(&mut self, frame: Option<&mut Frame>, word: &str, line: usize) {
        match frame {
            Some(frame) if frame.entry.is_none() && frame.value.is_none() => {
                let key = serde_json::from_str(word).unwrap_or_else(|_| word.to_owned());
                let path =
                    if frame.path.is_empty() { key } else { format!("{}.{key}", frame.path) };
                frame.value = Some(shortened(path.clone()));
                if let Some(before) = self.note(&path, line) {
                    self.twice.push((path, before, line));
                }
            }
            frame => {
                self.begin_value(frame.as_deref(), line);
            }
        }
    }

    /// The path of a value that begins in this line.
    fn begin_value(&mut self, frame: Option<&Frame>, line: usize) -> String {
        match frame {
            None => String::new(),
            Some(Frame { path, entry: Some(entry), .. }) => {
                let path = shortened(format!("{path}[{entry}]"));
                self.by_path.entry(path.to_ascii_lowercase()).or_insert(line);
                path
            }
            Some(frame) => frame.value.clone().unwrap_or_default(),
        }
    }

    /// Notes a key, and says where it stood before.
    fn note(&mut self, path: &str, line: usize) -> Option<usize> {
        if path.len() > LONGEST_PATH {
            return None;
        }
        self.by_path.insert(path.to_ascii_lowercase(), line)
    }
}

fn shortened(mut path: String) -> String {
    path.truncate(path.floor_char_boundary(LONGEST_PATH));
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
  "name": "a, \"b\": {",
  "ipam": {
    "ranges": [
      [{"subnet": "10.1.2.0/24"}],
      [
        {"subnet": 1,
         "Gateway": 2}
      ]
    ],
    "routes": []
  },
  "mtu": 1, "mtu": 2,
  "capabilities": {"ips": true}
}"#;

    #[test]
    fn each_key_has_its_line_and_what_is_missing_that_of_what_is_around_it() {
        let lines = Lines::of(TEXT, 10);
        let table = [
            ("name", 11),
            ("ipam", 12),
            ("ipam.type", 12),
            ("ipam.ranges[0][0].subnet", 14),
            ("ipam.ranges[1]", 15),
            ("ipam.ranges[1][0].gateway", 17),
            ("ipam.ranges[2]", 13),
            ("IPAM.Routes", 20),
            ("capabilities.ips", 23),
            ("master", 10),
        ];
        for (path, line) in table {
            assert_eq!(lines.line(path), line, "{path}");
        }
        assert_eq!(lines.twice, [("mtu".to_owned(), 22, 22)]);
    }

    #[test]
    fn a_piece_of_a_yaml_file_is_read_too() {
        let lines = Lines::of("|-\n      {\n        \"a\": 1,\n        \"b\": [2]}\n", 5);
        assert_eq!((lines.line("a"), lines.line("b[0]")), (7, 8));
        let lines = Lines::of("'{\"a\": 1,\n   \"b\": 2}'", 5);
        assert_eq!((lines.line("a"), lines.line("b")), (5, 6));
    }

    #[test]
    fn whatever_the_text_is_there_are_lines() {
        for end in (0..TEXT.len()).filter(|end| TEXT.is_char_boundary(*end)) {
            assert!(Lines::of(&TEXT[..end], 1).line("ipam.ranges[1]") <= 24);
        }
        let deep = "[".repeat(100_000);
        assert_eq!(Lines::of(&deep, 1).line("a"), 1);
        let long = format!("{{\"{0}\": {{\"{0}\": 1}}}}", "ä".repeat(10_000));
        assert_eq!(Lines::of(&long, 3).line("a.b"), 3);
    }
}
