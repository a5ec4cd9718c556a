//! The dashboard and the alerts ask for metrics and labels that there are, and every metric is in the list of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use linkspan_tests::metrics::{METRICS, labels_of};
use linkspan_tests::yaml;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What Prometheus itself gives every sample.
const OF_PROMETHEUS: [&str; 2] = ["instance", "job"];

/// The words of an expression, and what is behind each.
fn words(expression: &str) -> Vec<(String, &str)> {
    let mut words = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '"') {
        rest = &rest[start..];
        if let Some(text) = rest.strip_prefix('"') {
            // A text has no words that matter.
            rest = &text[text.find('"').unwrap() + 1..];
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        words.push((word.to_owned(), behind));
        rest = behind;
    }
    words
}

/// The metrics of an expression, each in the list and with labels that it has; and the labels that are left of them.
fn check_expression(expression: &str) -> (BTreeSet<String>, BTreeSet<&'static str>) {
    let words = words(expression);
    let (mut metrics, mut labels) = (BTreeSet::new(), BTreeSet::from(OF_PROMETHEUS));
    for (word, behind) in words.iter().filter(|(word, _)| word.starts_with("linkspan_")) {
        let known = labels_of(word).unwrap_or_else(|| panic!("no metric {word}: {expression}"));
        let matchers =
            behind.strip_prefix('{').map_or("", |inner| &inner[..inner.find('}').unwrap()]);
        for (label, _) in self::words(matchers) {
            let is_known =
                known.contains(&label.as_str()) || OF_PROMETHEUS.contains(&label.as_str());
            assert!(is_known, "{word} has no label {label}: {expression}");
        }
        labels.extend(known);
        metrics.insert(word.clone());
    }
    assert!(!metrics.is_empty(), "no metric of ours: {expression}");
    for (_, behind) in words.iter().filter(|(word, _)| matches!(word.as_str(), "by" | "on")) {
        let group = behind.trim_start().strip_prefix('(').unwrap();
        for (label, _) in self::words(&group[..group.find(')').unwrap()]) {
            assert!(labels.contains(label.as_str()), "nothing has the label {label}: {expression}");
        }
    }
    (metrics, labels)
}

/// Checks the labels that a text takes from what an expression comes to: `{{ $labels.pod }}`, `{{pod}}`.
fn check_text(text: &str, labels: &BTreeSet<&str>) {
    for taken in text.split("{{").skip(1) {
        let label = taken.split("}}").next().unwrap().trim().trim_start_matches("$labels.");
        assert!(labels.contains(label), "nothing has the label {label}: {text}");
    }
}

fn strings<'a>(value: &'a Value, key: &str, found: &mut Vec<(&'a str, &'a Value)>) {
    match value {
        Value::Object(map) => {
            if let Some(text) = map.get(key).and_then(Value::as_str) {
                found.push((text, value));
            }
            map.values().for_each(|value| strings(value, key, found));
        }
        Value::Array(items) => items.iter().for_each(|value| strings(value, key, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_what_is_told() {
    let text = fs::read_to_string(root().join("config/monitoring/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut expressions = Vec::new();
    strings(&dashboard["panels"], "expr", &mut expressions);
    let mut asked = BTreeSet::new();
    for (expression, target) in expressions {
        let (metrics, labels) = check_expression(expression);
        check_text(target["legendFormat"].as_str().unwrap_or_default(), &labels);
        asked.extend(metrics);
    }
    let mut variables = Vec::new();
    strings(&dashboard["templating"], "query", &mut variables);
    for (query, _) in variables.iter().filter(|(query, _)| query.starts_with("label_values")) {
        let (metrics, labels) = check_expression(query);
        asked.extend(metrics);
        let label = query.trim_end_matches(')').rsplit(", ").next().unwrap();
        assert!(labels.contains(label), "{query}");
    }
    // What the dashboard leaves out on purpose: sums that others have, and what only people compare.
    let left_out = [
        "linkspan_configuration_errors_total",
        "linkspan_device_model",
        "linkspan_dhcp_releases_total",
    ];
    for (name, _) in METRICS.iter().filter(|(name, _)| !left_out.contains(name)) {
        assert!(asked.iter().any(|asked| asked.starts_with(name)), "{name} is not shown");
    }
    let mut identities: Vec<_> =
        dashboard["panels"].as_array().unwrap().iter().map(|p| &p["id"]).collect();
    let all = identities.len();
    identities.dedup();
    assert_eq!(identities.len(), all, "each panel has a number of its own");
}

#[test]
fn the_alerts_ask_for_what_is_told() {
    let text = fs::read_to_string(root().join("config/monitoring/alerts.yaml")).unwrap();
    let rules = yaml::documents(&text).pop().unwrap();
    let mut alerts = Vec::new();
    strings(&rules["spec"]["groups"], "expr", &mut alerts);
    assert!(alerts.len() > 10, "{rules:#}");
    let mut names = BTreeSet::new();
    for (expression, alert) in alerts {
        let (_, labels) = check_expression(expression);
        for part in ["summary", "description"] {
            let text = alert["annotations"][part].as_str();
            check_text(text.unwrap_or_else(|| panic!("no {part}: {alert:#}")), &labels);
        }
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["info", "warning", "critical"].contains(&severity), "{alert:#}");
        assert!(
            names.insert(alert["alert"].as_str().unwrap()),
            "two alerts of one name: {alert:#}"
        );
    }
}

#[test]
fn the_list_of_metrics_is_that_of_the_code() {
    let mut told = BTreeSet::new();
    for folder in ["device-plugin/src", "ipam-dhcp/src"] {
        let mut files = Vec::new();
        rust_files(&root().join(folder), &mut files);
        for file in files {
            let text = fs::read_to_string(file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let literals = code.split('"').skip(1).step_by(2);
            let is_metric = |text: &&str| text.starts_with("linkspan_") && !text.contains(' ');
            told.extend(literals.filter(is_metric).map(str::to_owned));
        }
    }
    let listed: BTreeSet<String> = METRICS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(told, listed);
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
