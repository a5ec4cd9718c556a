//! Every command of the pages is run, or says why not.
//!
//! A block of `sh` is run in a folder of its page's own, in which each block that has `file=NAME` is a file. With `repo` it is
//! run at the top of the repository, with `fails` it has to fail, and with `not-run: REASON` it is not run. A block of
//! `text` behind it is what it prints, with `…` for what differs.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use linkspan_tests::program::program;
use tempfile::TempDir;

use crate::page::{Block, Page, pages, root};

const LANGUAGES: [&str; 5] = ["sh", "json", "yaml", "text", "promql"];

#[test]
fn each_command_is_run_or_says_why_not() {
    let mut count = 0;
    for page in pages() {
        count += run_all(&page);
    }
    assert!(count > 3, "commands are found: {count}");
}

/// Runs a page's commands, and counts them.
fn run_all(page: &Page) -> usize {
    let folder = TempDir::new().unwrap();
    let (blocks, _) = page.parts();
    let mut count = 0;
    for (number, block) in blocks.iter().enumerate() {
        assert!(
            LANGUAGES.contains(&block.language.as_str()),
            "{}: {:?} is a block that no test knows, expected one of {LANGUAGES:?}",
            block.place,
            block.language
        );
        if let Some(name) = block.mark.split(' ').find_map(|mark| mark.strip_prefix("file=")) {
            fs::write(folder.path().join(name), &block.text).unwrap();
        }
        if block.language != "sh" {
            continue;
        }
        if let Some(reason) = block.mark.strip_prefix("not-run: ") {
            assert!(reason.len() > 10, "{}: say why it is not run", block.place);
            continue;
        }
        count += 1;
        let shown = blocks.get(number + 1).filter(|next| next.follows && next.language == "text");
        run(block, folder.path(), shown);
    }
    count
}

fn run(block: &Block, folder: &Path, shown: Option<&Block>) {
    let place = &block.place;
    let (folder, should_fail) = match block.mark.as_str() {
        "" => (folder, false),
        "fails" => (folder, true),
        "repo" => (root(), false),
        other => panic!("{place}: {other:?} is no mark, expected repo, fails or not-run: REASON"),
    };
    let programs = program("linkspan");
    let path = format!(
        "{}:{}",
        programs.parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let script = format!("set -euo pipefail\n{}", block.text);
    let mut command = Command::new("bash");
    let Output { status, stdout, stderr } =
        command.args(["-c", &script]).current_dir(folder).env("PATH", path).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(status.success(), !should_fail, "{place}: {status}\n{stdout}{stderr}");
    if let Some(shown) = shown {
        assert!(is_shown(&stdout, &shown.text), "{}: it prints\n{stdout}", shown.place);
    }
}

/// Whether a text is the one of a page, in which `…` stands for what differs.
fn is_shown(text: &str, shown: &str) -> bool {
    let mut parts = shown.trim_end().split('…');
    let Some(mut rest) = text.trim_end().strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut is_open = false;
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        (rest, is_open) = (after, part.is_empty());
    }
    is_open || rest.is_empty()
}

#[test]
fn a_text_is_shown_but_for_what_differs() {
    for (text, shown, is) in [
        ("a b c", "a b c", true),
        ("a b c\n", "a … c", true),
        ("a b c", "a …", true),
        ("a b c", "a b", false),
        ("a b c", "b c", false),
        ("a b c", "a … d", false),
        ("a b c d", "a … c", false),
    ] {
        assert_eq!(is_shown(text, shown), is, "{text:?} as {shown:?}");
    }
}
