//! What makes the program look again: uevents of devices, SIGHUP, and names in the kubelet's
//! directory.

use std::io;
use std::time::Duration;

use linkspan_linux::inotify::{DirectoryEvent, DirectoryWatch};
use linkspan_linux::uevent::{Uevent, Uevents};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout_at};

/// Making 64 VFs causes some hundreds of events: one look at the node, after the last of them, is enough.
const QUIET: Duration = Duration::from_millis(100);
/// Events that never end may not keep a new VF waiting.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Tells when the node's devices may have changed.
pub(crate) struct NodeWatch {
    uevents: Uevents,
    hangup: Signal,
}

impl NodeWatch {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { uevents: Uevents::open()?, hangup: signal(SignalKind::hangup())? })
    }

    /// Returns when something may have changed since the last call, and it is quiet again.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        self.one().await?;
        let latest = Instant::now() + LONGEST_WAIT;
        loop {
            let quiet = (Instant::now() + QUIET).min(latest);
            match timeout_at(quiet, self.one()).await {
                Ok(event) => event?,
                Err(_) => return Ok(()),
            }
        }
    }

    async fn one(&mut self) -> io::Result<()> {
        loop {
            tokio::select! {
                event = self.uevents.next() => {
                    if concerns_us(&event?) {
                        return Ok(());
                    }
                }
                Some(()) = self.hangup.recv() => return Ok(()),
            }
        }
    }
}

/// PCI devices and their interfaces, which include a PF's new name; not each pod's veth.
fn concerns_us(event: &Uevent) -> bool {
    match event {
        Uevent::Lost => true,
        Uevent::Device { subsystem, path, .. } => match subsystem.as_str() {
            "pci" => true,
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
    use super::*;

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
