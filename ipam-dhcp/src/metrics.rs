//! What Prometheus is told of leases and of what came of asking for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use linkspan_daemon::counts::{Count, Durations};
use linkspan_daemon::http::Pages;
use linkspan_daemon::metrics::{Family, Kind, Labels, Sample, render};
use linkspan_dhcp::packet::Ignored;
use tokio::sync::{mpsc, oneshot};

use crate::daemon::{Ask, Input};

/// What has happened since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// From a client's first question to the address that came of it.
    pub(crate) exchanges: Durations,
    /// Pods that got no address.
    pub(crate) failures: Count,
    pub(crate) naks: Count,
    pub(crate) declines: Count,
    pub(crate) expirations: Count,
    pub(crate) releases: Count,
    /// Leases whose pods were gone without having given them back.
    pub(crate) orphans: Count,
    /// One for each of [`Ignored::ALL`].
    ignored: [Count; Ignored::ALL.len()],
}

impl Counts {
    /// A message was left alone.
    pub(crate) fn ignored(&self, why: Ignored) {
        if let Some(position) = Ignored::ALL.iter().position(|known| *known == why) {
            self.ignored[position].add_one();
        }
    }

    fn families(&self, leases: BTreeMap<&'static str, u64>) -> Vec<Family> {
        let counter = |name, help, count: &Count| Family {
            name,
            kind: Kind::Counter,
            help,
            samples: vec![Sample::new(Labels::new(), count.get())],
        };
        let state = |(state, count): (&'static str, u64)| {
            Sample::new(vec![("state", state.to_owned())], count)
        };
        let ignored = Ignored::ALL
            .iter()
            .zip(&self.ignored)
            .map(|(why, count)| Sample::new(vec![("reason", why.name().to_owned())], count.get()));
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        vec![
            Family {
                name: "linkspan_build_info",
                kind: Kind::Gauge,
                help: "The program's version.",
                samples: vec![Sample::new(version, 1)],
            },
            Family {
                name: "linkspan_dhcp_leases",
                kind: Kind::Gauge,
                help: "Interfaces that are to have an address, by the state of RFC 2131.",
                samples: leases.into_iter().map(state).collect(),
            },
            self.exchanges.family(
                "linkspan_dhcp_exchange_duration_seconds",
                "How long it took from the first question to an address, or to more time for it.",
            ),
            counter("linkspan_dhcp_failures_total", "Pods that got no address.", &self.failures),
            counter("linkspan_dhcp_naks_total", "Refusals of servers (NAK).", &self.naks),
            counter(
                "linkspan_dhcp_declines_total",
                "Addresses that a neighbour had (DECLINE).",
                &self.declines,
            ),
            counter("linkspan_dhcp_expirations_total", "Leases that ended.", &self.expirations),
            counter("linkspan_dhcp_releases_total", "Leases given back.", &self.releases),
            counter(
                "linkspan_dhcp_orphans_total",
                "Leases whose pods were gone without having given them back.",
                &self.orphans,
            ),
            Family {
                name: "linkspan_dhcp_ignored_packets_total",
                kind: Kind::Counter,
                help: "Packets at the clients' port that were left alone.",
                samples: ignored.collect(),
            },
        ]
    }
}

/// Who answers over HTTP.
pub(crate) struct Metrics {
    pub(crate) counts: Arc<Counts>,
    pub(crate) inputs: mpsc::Sender<Input>,
}

impl Pages for Metrics {
    async fn metrics(&self) -> String {
        let (reply, states) = oneshot::channel();
        // A daemon that is ending has no leases any more.
        let _ = self.inputs.send(Input::Asked(Ask::States(reply))).await;
        render(&self.counts.families(states.await.unwrap_or_default()))
    }

    fn unready(&self) -> Vec<String> {
        Vec::new()
    }
}
