//! What Prometheus is told, and whether the program is ready: looked up when somebody asks.

mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use linkspan_daemon::http::Pages;
use linkspan_daemon::metrics::{self, Family, Kind, Labels, Sample};
use tokio::sync::watch;

use crate::counts::{NodeCounts, PoolCounts};
use crate::holders::{Holders, PodResources};
use crate::live::Served;
use crate::offers::Offer;
use crate::pci_names;
use crate::pools::{Health, Member};
use traffic::Traffic;

/// What the answers are made of.
pub(crate) struct Metrics {
    pub(crate) pools: watch::Receiver<Vec<Served>>,
    pub(crate) counts: Arc<NodeCounts>,
    pub(crate) pod_resources: Arc<PodResources>,
    /// Whether the PFs are asked for their VFs' traffic.
    pub(crate) with_traffic: bool,
}

impl Pages for Metrics {
    async fn metrics(&self) -> String {
        let offers: Vec<Arc<Offer>> =
            self.pools.borrow().iter().map(|pool| Arc::clone(&pool.offered.borrow())).collect();
        let holders = self.pod_resources.holders().await.unwrap_or_default();
        let traffic =
            if self.with_traffic { Traffic::of(&offers).await } else { Traffic::default() };
        let mut families = vec![build()];
        families.extend(devices(&offers, &holders));
        families.push(models(&offers));
        families.extend(self.events());
        families.extend(traffic.families(&offers, &holders));
        metrics::render(&families)
    }

    fn unready(&self) -> Vec<String> {
        let deaf = |pool: &Served| {
            let name = &pool.offered.borrow().pool.name;
            (*pool.streams.borrow() == 0).then(|| format!("the kubelet does not watch {name}"))
        };
        let mut reasons: Vec<_> = self.pools.borrow().iter().filter_map(deaf).collect();
        if self.counts.is_refused.load(Ordering::Relaxed) {
            reasons.push("the configuration can't be used; the earlier one is in force".to_owned());
        }
        reasons
    }
}

impl Metrics {
    fn events(&self) -> Vec<Family> {
        let pools = self.pools.borrow();
        let of_each = |name, help, count: fn(&PoolCounts) -> u64| {
            let sample = |pool: &Served| {
                let name = pool.offered.borrow().pool.name.to_string();
                Sample::new(vec![("pool", name)], count(&pool.counts))
            };
            Family { name, kind: Kind::Counter, help, samples: pools.iter().map(sample).collect() }
        };
        let streams = pools.iter().map(|pool| {
            let name = pool.offered.borrow().pool.name.to_string();
            let open = u64::try_from(*pool.streams.borrow()).unwrap_or(u64::MAX);
            Sample::new(vec![("pool", name)], open)
        });
        let refused = u64::from(self.counts.is_refused.load(Ordering::Relaxed));
        vec![
            of_each("linkspan_allocations_total", "Containers that were given devices.", |c| {
                c.allocations.get()
            }),
            of_each("linkspan_allocation_failures_total", "Containers that were refused.", |c| {
                c.failed_allocations.get()
            }),
            of_each("linkspan_registrations_total", "Registrations with the kubelet.", |c| {
                c.registrations.get()
            }),
            of_each("linkspan_registration_failures_total", "Registrations that failed.", |c| {
                c.failed_registrations.get()
            }),
            Family {
                name: "linkspan_kubelet_streams",
                kind: Kind::Gauge,
                help: "Streams by which the kubelet watches a pool; 0 is wrong.",
                samples: streams.collect(),
            },
            Family {
                name: "linkspan_configuration_refused",
                kind: Kind::Gauge,
                help: "1 while the configuration's file can't be used and an earlier one is in force.",
                samples: vec![Sample::new(Labels::new(), refused)],
            },
            Family {
                name: "linkspan_configuration_errors_total",
                kind: Kind::Counter,
                help: "Configurations that could not be used.",
                samples: vec![Sample::new(Labels::new(), self.counts.refused_configurations.get())],
            },
            self.counts.looks.family(
                "linkspan_rescan_duration_seconds",
                "How long it took to look at the node's devices.",
            ),
        ]
    }
}

fn build() -> Family {
    let labels = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    Family {
        name: "linkspan_build_info",
        kind: Kind::Gauge,
        help: "The program's version.",
        samples: vec![Sample::new(labels, 1)],
    }
}

fn devices(offers: &[Arc<Offer>], holders: &Holders) -> [Family; 3] {
    let mut counts: BTreeMap<(String, String, &str), u64> = BTreeMap::new();
    let (mut unhealthy, mut held) = (Vec::new(), Vec::new());
    for offer in offers {
        let pool = offer.pool.name.to_string();
        for member in &offer.members {
            let (pf, id) = (member.device.pf().address.to_string(), member.device.id.to_string());
            let labels = || vec![("pool", pool.clone()), ("device", id.clone())];
            let healthy = u64::from(member.health == Health::Healthy);
            for (health, count) in [("healthy", healthy), ("unhealthy", 1 - healthy)] {
                *counts.entry((pool.clone(), pf.clone(), health)).or_default() += count;
            }
            if let Health::Unhealthy(reason) = &member.health {
                let mut labels = labels();
                labels.push(("reason", reason.to_string()));
                unhealthy.push(Sample::new(labels, 1));
            }
            if let Some(holder) = holders.holder(&pool, &id) {
                let mut labels = labels();
                labels.extend(pod_labels(&holder.namespace, &holder.pod));
                labels.push(("container", holder.container.clone()));
                held.push(Sample::new(labels, 1));
            }
        }
    }
    let counts = counts.into_iter().map(|((pool, pf, health), count)| {
        Sample::new(vec![("pool", pool), ("pf", pf), ("health", health.to_owned())], count)
    });
    let gauge = |name, help, samples| Family { name, kind: Kind::Gauge, help, samples };
    [
        gauge("linkspan_devices", "Devices by pool, PF and health.", counts.collect()),
        gauge("linkspan_device_unhealthy", "Devices that are not healthy, and why.", unhealthy),
        gauge("linkspan_device_held", "Devices that pods hold.", held),
    ]
}

/// What the devices are, for people: a number says little.
fn models(offers: &[Arc<Offer>]) -> Family {
    let members = offers.iter().flat_map(|offer| &offer.members);
    let models: BTreeSet<(String, String, u16, u16)> = members
        .map(|Member { device, .. }| {
            let pf = device.pf();
            let interface = pf.name.as_ref().map(ToString::to_string).unwrap_or_default();
            (pf.address.to_string(), interface, device.vendor, device.number)
        })
        .collect();
    let samples = models.into_iter().map(|(pf, interface, vendor, number)| {
        let name = pci_names::vendor(vendor).unwrap_or_default();
        let model = pci_names::device(vendor, number).unwrap_or_default();
        let labels = vec![
            ("pf", pf),
            ("interface", interface),
            ("id", format!("{vendor:04x}:{number:04x}")),
            ("vendor", name.to_owned()),
            ("model", model.to_owned()),
        ];
        Sample::new(labels, 1)
    });
    Family {
        name: "linkspan_device_model",
        kind: Kind::Gauge,
        help: "What a PF's devices are, by the PCI ID database.",
        samples: samples.collect(),
    }
}

fn pod_labels(namespace: &str, pod: &str) -> Labels {
    vec![("namespace", namespace.to_owned()), ("pod", pod.to_owned())]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::pools::{Needs, Reason};
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
        let text = metrics::render(&devices(&offers, &Holders::default()));
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
