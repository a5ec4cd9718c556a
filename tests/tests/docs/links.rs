//! Every link within the repository leads to a file, and to a heading of it.

use std::path::{Component, Path, PathBuf};

use crate::page::{Page, page, pages, root};

#[test]
fn each_link_leads_somewhere() {
    let others = ["ARCHITECTURE.md", "SPECIFICATION.md", "hw-tests/README.md"].map(page);
    let mut count = 0;
    for page in pages().into_iter().chain(others) {
        for target in targets(&page) {
            if target.contains("://") {
                continue;
            }
            count += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = match file {
                "" => page.path.clone(),
                file => plain(&page.path.parent().unwrap().join(file)),
            };
            let place = format!("{} links to {target}", page.path.display());
            assert!(root().join(&path).exists(), "{place}, but there is no {}", path.display());
            if !anchor.is_empty() {
                let anchors = anchors(&Page::read(path));
                assert!(
                    anchors.iter().any(|a| a == anchor),
                    "{place}, expected one of {anchors:?}"
                );
            }
        }
    }
    assert!(count > 30, "links are found: {count}");
}

#[test]
fn each_page_of_docs_is_in_the_index() {
    let index = targets(&page("docs/README.md"));
    for page in pages() {
        let name = page.path.file_name().unwrap().to_str().unwrap();
        if name != "README.md" {
            assert!(index.iter().any(|target| target == name), "docs/README.md lacks {name}");
        }
    }
}

fn targets(page: &Page) -> Vec<String> {
    let (_, prose) = page.parts();
    let links = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let sources = prose.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.chain(sources).map(str::to_owned).collect()
}

/// As GitHub makes them of headings.
fn anchors(page: &Page) -> Vec<String> {
    let (_, prose) = page.parts();
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// Without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}
