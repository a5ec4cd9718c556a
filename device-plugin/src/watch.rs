//! What makes the program look again: uevents of devices, the network's announcements, the
//! configuration's file, SIGHUP, and names in the kubelet's directory.

use std::io;
use std::time::Duration;

use linkspan_linux::inotify::{DirectoryEvent, DirectoryWatch};
use linkspan_linux::network_events::NetworkEvents;
use linkspan_linux::uevent::{Uevent, Uevents};
use linkspan_types::IfName;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout_at};

use crate::configuration::FileWatch;

/// Making 64 VFs causes some hundreds of events, one after the other: one look at the node, after
/// the last of them, is enough.
const QUIET: Duration = Duration::from_millis(20);
/// What has changed is told within 200 ms, also while more goes on, and looking takes time too.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// What may have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) configuration: bool,
    /// Somebody has sent SIGHUP: everything may have.
    pub(crate) asked: bool,
}

/// Tells when the node's devices or the configuration may have changed.
pub(crate) struct NodeWatch {
    sources: Sources,
    burst: Option<Burst>,
}

/// All that tells of changes.
struct Sources {
    uevents: Uevents,
    network: NetworkEvents,
    configuration: FileWatch,
    hangup: Signal,
}

/// Changes that come close behind each other.
struct Burst {
    changes: Changes,
    /// When they are told though more come.
    latest: Instant,
}

impl NodeWatch {
    pub(crate) fn new(configuration: FileWatch) -> io::Result<Self> {
        let sources = Sources {
            uevents: Uevents::open()?,
            network: NetworkEvents::subscribe()?,
            configuration,
            hangup: signal(SignalKind::hangup())?,
        };
        Ok(Self { sources, burst: None })
    }

    /// Counts changes of these links, too.
    pub(crate) fn watch_links(&mut self, links: Vec<IfName>) {
        self.sources.network.watch_links(links);
    }

    /// Returns when something may have changed since the last call and it is quiet again, or when
    /// it is `due` anyway. May be dropped while it waits: nothing is lost.
    pub(crate) async fn changed(&mut self, due: Option<Instant>) -> io::Result<Changes> {
        gather(&mut self.burst, due, async || self.sources.one().await).await
    }
}

impl Sources {
    /// Waits for one event. May be dropped while it waits.
    async fn one(&mut self) -> io::Result<Changes> {
        loop {
            tokio::select! {
                event = self.uevents.next() => {
                    if concerns_us(&event?) {
                        return Ok(Changes::default());
                    }
                }
                changed = self.network.changed() => return changed.map(|()| Changes::default()),
                changed = self.configuration.changed() => {
                    return changed.map(|()| Changes { configuration: true, asked: false });
                }
                Some(()) = self.hangup.recv() => {
                    self.configuration.renew();
                    return Ok(Changes { configuration: true, asked: true });
                }
            }
        }
    }
}

/// Makes one of all the changes that come close behind each other.
async fn gather(
    burst: &mut Option<Burst>,
    due: Option<Instant>,
    mut next: impl AsyncFnMut() -> io::Result<Changes>,
) -> io::Result<Changes> {
    loop {
        let until = burst.as_ref().map(|burst| burst.latest.min(Instant::now() + QUIET)).or(due);
        let event = match until {
            Some(until) => timeout_at(until, next()).await.ok(),
            None => Some(next().await),
        };
        let Some(event) = event else {
            return Ok(burst.take().map(|burst| burst.changes).unwrap_or_default());
        };
        let Changes { configuration, asked } = event?;
        let latest = Instant::now() + LONGEST_WAIT;
        let burst = burst.get_or_insert(Burst { changes: Changes::default(), latest });
        burst.changes.configuration |= configuration;
        burst.changes.asked |= asked;
    }
}

/// PCI devices and what belongs to them, which includes a PF's new name; not each pod's veth.
fn concerns_us(event: &Uevent) -> bool {
    match event {
        Uevent::Lost => true,
        Uevent::Device { subsystem, path, .. } => match subsystem.as_str() {
            // An RDMA or vDPA device, and a sub-function, come after the VF that they belong to.
            "pci" | "auxiliary" | "infiniband" | "vdpa" => true,
            "net" => !path.starts_with("/devices/virtual/"),
            _ => false,
        },
    }
}

/// Passes a directory's events on to all pools; returns only when it fails, or the directory is gone.
pub(crate) async fn pass_on(
    directory: DirectoryWatch,
    pools: broadcast::Sender<DirectoryEvent>,
) -> io::Result<()> {
    loop {
        for event in directory.events().await? {
            if event == DirectoryEvent::DirectoryGone {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the directory was removed"));
            }
            // It fails where there is no pool, which can't be.
            let _ = pools.send(event);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use tokio::sync::mpsc;

    use super::*;

    const NODE: Changes = Changes { configuration: false, asked: false };
    const CONFIGURATION: Changes = Changes { configuration: true, asked: false };

    /// How long after the start each of the looks happens that these events cause, where each
    /// event comes so many milliseconds after the one before.
    async fn looks(events: impl IntoIterator<Item = (u64, Changes)>) -> Vec<(u128, Changes)> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let events: Vec<_> = events.into_iter().collect();
        tokio::spawn(async move {
            for (pause, changes) in events {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                sender.send(changes).unwrap();
            }
        });
        let start = Instant::now();
        let mut looks = Vec::new();
        let closed = || io::Error::other("no more events");
        let mut next = async || receiver.recv().await.ok_or_else(closed);
        // The end of the events ends the last look's wait with an error.
        while let Ok(changes) = gather(&mut None, None, &mut next).await {
            looks.push((start.elapsed().as_millis(), changes));
        }
        looks
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_one_look_and_a_steady_stream_is_few() {
        let last = (1000, NODE);
        let table = [
            ("a single event", vec![(0, NODE), last], vec![20]),
            ("512 at once", [vec![(0, NODE); 512], vec![last]].concat(), vec![20]),
            ("two apart", vec![(0, NODE), (30, NODE), last], vec![20, 50]),
            (
                "100, one every 7 ms",
                [vec![(7, NODE); 100], vec![last]].concat(),
                vec![107, 212, 317, 422, 527, 632, 720],
            ),
        ];
        for (what, events, expected) in table {
            let found: Vec<u128> = looks(events).await.into_iter().map(|(at, _)| at).collect();
            assert_eq!(found, expected, "{what}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_changed_is_not_lost_in_a_burst() {
        let events = [(0, NODE), (5, CONFIGURATION), (5, NODE), (1000, NODE)];
        assert_eq!(looks(events).await, [(30, CONFIGURATION)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_does_not_wait_for_an_event() {
        let start = Instant::now();
        let due = Some(start + Duration::from_secs(5));
        let never = async || std::future::pending().await;
        assert_eq!(gather(&mut None, due, never).await.unwrap(), NODE);
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_loses_nothing() {
        let mut burst = None;
        let mut first = Some(CONFIGURATION);
        let once = async || match first.take() {
            Some(changes) => Ok(changes),
            None => std::future::pending().await,
        };
        let cut = timeout_at(Instant::now() + QUIET / 2, gather(&mut burst, None, once)).await;
        assert!(cut.is_err());
        let never = async || std::future::pending().await;
        assert_eq!(gather(&mut burst, None, never).await.unwrap(), CONFIGURATION);
    }

    #[test]
    fn veths_do_not_concern_us_but_pfs_do() {
        let event = |subsystem: &str, path: &str| Uevent::Device {
            action: "add".to_owned(),
            subsystem: subsystem.to_owned(),
            path: path.to_owned(),
        };
        assert!(concerns_us(&Uevent::Lost));
        assert!(concerns_us(&event("pci", "/devices/pci0000:00/0000:00:01.0/0000:01:10.0")));
        assert!(concerns_us(&event("net", "/devices/pci0000:00/0000:01:00.0/net/ens1")));
        assert!(!concerns_us(&event("net", "/devices/virtual/net/veth12")));
        assert!(!concerns_us(&event("block", "/devices/pci0000:00/0000:00:02.0/block/vda")));
    }
}
