//! What is told of the pools: their devices and shares, and what is in none.  Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use linkspan_daemon::metrics::{Family, Kind, Labels, Sample};

use super::pod_labels;
use crate::holders::Holders;
use crate::inventory::DeviceId;
use crate::offers::Offer;
use crate::pci_names::Names;
use crate::pools::{Excluded, Health, Member, Reason};

/// Devices by PF and health, those that ail, and what they all are.
pub(super) fn devices(offers: &[Arc<Offer>]) -> [Family; 3] {
    let mut counts: BTreeMap<(String, String, &str), u64> = BTreeMap::new();
    let mut unhealthy = Vec::new();
    for offer in offers {
        let pool = offer.pool.name.to_string();
        for member in &offer.members {
            let pf = member.device.pf().address.to_string();
            for (health, count) in by_health(&member.health, 1) {
                *counts.entry((pool.clone(), pf.clone(), health)).or_default() += count;
            }
            if let Health::Unhealthy(reason) = &member.health {
                unhealthy.push(ill(&pool, &member.device.id, reason));
            }
        }
        for id in &offer.gone {
            // Whose PF's they were nobody knows any more.
            *counts.entry((pool.clone(), String::new(), "unhealthy")).or_default() += 1;
            unhealthy.push(ill(&pool, id, &Reason::Gone));
        }
    }
    let counts = counts.into_iter().map(|((pool, pf, health), count)| {
        Sample::new(vec![("pool", pool), ("pf", pf), ("health", health.to_owned())], count)
    });
    [
        gauge("linkspan_devices", "Devices by pool, PF and health.", counts.collect()),
        gauge("linkspan_device_unhealthy", "Devices that are not healthy, and why.", unhealthy),
        models(offers),
    ]
}

fn ill(pool: &str, device: &DeviceId, reason: &Reason) -> Sample {
    let labels = vec![
        ("pool", pool.to_owned()),
        ("device", device.to_string()),
        ("reason", reason.to_string()),
    ];
    Sample::new(labels, 1)
}

/// Shares of host links by health: of a pool, all are well or none.
pub(super) fn shares(offers: &[Arc<Offer>]) -> Family {
    let mut samples = Vec::new();
    for offer in offers {
        let (Some(shares), Some(health)) = (&offer.pool.resource.shares, &offer.shares) else {
            continue;
        };
        for (health, count) in by_health(health, shares.capacity.into()) {
            let labels = vec![
                ("pool", offer.pool.name.to_string()),
                ("link", shares.lower_device.to_string()),
                ("health", health.to_owned()),
            ];
            samples.push(Sample::new(labels, count));
        }
    }
    let help = "Shares of host links by pool, link and health.";
    gauge("linkspan_shares", help, samples)
}

/// What pods hold: each device and share, and how many of each pool.
pub(super) fn held(offers: &[Arc<Offer>], holders: &Holders) -> [Family; 2] {
    let (mut held, mut counts) = (Vec::new(), Vec::new());
    for offer in offers {
        let pool = offer.pool.name.to_string();
        let mut count = 0;
        for (device, holder) in holders.of_resource(&pool) {
            let mut labels = vec![("pool", pool.clone()), ("device", device.to_owned())];
            labels.extend(pod_labels(&holder.namespace, &holder.pod));
            labels.push(("container", holder.container.clone()));
            held.push(Sample::new(labels, 1));
            count += 1;
        }
        counts.push(Sample::new(vec![("pool", pool)], count));
    }
    [
        gauge("linkspan_device_held", "Devices and shares that pods hold.", held),
        gauge("linkspan_pool_held", "How many devices or shares of a pool pods hold.", counts),
    ]
}

/// Devices that are not offered, and why.
pub(super) fn excluded(excluded: &[Excluded]) -> Family {
    let sample = |excluded: &Excluded| {
        let mut labels = vec![
            ("device", excluded.device.to_string()),
            ("reason", excluded.reason.word().to_owned()),
        ];
        labels.extend(name_labels(excluded.model));
        Sample::new(labels, 1)
    };
    gauge(
        "linkspan_device_excluded",
        "Devices that pools select and that are not offered; the log says more.",
        excluded.iter().map(sample).collect(),
    )
}

/// What the devices are, for people: a number says little.
fn models(offers: &[Arc<Offer>]) -> Family {
    let members = offers.iter().flat_map(|offer| &offer.members);
    let models: BTreeSet<(String, String, (u16, u16))> = members
        .map(|Member { device, .. }| {
            let pf = device.pf();
            let interface = pf.name.as_ref().map(ToString::to_string).unwrap_or_default();
            (pf.address.to_string(), interface, (device.vendor, device.number))
        })
        .collect();
    let samples = models.into_iter().map(|(pf, interface, model)| {
        let mut labels = vec![("pf", pf), ("interface", interface)];
        labels.extend(name_labels(model));
        Sample::new(labels, 1)
    });
    let help = "What a PF's devices are, by the PCI ID database.";
    gauge("linkspan_device_model", help, samples.collect())
}

fn name_labels(numbers: (u16, u16)) -> Labels {
    let Names { id, vendor, model } = Names::of(numbers);
    vec![("id", id), ("vendor", vendor.to_owned()), ("model", model.to_owned())]
}

fn by_health(health: &Health, count: u64) -> [(&'static str, u64); 2] {
    match health {
        Health::Healthy => [("healthy", count), ("unhealthy", 0)],
        Health::Unhealthy(_) => [("healthy", 0), ("unhealthy", count)],
    }
}

fn gauge(name: &'static str, help: &'static str, samples: Vec<Sample>) -> Family {
    Family { name, kind: Kind::Gauge, help, samples }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use linkspan_daemon::metrics;

    use super::*;
    use crate::pools::Needs;
    use crate::prepare::tests::Node;

    #[test]
    fn devices_are_counted_by_health_and_what_ails_them_is_told() {
        let mut node = Node::with(Needs::default());
        let all = node.members.len();
        node.members[0].health = Health::Unhealthy(Reason::NoCarrier("ens1".parse().unwrap()));
        let (ill, pf) =
            (node.members[0].device.id.to_string(), node.members[0].device.pf().address);
        let offers =
            [Arc::new(Offer { members: node.members.clone(), ..Offer::of(Node::pool().into()) })];
        let text = metrics::render(&devices(&offers));
        let pool = &offers[0].pool.name;
        for expected in [
            format!(
                "linkspan_devices{{pool=\"{pool}\",pf=\"{pf}\",health=\"healthy\"}} {}\n",
                all - 1
            ),
            format!("linkspan_devices{{pool=\"{pool}\",pf=\"{pf}\",health=\"unhealthy\"}} 1\n"),
            format!(
                "linkspan_device_unhealthy{{pool=\"{pool}\",device=\"{ill}\",\
                 reason=\"ens1 has no carrier\"}} 1\n"
            ),
        ] {
            assert!(text.contains(&expected), "{expected} is not in\n{text}");
        }
    }
}
