//! What Prometheus is told, and whether the program is ready: looked up when somebody asks.

mod pools;
mod provisioned;
mod traffic;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linkspan_daemon::http::Pages;
use linkspan_daemon::metrics::{self, Family, Kind, Labels, Sample};
use tokio::sync::watch;

use crate::counts::{NodeCounts, PoolCounts};
use crate::holders::PodResources;
use crate::live::Served;
use crate::offers::Offer;
use crate::pools::Excluded;
use crate::provision::Outcomes;
use traffic::Traffic;

/// What the answers are made of.
pub(crate) struct Metrics {
    pub(crate) pools: watch::Receiver<Vec<Served>>,
    pub(crate) excluded: watch::Receiver<Vec<Excluded>>,
    pub(crate) outcomes: watch::Receiver<Outcomes>,
    pub(crate) counts: Arc<NodeCounts>,
    pub(crate) pod_resources: Arc<PodResources>,
    /// Whether the PFs are asked for their VFs' traffic.
    pub(crate) with_traffic: bool,
}

impl Pages for Metrics {
    async fn metrics(&self) -> String {
        let offers: Vec<Arc<Offer>> =
            self.pools.borrow().iter().map(|pool| Arc::clone(&pool.offered.borrow())).collect();
        let holders = self.pod_resources.holders().await.ok();
        let traffic =
            if self.with_traffic { Traffic::of(&offers).await } else { Traffic::default() };
        let mut families = vec![build()];
        families.extend(pools::devices(&offers));
        families.push(pools::shares(&offers));
        if let Some(holders) = &holders {
            families.extend(pools::held(&offers, holders));
        }
        families.push(pools::excluded(&self.excluded.borrow()));
        families.extend(self.events());
        families.extend(provisioned::families(&self.outcomes.borrow()));
        families.extend(traffic.families(&offers, &holders.unwrap_or_default()));
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

fn pod_labels(namespace: &str, pod: &str) -> Labels {
    vec![("namespace", namespace.to_owned()), ("pod", pod.to_owned())]
}
