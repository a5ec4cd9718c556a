//! A page of Markdown as the tests see it: blocks of code, tables, and the text around them.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of Markdown.
pub(crate) struct Page {
    /// Its path from the top of the repository.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A block of code between fences.
pub(crate) struct Block {
    /// Where it is, for a message.
    pub(crate) place: String,
    /// `sh`, `json` and so on.
    pub(crate) language: String,
    /// What stands after the language: how the block is meant.
    pub(crate) mark: String,
    pub(crate) text: String,
    /// Whether nothing but empty lines is between it and the block before.
    pub(crate) follows: bool,
}

/// The top of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What people read first: README.md, docs/, and what stands beside the manifests.
pub(crate) fn pages() -> Vec<Page> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let mut paths: Vec<PathBuf> = docs
        .map(|entry| Path::new("docs").join(entry.unwrap().file_name()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    paths.extend(["README.md", "config/deploy/README.md"].map(PathBuf::from));
    paths.sort();
    assert!(paths.len() > 10, "the pages are found: {paths:?}");
    paths.into_iter().map(Page::read).collect()
}

/// One of them.
pub(crate) fn page(path: &str) -> Page {
    Page::read(path.into())
}

impl Page {
    pub(crate) fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        Self { path, text }
    }

    /// The blocks of code, and the text outside of them.
    pub(crate) fn parts(&self) -> (Vec<Block>, String) {
        let (mut blocks, mut prose): (Vec<Block>, String) = (Vec::new(), String::new());
        let mut open: Option<(usize, Block)> = None;
        let mut between = true;
        for (number, line) in self.text.lines().enumerate() {
            let inner = line.trim_start();
            match (&mut open, inner.strip_prefix("```")) {
                (None, Some(info)) => {
                    let (language, mark) = info.split_once(' ').unwrap_or((info, ""));
                    let block = Block {
                        place: format!("{}:{}", self.path.display(), number + 1),
                        language: language.to_owned(),
                        mark: mark.to_owned(),
                        text: String::new(),
                        follows: !between && !blocks.is_empty(),
                    };
                    open = Some((line.len() - inner.len(), block));
                }
                (Some(_), Some("")) => {
                    blocks.extend(open.take().map(|(_, block)| block));
                    between = false;
                }
                (Some((indent, block)), _) => {
                    block.text.push_str(line.get(*indent..).unwrap_or_default());
                    block.text.push('\n');
                }
                (None, None) => {
                    between |= !inner.is_empty();
                    prose.push_str(line);
                    prose.push('\n');
                }
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", self.path.display());
        (blocks, prose)
    }

    /// The first cells of the rows of all tables whose first column is called one of these, in code.
    pub(crate) fn first_cells(&self, columns: &[&str]) -> Vec<String> {
        let (_, prose) = self.parts();
        let mut cells = Vec::new();
        let mut is_in = false;
        for line in prose.lines() {
            let Some(row) = line.trim_start().strip_prefix("| ") else {
                is_in = false;
                continue;
            };
            let first = row.split(" |").next().unwrap_or_default();
            if columns.contains(&first) {
                is_in = true;
            } else if let Some(code) = first.strip_prefix('`').filter(|_| is_in) {
                cells.extend(code.split('`').next().map(str::to_owned));
            }
        }
        cells
    }
}

/// What stands in code, between single backticks.
pub(crate) fn code_words(prose: &str) -> Vec<&str> {
    prose.split('`').skip(1).step_by(2).collect()
}
