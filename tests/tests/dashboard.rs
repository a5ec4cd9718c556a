//! The dashboard is one that Grafana can show, as far as its published model of dashboards says (the classic one, of
//! schema version 36 and later). No Grafana is asked.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// The kinds of panel that the dashboard uses, of those that every Grafana has.
const PANELS: [&str; 4] = ["row", "stat", "table", "timeseries"];
/// The units that it uses, of those that Grafana knows.
const UNITS: [&str; 4] = ["bps", "pps", "s", "short"];
/// How many columns a dashboard has.
const COLUMNS: u64 = 24;

fn dashboard() -> Value {
    serde_json::from_str(include_str!("../../config/monitoring/dashboard.json")).unwrap()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What Grafana would not show, or not as it is meant.
fn faults(dashboard: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expect = |met: bool, what: String| {
        if !met {
            faults.push(what);
        }
    };
    let uid = dashboard["uid"].as_str().unwrap_or_default();
    expect((8..=40).contains(&uid.len()), format!("uid {uid:?}: 8 to 40 characters"));
    expect(dashboard["title"].is_string(), "no title".to_owned());
    expect(dashboard["schemaVersion"].as_u64() >= Some(36), "an old schemaVersion".to_owned());
    expect(dashboard.get("id").is_none_or(Value::is_null), "an id is one server's".to_owned());
    let mut variables = BTreeSet::new();
    for variable in items(&dashboard["templating"]["list"]) {
        let name = variable["name"].as_str().unwrap_or_default();
        expect(variables.insert(name), format!("two variables {name}"));
        let kind = variable["type"].as_str().unwrap_or_default();
        expect(["query", "datasource"].contains(&kind), format!("variable {name}: type {kind:?}"));
        expect(variable["query"].is_string(), format!("variable {name}: no query"));
    }
    let mut identities = BTreeSet::new();
    for panel in items(&dashboard["panels"]) {
        let title = panel["title"].as_str().unwrap_or_default();
        expect(!title.is_empty(), format!("panel {}: no title", panel["id"]));
        let is_new = panel["id"].as_u64().is_some_and(|id| id > 0 && identities.insert(id));
        expect(is_new, format!("{title}: id {}: a number of its own", panel["id"]));
        for fault in faults_of_panel(panel, &variables) {
            expect(false, format!("{title}: {fault}"));
        }
    }
    faults.extend(overlaps(items(&dashboard["panels"])));
    faults
}

fn faults_of_panel(panel: &Value, variables: &BTreeSet<&str>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expect = |met: bool, what: &str, seen: &Value| {
        if !met {
            faults.push(format!("{what}: {seen}"));
        }
    };
    let kind = panel["type"].as_str().unwrap_or_default();
    expect(PANELS.contains(&kind), "type", &panel["type"]);
    expect(place(panel).is_some_and(Place::is_on_the_board), "gridPos", &panel["gridPos"]);
    if kind == "row" {
        expect(panel["collapsed"].is_boolean(), "collapsed", &panel["collapsed"]);
        expect(panel["panels"].is_array(), "panels", &panel["panels"]);
        return faults;
    }
    expect(is_prometheus(&panel["datasource"], variables), "datasource", &panel["datasource"]);
    expect(!items(&panel["targets"]).is_empty(), "targets", &panel["targets"]);
    let mut references = BTreeSet::new();
    for target in items(&panel["targets"]) {
        let reference = target["refId"].as_str();
        expect(reference.is_some() && references.insert(reference), "refId", &target["refId"]);
        expect(is_prometheus(&target["datasource"], variables), "target", &target["datasource"]);
        let expression = target["expr"].as_str().unwrap_or_default();
        let known = variables_of(expression).all(|name| variables.contains(name));
        expect(!expression.is_empty() && known, "expr", &target["expr"]);
        if kind == "table" {
            expect(target["format"] == "table", "a table's format", &target["format"]);
        }
        if kind == "timeseries" {
            expect(target["legendFormat"].is_string(), "legendFormat", &target["legendFormat"]);
        }
    }
    let defaults = &panel["fieldConfig"]["defaults"];
    expect(defaults.is_object(), "fieldConfig.defaults", defaults);
    expect(panel["fieldConfig"]["overrides"].is_array(), "overrides", &panel["fieldConfig"]);
    let is_known = |unit: &str| UNITS.contains(&unit);
    expect(kind == "table" || defaults["unit"].as_str().is_some_and(is_known), "unit", defaults);
    let thresholds = &defaults["thresholds"];
    expect(thresholds.is_null() || are_thresholds(thresholds), "thresholds", thresholds);
    faults
}

/// The first step is from minus infinity on, for which JSON has `null`; the others rise.
fn are_thresholds(thresholds: &Value) -> bool {
    let steps = items(&thresholds["steps"]);
    let values: Vec<Option<f64>> = steps.iter().map(|step| step["value"].as_f64()).collect();
    thresholds["mode"] == "absolute"
        && steps.first().is_some_and(|first| first["value"].is_null())
        && values[1..].iter().all(Option::is_some)
        && values.is_sorted()
        && steps.iter().all(|step| step["color"].is_string())
}

fn is_prometheus(source: &Value, variables: &BTreeSet<&str>) -> bool {
    let uid = source["uid"].as_str().unwrap_or_default();
    let variable = uid.strip_prefix("${").and_then(|name| name.strip_suffix('}'));
    source["type"] == "prometheus" && variable.is_some_and(|name| variables.contains(name))
}

/// The dashboard's variables in an expression: `$node`; Grafana's own begin with two underscores.
fn variables_of(expression: &str) -> impl Iterator<Item = &str> {
    let names = expression.split('$').skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    });
    names.filter(|name| !name.starts_with("__"))
}

/// Where a panel is: columns and rows.
#[derive(Clone, Copy)]
struct Place {
    x: u64,
    y: u64,
    w: u64,
    h: u64,
}

impl Place {
    fn is_on_the_board(self) -> bool {
        self.w > 0 && self.h > 0 && self.x + self.w <= COLUMNS
    }

    fn overlaps(self, other: Self) -> bool {
        self.x < other.x + other.w
            && other.x < self.x + self.w
            && self.y < other.y + other.h
            && other.y < self.y + self.h
    }
}

fn place(panel: &Value) -> Option<Place> {
    let number = |key: &str| panel["gridPos"][key].as_u64();
    Some(Place { x: number("x")?, y: number("y")?, w: number("w")?, h: number("h")? })
}

fn overlaps(panels: &[Value]) -> Vec<String> {
    let places: Vec<(&Value, Place)> =
        panels.iter().filter_map(|panel| Some((&panel["title"], place(panel)?))).collect();
    let pairs =
        places.iter().enumerate().flat_map(|(n, a)| places[..n].iter().map(move |b| (a, b)));
    let overlapping = pairs.filter(|((_, a), (_, b))| a.overlaps(*b));
    overlapping.map(|((a, _), (b, _))| format!("{a} overlaps {b}")).collect()
}

#[test]
fn the_dashboard_is_one_that_grafana_can_show() {
    assert_eq!(faults(&dashboard()), [""; 0]);
    assert!(items(&dashboard()["panels"]).len() > 20);
}

#[test]
fn a_dashboard_that_grafana_can_not_show_is_noticed() {
    let graph =
        dashboard()["panels"].as_array().unwrap().iter().position(|p| p["id"] == 8).unwrap();
    let of_graph = |rest: &str| format!("/panels/{graph}{rest}");
    let target = |key: &str| of_graph(&format!("/targets/0/{key}"));
    for (place, value, expected) in [
        ("/uid".to_owned(), json!("short"), "uid \"short\": 8 to 40 characters"),
        ("/schemaVersion".to_owned(), json!(16), "an old schemaVersion"),
        ("/templating/list/1/name".to_owned(), json!("datasource"), "two variables datasource"),
        (of_graph("/type"), json!("graph"), "Held by pods: type: \"graph\""),
        (of_graph("/id"), json!(1), "Held by pods: id 1: a number of its own"),
        (
            of_graph("/gridPos/w"),
            json!(25),
            "Held by pods: gridPos: {\"h\":8,\"w\":25,\"x\":0,\"y\":5}",
        ),
        (of_graph("/gridPos/h"), json!(9), "\"Ill devices, and why\" overlaps \"Held by pods\""),
        (of_graph("/datasource/uid"), json!("P1"), "Held by pods: datasource: "),
        (of_graph("/targets"), json!([]), "Held by pods: targets: []"),
        (target("refId"), json!("B"), "Held by pods: refId: \"B\""),
        (target("expr"), json!("sum($pol)"), "Held by pods: expr: \"sum($pol)\""),
        (of_graph("/fieldConfig/defaults/unit"), json!("bits"), "Held by pods: unit: "),
        (
            "/panels/1/fieldConfig/defaults/thresholds/steps/0/value".to_owned(),
            json!(0),
            "Devices that do not: thresholds: ",
        ),
    ] {
        let mut changed = dashboard();
        *changed.pointer_mut(&place).unwrap() = value;
        let found = faults(&changed);
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{place}: {found:#?}");
    }
}
