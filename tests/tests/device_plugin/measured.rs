//! What the plugin tells Prometheus and who watches over it.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use linkspan_tests::scrape;
use linkspan_tests::wait::until;
use serde_json::{Value, json};

use crate::{BOUND, Node, fast};

const FAST: &str = "linkspan.dev/fast";

/// The status and the text of an answer.
fn get(node: &Node, path: &str) -> (u16, String) {
    let (status, head, body) = scrape::get(&node.directory.path().join("metrics.sock"), path);
    assert!(path != "/metrics" || head.contains("text/plain; version=0.0.4"), "{head}");
    (status, body)
}

pub(crate) fn metrics(node: &Node) -> String {
    let (status, text) = get(node, "/metrics");
    assert_eq!(status, 200);
    is_sound(&text);
    text
}

/// Each series once, below what it is, with a number; each family's lines together.
fn is_sound(text: &str) {
    let mut series = BTreeSet::new();
    let (mut families, mut family) = (BTreeSet::new(), "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap();
            assert!(families.insert(family), "{family} twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let kind = rest.strip_prefix(family).unwrap().trim();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", family.ends_with("_total"), "{line}");
        } else {
            let (name, number) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with(family) && series.insert(name), "{line}");
            number.parse::<f64>().unwrap();
        }
    }
}

fn assert_told(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|told| told == *line), "{line} is not in\n{text}");
    }
}

#[test]
fn devices_holders_and_events_are_told() {
    let node = Node::start(json!([
        {"resourceName": "fast", "selectors": {"pfNames": ["ens1"]}},
        {"resourceName": "slow", "selectors": {"pfNames": ["ens2#0-1"]}}
    ]));
    node.wait_for_devices(FAST, 4);
    node.wait_for_devices("linkspan.dev/slow", 2);
    node.kubelet.run_pod("ns", "p", FAST, &["0000:01:10.2"]).unwrap();
    node.kubelet.allocate(FAST, &["0000:ff:10.2"]).unwrap_err();
    let told = metrics(&node);
    assert_told(
        &told,
        &[
            r#"linkspan_devices{pool="linkspan.dev/fast",pf="0000:01:00.0",health="healthy"} 4"#,
            r#"linkspan_devices{pool="linkspan.dev/fast",pf="0000:01:00.0",health="unhealthy"} 0"#,
            r#"linkspan_devices{pool="linkspan.dev/slow",pf="0000:81:00.0",health="healthy"} 2"#,
            r#"linkspan_device_model{pf="0000:01:00.0",interface="ens1",id="8086:10ca",vendor="Intel Corporation",model="82576 Virtual Function"} 1"#,
            r#"linkspan_device_held{pool="linkspan.dev/fast",device="0000:01:10.2",namespace="ns",pod="p",container="app"} 1"#,
            r#"linkspan_allocations_total{pool="linkspan.dev/fast"} 1"#,
            r#"linkspan_allocation_failures_total{pool="linkspan.dev/fast"} 1"#,
            r#"linkspan_allocations_total{pool="linkspan.dev/slow"} 0"#,
            r#"linkspan_registrations_total{pool="linkspan.dev/slow"} 1"#,
            r#"linkspan_registration_failures_total{pool="linkspan.dev/slow"} 0"#,
            r#"linkspan_kubelet_streams{pool="linkspan.dev/slow"} 1"#,
            "linkspan_configuration_refused 0",
        ],
    );
    let looks =
        told.lines().find_map(|l| l.strip_prefix("linkspan_rescan_duration_seconds_count "));
    assert!(looks.unwrap().parse::<u32>().unwrap() >= 1, "{told}");
}

#[test]
fn what_is_not_offered_and_shares_are_told() {
    let node = Node::start(json!([
        {"resourceName": "fast", "selectors": {"rootDevices": ["0000:01:00.0"]}},
        {"resourceName": "share", "kind": "macvlan", "lowerDevice": "lo", "capacity": 3},
        {"resourceName": "none", "kind": "macvlan", "lowerDevice": "nolink0", "capacity": 2}
    ]));
    node.wait_for_devices(FAST, 4);
    node.wait_for_devices("linkspan.dev/share", 3);
    node.kubelet.run_pod("ns", "p", "linkspan.dev/share", &["shareMvp2"]).unwrap();
    assert_told(
        &metrics(&node),
        &[
            r#"linkspan_device_excluded{device="0000:01:00.0",reason="divided",id="8086:10c9",vendor="Intel Corporation",model="82576 Gigabit Network Connection"} 1"#,
            r#"linkspan_shares{pool="linkspan.dev/share",link="lo",health="healthy"} 3"#,
            r#"linkspan_shares{pool="linkspan.dev/share",link="lo",health="unhealthy"} 0"#,
            r#"linkspan_shares{pool="linkspan.dev/none",link="nolink0",health="unhealthy"} 2"#,
            r#"linkspan_device_held{pool="linkspan.dev/share",device="shareMvp2",namespace="ns",pod="p",container="app"} 1"#,
            r#"linkspan_pool_held{pool="linkspan.dev/share"} 1"#,
            r#"linkspan_pool_held{pool="linkspan.dev/fast"} 0"#,
        ],
    );
    // A kubelet that doesn't tell is not one of whose devices nobody holds any.
    fs::remove_file(node.kubelet.directory().join("pod-resources/kubelet.sock")).unwrap();
    assert!(!metrics(&node).contains("_held"));
}

#[test]
fn what_came_of_setting_up_pfs_is_told() {
    let pool = |name: &str, selectors: Value, count: u32| json!({"resourceName": name, "selectors": selectors, "provision": {"numVfs": count}});
    let many = |count| pool("many", json!({"rootDevices": ["0000:81:00.0"]}), count);
    let fast = pool("fast", json!({"rootDevices": ["0000:01:00.0"]}), 5);
    let missing = pool("missing", json!({"pfNames": ["ens9"]}), 2);
    let node = Node::start(json!([fast, many(2000), missing]));
    node.wait_for_devices(FAST, 4);
    let refused = |pf: &str, reason: &str| {
        format!(r#"linkspan_provisioning_refused{{pf="{pf}",reason="{reason}"}} 1"#)
    };
    let (too_many, no_pf) = (refused("0000:81:00.0", "too_many"), refused("ens9", "no_pf"));
    let done = r#"linkspan_provisioning_steps_total{pf="0000:01:00.0",outcome="done"} 1"#;
    assert_told(&metrics(&node), &[done, &too_many, &no_pf]);
    node.configure(json!([fast, many(4)]));
    until("nothing is refused", BOUND, || {
        (!metrics(&node).contains("linkspan_provisioning_refused")).then_some(())
    });
    assert_told(&metrics(&node), &[done]);
}

#[test]
fn it_is_ready_while_the_kubelet_watches_each_pool_and_the_configuration_is_good() {
    let mut node = Node::start(fast());
    node.wait_for_devices(FAST, 4);
    let ok = (200, "ok\n".to_owned());
    assert_eq!(get(&node, "/readyz"), ok);
    node.kubelet.kill();
    until("it is not ready", BOUND, || (get(&node, "/readyz").0 == 503).then_some(()));
    assert_eq!(get(&node, "/readyz").1, "the kubelet does not watch linkspan.dev/fast\n");
    assert_eq!(get(&node, "/healthz"), ok, "it can't help that");
    node.kubelet.restart();
    node.wait_for_devices(FAST, 4);
    let config = node.directory.path().join("config.json");
    let good = fs::read(&config).unwrap();
    fs::write(&config, "{").unwrap();
    until("it is not ready", BOUND, || (get(&node, "/readyz").0 == 503).then_some(()));
    let told = metrics(&node);
    assert_told(&told, &["linkspan_configuration_refused 1"]);
    assert!(!told.contains("linkspan_configuration_errors_total 0"), "{told}");
    fs::write(&config, good).unwrap();
    until("it is ready", BOUND, || (get(&node, "/readyz") == ok).then_some(()));
    assert_eq!(get(&node, "/else").0, 404);
}

/// `make bench` counts for a minute.
#[test]
fn an_idle_plugin_is_never_woken() {
    let node = Node::start(fast());
    node.wait_for_devices(FAST, 4);
    drop(metrics(&node));
    let switches = || scrape::switches(node.plugin.id());
    let quiet = || {
        let before = switches();
        std::thread::sleep(Duration::from_secs(3));
        (switches() == before).then_some(())
    };
    // Whatever happens on this machine meanwhile may wake it: once in a while nothing does.
    until("three seconds without a wake-up", BOUND, quiet);
}
