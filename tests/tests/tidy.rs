//! The rules of the house that a program can check.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The Rust files below a folder.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let hidden = path.file_name().unwrap().to_string_lossy().starts_with('.');
        if path.is_dir() && !hidden && !path.ends_with("target") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn every_file() -> Vec<(PathBuf, String)> {
    let mut paths = Vec::new();
    rust_files(root(), &mut paths);
    assert!(paths.len() > 50, "the files of the workspace are found");
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn each_file_says_at_its_top_what_it_is_for() {
    for (path, text) in every_file() {
        // The tests of a module stand beside it and need no introduction.
        let is_tests = path.file_stem().unwrap().to_string_lossy().ends_with("tests");
        assert!(text.starts_with("//! ") || is_tests, "{}: begin with `//! ...`", path.display());
    }
}

#[test]
fn unsafe_stands_in_linux_only() {
    let keyword = ["uns", "afe"].concat();
    for (path, text) in every_file() {
        if !path.starts_with(root().join("linux")) {
            let found = text.lines().find(|line| {
                let code = line.split("//").next().unwrap();
                code.contains(&format!("{keyword} {{")) || code.contains(&format!("{keyword} fn"))
            });
            assert_eq!(found, None, "{}: move it to linux/", path.display());
        }
    }
}

/// The crate linux has its own copy of the lints, as Cargo can't change a single one of an inherited table.
#[test]
fn the_lints_of_linux_are_the_workspaces_but_for_unsafe_code() {
    let lints = |file: &str, prefix: &str| -> Vec<String> {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let mut inside = false;
        let mut lines = Vec::new();
        for line in text.lines() {
            if line.starts_with('[') {
                inside = line.starts_with(&format!("[{prefix}lints."));
            }
            let is_lint = inside && line.contains('=') && !line.starts_with('#');
            if is_lint && !line.starts_with("unsafe_code") {
                lines.push(line.to_owned());
            }
        }
        lines
    };
    let workspace = lints("Cargo.toml", "workspace.");
    assert!(workspace.len() > 5, "the workspace's lints are found: {workspace:?}");
    assert_eq!(lints("linux/Cargo.toml", ""), workspace);
}

/// A promise whose test was renamed or removed is a promise without a test.
#[test]
fn each_test_that_the_specification_names_exists() {
    let specification = fs::read_to_string(root().join("SPECIFICATION.md")).unwrap();
    let sources: String = every_file().into_iter().map(|(_, text)| text).collect();
    let names = specification.split('`').skip(1).step_by(2).filter(|name| {
        let is_name =
            name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        is_name && name.matches('_').count() > 2
    });
    let mut count = 0;
    for name in names {
        assert!(sources.contains(&format!("fn {name}(")), "SPECIFICATION.md names {name}");
        count += 1;
    }
    assert!(count > 20, "the names are found: {count}");
}
