//! A release as the program `dist` writes it: what an operator needs is in it, its sums are right, and it is the same
//! each time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod built;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;
use linkspan_release::digest::sha256;
use serde_json::Value;

use built::{AARCH64, X86_64, built, files, unpacked};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes a release for both machines.
fn dist(within: &Path, name: &str) -> BTreeMap<String, Vec<u8>> {
    let out = within.join(name);
    let done = Command::new(env!("CARGO_BIN_EXE_dist"))
        .arg(&out)
        .args([X86_64, AARCH64].map(|machine| built(within, machine)))
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let read = |entry: fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    };
    fs::read_dir(out).unwrap().map(|entry| read(entry.unwrap())).collect()
}

#[test]
fn a_release_has_what_an_operator_needs_and_is_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let release = dist(folder.path(), "first");
    for machine in ["amd64", "arm64"] {
        let archive = &release[&format!("linkspan-{VERSION}-linux-{machine}.tar.gz")];
        let files = files(&unpacked(GzDecoder::new(&archive[..])));
        for part in [
            "bin/linkspan",
            "bin/linkspan-ctl",
            "bin/linkspan-device-plugin",
            "bin/linkspan-dhcp",
            "LICENSE",
            "README.md",
            "config/deploy/all/kustomization.yaml",
            "docs/install.md",
            "share/bash-completion/completions/linkspan",
            "share/fish/vendor_completions.d/linkspan.fish",
            "share/zsh/site-functions/_linkspan",
            "share/bash-completion/completions/linkspan-dhcp",
            "share/man/man8/linkspan-device-plugin.8",
        ] {
            assert!(files.contains_key(&format!("linkspan-{VERSION}/{part}")), "{part}");
        }
        assert!(!files.keys().any(|path| path.contains("/src/")), "{:?}", files.keys());
        let page = &files[&format!("linkspan-{VERSION}/share/man/man1/linkspan-install.1")];
        let page = String::from_utf8_lossy(page);
        assert!(page.contains(".TH linkspan-install 1") && page.contains("stay"), "{page}");
    }
    for line in String::from_utf8_lossy(&release["SHA256SUMS"]).lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        assert_eq!(sha256(&release[name]), sum, "{name}");
    }
    assert_eq!(String::from_utf8_lossy(&release["SHA256SUMS"]).lines().count(), release.len() - 1);
    assert!(release == dist(folder.path(), "second"));

    let bill = &release[&format!("linkspan-{VERSION}.cdx.json")];
    let bill: Value = serde_json::from_slice(bill).unwrap();
    let components = bill["components"].as_array().unwrap();
    let has = |name: &str| components.iter().any(|component| component["name"] == name);
    for name in ["linkspan-cni", "linkspan-ctl", "linkspan-dhcp", "rustix", "tonic"] {
        assert!(has(name), "{name}");
    }
    for name in ["linkspan-tests", "linkspan-release", "proptest", "tempfile", "protox"] {
        assert!(!has(name), "{name}");
    }
    for component in components {
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
    }
}

/// Who has unpacked an archive has no repository to look further.
#[test]
fn what_the_pages_of_an_archive_lead_to_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let release = dist(folder.path(), "linked");
    let archive = &release[&format!("linkspan-{VERSION}-linux-amd64.tar.gz")];
    let files = files(&unpacked(GzDecoder::new(&archive[..])));
    let mut count = 0;
    let is_page = |path: &str| Path::new(path).extension().is_some_and(|ending| ending == "md");
    for (path, bytes) in files.iter().filter(|(path, _)| is_page(path)) {
        let text = String::from_utf8_lossy(bytes);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let targets = targets.map(|target| target.split('#').next().unwrap());
        for target in targets.filter(|target| !target.is_empty() && !target.contains(':')) {
            let place = normal(&Path::new(path).parent().unwrap().join(target));
            let is_there = files.keys().any(|file| Path::new(file).starts_with(&place));
            assert!(is_there, "{path} leads to {target}");
            count += 1;
        }
    }
    assert!(count > 50, "the links are found: {count}");
}

/// The path without `..`.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, part| {
        if part == Component::ParentDir {
            normal.pop();
        } else {
            normal.push(part);
        }
        normal
    })
}

#[test]
fn shells_read_their_completions() {
    let files: BTreeMap<_, _> =
        linkspan_release::command_line::files().unwrap().into_iter().collect();
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("linkspan");
    let script_bytes = &files["share/bash-completion/completions/linkspan"];
    fs::write(&script, script_bytes).unwrap();
    // Completes `linkspan unin` as bash would.
    let ask = r#". "$1" && COMP_WORDS=(linkspan unin) COMP_CWORD=1 && _linkspan linkspan unin linkspan &&
        echo "${COMPREPLY[@]}""#;
    let output = Command::new("bash").args(["-c", ask, "bash"]).arg(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "uninstall", "{output:?}");
}
