//! What the pages say of messages, metrics, keys and flags is what the code has, and nothing of it is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use linkspan_config::net_conf::{self, IpamName, KindName};
use linkspan_tests::program::program;

use crate::page::{Page, code_words, page, pages, root};

/// The texts of a folder's Rust files, but for those of tests.
fn sources(folder: &str) -> String {
    fn read(folder: &Path, all: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_tests = path.file_stem().unwrap().to_str().unwrap().ends_with("tests");
            if is_tests {
                continue;
            }
            if path.is_dir() {
                read(&path, all);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(path).unwrap();
                all.push_str(text.split("#[cfg(test)]\nmod ").next().unwrap());
            }
        }
    }
    let mut all = String::new();
    read(&root().join(folder).join("src"), &mut all);
    all
}

/// A program's texts as they are shown: without line ends, and with `…` for what differs.
fn shown(source: &str) -> String {
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let mut rest = lines.join("\n").replace("\\\n", "").replace("\\\"", "\"");
    let mut shown = String::new();
    while let Some(begin) = rest.find('{') {
        let end = rest[begin..].find('}').map(|length| begin + length);
        let Some(end) = end.filter(|end| !rest[begin..*end].contains([' ', '\n'])) else {
            shown.push_str(&rest[..=begin]);
            rest.drain(..=begin);
            continue;
        };
        shown.push_str(&rest[..begin]);
        shown.push('…');
        rest.drain(..=end);
    }
    shown + &rest
}

#[test]
fn each_message_is_the_codes() {
    let crates =
        ["cni", "config", "ctl", "daemon", "device-plugin", "ipam-dhcp", "linux", "log", "types"];
    let code: String = crates.into_iter().map(|folder| shown(&sources(folder))).collect();
    let (_, prose) = page("docs/troubleshooting.md").parts();
    let quoted = |line| Some(str::strip_prefix(line, "**`")?.split_once("`**")?.0);
    let fixed = |message: &str| message.trim_matches('`').trim_matches([' ', '…', ':']).to_owned();
    let messages: Vec<String> = prose.lines().filter_map(quoted).map(fixed).collect();
    assert!(messages.len() > 30, "messages are found: {messages:?}");
    let unknown: Vec<_> = messages.iter().filter(|message| !code.contains(*message)).collect();
    assert!(unknown.is_empty(), "docs/troubleshooting.md has what no message says: {unknown:#?}");
}

fn is_metric(name: &str) -> bool {
    name.starts_with("linkspan_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

#[test]
fn each_metric_is_told_and_each_that_is_told_exists() {
    let code: String = ["device-plugin", "ipam-dhcp", "daemon"].map(sources).concat();
    let made: BTreeSet<&str> = code.split('"').filter(|text| is_metric(text)).collect();
    let metrics = page("docs/metrics.md");
    let told = metrics.first_cells(&["metric"]);
    let told: BTreeSet<&str> = told.iter().map(String::as_str).collect();
    assert!(made.len() > 20, "metrics are found: {made:?}");
    assert_eq!(told, made);
    for page in pages() {
        for word in code_words(&page.parts().1) {
            let name = word.split(['{', ' ']).next().unwrap_or_default();
            let place = page.path.display();
            assert!(!is_metric(name) || made.contains(name), "{place} tells of {name}");
        }
    }
}

#[test]
fn each_figure_is_of_the_last_measurement() {
    let results = fs::read_to_string(root().join("bench/results.md")).unwrap();
    let measured: BTreeSet<&str> =
        results.split(|c: char| !(c.is_ascii_digit() || c == '.')).collect();
    let readme = page("README.md").text;
    let part = readme.split("\n## ").find(|part| part.starts_with("What it costs")).unwrap();
    let cells = part.lines().filter(|line| line.starts_with("| ")).flat_map(|row| row.split('|'));
    let is_unit = |word: &&str| ["ms", "MiB", "times"].contains(word);
    let mut count = 0;
    for cell in cells.map(str::trim) {
        let mut words = cell.split(' ');
        let (Some(number), Some(_)) = (words.next(), words.next().filter(is_unit)) else {
            continue;
        };
        assert!(measured.contains(number), "README.md: bench/results.md has no {number} ({cell})");
        count += 1;
    }
    assert!(count > 15, "figures are found: {count}");
}

/// The words of a list of the configuration's crate.
fn listed(file: &str, begin: &str, end: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("config/src").join(file)).unwrap();
    let at = text.find(begin).unwrap_or_else(|| panic!("{file} has no {begin}"));
    let list = text[at..].split(end).next().unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The keys of all configurations, by the name of the column that tells of them.
fn known_keys() -> BTreeMap<&'static str, Vec<String>> {
    let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    let of_kinds = KindName::ALL.map(net_conf::known_keys).concat();
    let of_ipam = [IpamName::HostLocal, IpamName::Static, IpamName::Dhcp];
    let of_ipam = of_ipam.map(net_conf::known_ipam_keys).concat();
    let lists = ["const COMMON_KEYS", "const DEVICE_KEYS", "const SHARES_KEYS"];
    let of_pools = lists.map(|list| listed("resource_list.rs", list, "];")).concat();
    BTreeMap::from([
        ("key of a network", owned(&of_kinds)),
        ("key of `ipam`", owned(&of_ipam)),
        ("key of a range", listed("net_conf/host_local/ranges.rs", "const RANGE_KEYS", "];")),
        ("key of a pool", of_pools),
        ("key of `provision`", listed("resource_list/provision.rs", "const KEYS", "];")),
        ("selector", listed("resource_list/selector.rs", "const KEYS", "\n};")),
    ])
}

#[test]
fn each_key_is_told_and_each_that_is_told_exists() {
    let (mut words, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for page in pages() {
        words.extend(code_words(&page.parts().1).into_iter().map(str::to_owned));
        for column in known_keys().into_keys() {
            cells.extend(page.first_cells(&[column]).into_iter().map(|key| (column, key)));
        }
    }
    for (column, known) in known_keys() {
        assert!(known.len() > 3, "keys are found: {column}: {known:?}");
        let told: Vec<&String> =
            cells.iter().filter(|(c, _)| *c == column).map(|(_, k)| k).collect();
        assert!(!told.is_empty(), "no table tells of a {column}");
        for key in told {
            assert!(known.contains(key), "docs/ tells of a {column} that is not there: {key}");
        }
        let untold: Vec<_> = known.iter().filter(|key| !words.contains(*key)).collect();
        assert!(untold.is_empty(), "docs/ tells nothing of a {column}: {untold:?}");
    }
}

#[test]
fn each_kind_s_page_tells_of_its_own_keys() {
    for kind in KindName::ALL {
        let known = net_conf::known_keys(kind);
        for key in page(&format!("docs/{kind}.md")).first_cells(&["key of a network"]) {
            assert!(known.contains(&key.as_str()), "docs/{kind}.md tells of {key}");
        }
    }
}

#[test]
fn each_flag_is_told_and_each_that_is_told_exists() {
    for (name, file) in
        [("linkspan-device-plugin", "docs/pools.md"), ("linkspan-dhcp", "docs/dhcp.md")]
    {
        let help = Command::new(program(name)).arg("--help").output().unwrap().stdout;
        let help = String::from_utf8(help).unwrap();
        let mut has: BTreeSet<String> = help.lines().filter_map(flag).collect();
        // Every program has them.
        has.remove("help");
        let told: BTreeSet<String> = told_flags(&page(file));
        assert!(has.len() > 5, "flags are found: {has:?}");
        assert_eq!(told, has, "{file}");
    }
}

fn help(arguments: &[&str]) -> String {
    let help = Command::new(program("linkspan")).args(arguments).output().unwrap().stdout;
    String::from_utf8(help).unwrap()
}

/// The page has a part for each verb, under its name, with a table of its flags.
#[test]
fn each_verb_of_the_command_line_is_told_and_each_that_is_told_exists() {
    let all = help(&["--help"]);
    let verbs = all.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs = verbs.take_while(|line| !line.is_empty());
    let has: BTreeSet<&str> = verbs.filter_map(|line| line.split_whitespace().next()).collect();
    let page = page("docs/command-line.md");
    let parts = page.text.split("\n## ").skip(1);
    let parts: BTreeMap<&str, &str> = parts.filter_map(|part| part.split_once('\n')).collect();
    assert_eq!(parts.keys().copied().collect::<BTreeSet<_>>(), has, "docs/command-line.md");
    for (verb, part) in parts {
        let part = Page { path: verb.into(), text: part.to_owned() };
        let mut flags: BTreeSet<String> =
            help(&[verb, "--help"]).lines().filter_map(flag).collect();
        flags.remove("help");
        assert_eq!(told_flags(&part), flags, "docs/command-line.md, {verb}");
    }
}

#[test]
fn each_check_of_the_doctor_is_told_and_each_that_is_told_exists() {
    let folder = root().join("ctl/src/doctor/checks");
    let mut code = String::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        code.push_str(text.split("#[cfg(test)]\nmod ").next().unwrap());
    }
    code.push_str(&fs::read_to_string(root().join("ctl/src/doctor/checks.rs")).unwrap());
    let begun = ["Finding::error(", "Finding::warning("];
    let made = begun.into_iter().flat_map(|begin| code.split(begin).skip(1));
    let name =
        |rest: &str| Some(rest.trim_start().strip_prefix('"')?.split_once('"')?.0.to_owned());
    let made: BTreeSet<String> = made.filter_map(name).collect();
    let told = page("docs/command-line.md").first_cells(&["check"]);
    assert!(made.len() > 10, "checks are found: {made:?}");
    for check in &made {
        assert!(told.contains(check), "docs/command-line.md lacks the check {check}");
    }
    for check in told {
        let word = format!("\"{check}\"");
        assert!(code.contains(&word), "docs/command-line.md tells of a check {check}");
    }
}

/// The name of the flag that a line of a help begins with, a short one before it or none.
fn flag(line: &str) -> Option<String> {
    let line = line.trim_start();
    let long = line.strip_prefix("--").or_else(|| {
        let (short, long) = line.split_once(", --")?;
        (short.len() == 2 && short.starts_with('-')).then_some(long)
    });
    Some(long?.split([' ', ',', '=']).next()?.to_owned())
}

fn told_flags(page: &Page) -> BTreeSet<String> {
    page.first_cells(&["flag"]).iter().filter_map(|cell| flag(cell)).collect()
}
