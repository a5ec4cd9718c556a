//! All metrics of both daemons. What they really tell is held to this list whenever a test asks for it, and the
//! dashboard and the alerts are, so that none of them asks for what nobody tells.

const POOL: &[&str] = &["pool"];
const VF: &[&str] = &["pool", "device", "pf", "namespace", "pod"];
const HISTOGRAM: &[&str] = &["le"];

/// The names, without what a histogram adds to them, and the labels that their samples may have.
pub const METRICS: &[(&str, &[&str])] = &[
    ("linkspan_allocation_failures_total", POOL),
    ("linkspan_allocations_total", POOL),
    ("linkspan_build_info", &["version"]),
    ("linkspan_configuration_errors_total", &[]),
    ("linkspan_configuration_refused", &[]),
    ("linkspan_device_excluded", &["device", "reason", "id", "vendor", "model"]),
    ("linkspan_device_held", &["pool", "device", "namespace", "pod", "container"]),
    ("linkspan_device_model", &["pf", "interface", "id", "vendor", "model"]),
    ("linkspan_device_unhealthy", &["pool", "device", "reason"]),
    ("linkspan_devices", &["pool", "pf", "health"]),
    ("linkspan_dhcp_declines_total", &[]),
    ("linkspan_dhcp_exchange_duration_seconds", HISTOGRAM),
    ("linkspan_dhcp_expirations_total", &[]),
    ("linkspan_dhcp_failures_total", &[]),
    ("linkspan_dhcp_ignored_packets_total", &["reason"]),
    ("linkspan_dhcp_leases", &["state"]),
    ("linkspan_dhcp_naks_total", &[]),
    ("linkspan_dhcp_orphans_total", &[]),
    ("linkspan_dhcp_releases_total", &[]),
    ("linkspan_kubelet_streams", POOL),
    ("linkspan_pool_held", POOL),
    ("linkspan_provisioning_refused", &["pf", "reason"]),
    ("linkspan_provisioning_steps_total", &["pf", "outcome"]),
    ("linkspan_registration_failures_total", POOL),
    ("linkspan_registrations_total", POOL),
    ("linkspan_rescan_duration_seconds", HISTOGRAM),
    ("linkspan_shares", &["pool", "link", "health"]),
    ("linkspan_vf_receive_broadcast_packets_total", VF),
    ("linkspan_vf_receive_bytes_total", VF),
    ("linkspan_vf_receive_dropped_packets_total", VF),
    ("linkspan_vf_receive_multicast_packets_total", VF),
    ("linkspan_vf_receive_packets_total", VF),
    ("linkspan_vf_transmit_bytes_total", VF),
    ("linkspan_vf_transmit_dropped_packets_total", VF),
    ("linkspan_vf_transmit_packets_total", VF),
];

/// The labels of a metric, by the name of a sample; none where there is no such metric.
#[must_use]
pub fn labels_of(sample: &str) -> Option<&'static [&'static str]> {
    let named = |name: &str| METRICS.iter().find(|(known, _)| *known == name).map(|(_, l)| *l);
    let of_histogram = || {
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|s| sample.strip_suffix(s))?;
        named(name).filter(|labels| *labels == HISTOGRAM)
    };
    named(sample).or_else(of_histogram)
}

/// Holds what a daemon tells, in Prometheus' text format, to the list.
///
/// # Panics
///
/// If there is a metric, or a label, that the list doesn't have.
pub fn check(text: &str) {
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split(['{', ' ']).next().unwrap();
        let known = labels_of(name).unwrap_or_else(|| panic!("{name} is not in METRICS: {line}"));
        // A value that looks like a label's name would have to stand behind a comma and before `="`.
        let labels = line.strip_prefix(name).unwrap().split(['{', ',']).skip(1);
        for label in labels.filter_map(|part| part.split_once("=\"")).map(|(label, _)| label) {
            assert!(known.contains(&label), "{name} has the label {label}: {line}");
        }
    }
}
