//! Where the netdev of a VF is: found by the VF's address, never by a remembered name.

use std::path::Path;

use linkspan_linux::pci::{Sysfs, SysfsError};
use linkspan_linux::{Errno, Link, LinkChange, NetlinkError, Netns, OpenNetnsError, RouteSocket};
use linkspan_types::{IfName, MacAddr};

use super::VfRecord;

/// The place of a VF's netdev, and what it is like there.
pub(super) enum Place {
    /// The host's namespace.
    Host(Link),
    /// The pod's, and a socket in it.
    Pod(Link, RouteSocket),
}

/// A place that could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// Sysfs could not be read.
    #[error(transparent)]
    Sysfs(#[from] SysfsError),
    /// The pod's namespace is there but can't be opened.
    #[error(transparent)]
    Netns(#[from] OpenNetnsError),
    /// The kernel would not say.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// A VF to be looked for.
pub(super) struct Search<'a> {
    /// Where its PCI device is.
    pub(super) sysfs: &'a Sysfs,
    /// What is known of it.
    pub(super) record: &'a VfRecord,
    /// The name that it was to have in the pod.
    pub(super) interface: &'a IfName,
    /// The path at which the pod's namespace is, or was.
    pub(super) netns: &'a Path,
}

impl Search<'_> {
    /// Looks in the host's namespace, and then in the pod's if there is one.
    pub(super) fn look(&self, host: &mut RouteSocket) -> Result<Option<Place>, LookError> {
        let Self { sysfs, record, interface, netns } = self;
        for name in sysfs.pci(record.device).net_names()? {
            match host.link_by_name(&name) {
                Err(e) if e.is_missing() => {}
                link => return Ok(Some(Place::Host(link?))),
            }
        }
        let netns = match Netns::open(netns) {
            Err(e) if e.is_gone() => return Ok(None),
            netns => netns?,
        };
        let mut pod = RouteSocket::open_in(&netns)?;
        let links = pod.links()?;
        let by_device = links.iter().find(|link| link.pci == Some(record.device));
        // Before 5.14 the kernel does not say which device a netdev belongs to. Another interface may have
        // the name, if the namespace's path leads to another pod's by now; so the MAC has to be one of the
        // VF's too.
        let macs = [record.netdev.as_ref().map(|netdev| netdev.mac), record.change.mac];
        let by_name = || {
            links.iter().find(|link| {
                link.pci.is_none() && link.name == interface.as_str() && macs.contains(&link.mac)
            })
        };
        Ok(by_device.or_else(by_name).cloned().map(|link| Place::Pod(link, pod)))
    }
}

/// Whether this is how a VF refuses a MAC whose PF does not listen to it (igbvf): the PF was reset while the
/// VF was down.
pub(super) fn is_deaf(refusal: &NetlinkError) -> bool {
    refusal.errno() == Some(Errno::ADDRNOTAVAIL)
}

impl Place {
    /// Sets the VF down if it is in the pod.
    pub(super) fn set_pod_down(&mut self) -> Result<(), NetlinkError> {
        match self {
            Self::Pod(link, pod) if link.up => pod
                .change_link(link.index, &LinkChange { up: Some(false), ..LinkChange::default() }),
            Self::Pod(..) | Self::Host(_) => Ok(()),
        }
    }

    /// Sets a VF's MAC while it is up: as it comes up its driver makes itself known to the PF anew. It is
    /// down again when this returns.
    pub(super) fn set_mac_awake(
        &mut self,
        host: &mut RouteSocket,
        mac: MacAddr,
    ) -> Result<(), NetlinkError> {
        let (socket, index) = match self {
            Self::Host(link) => (host, link.index),
            Self::Pod(link, pod) => (pod, link.index),
        };
        let up = |up| LinkChange { up: Some(up), ..LinkChange::default() };
        socket.change_link(index, &up(true))?;
        socket.change_link(index, &LinkChange { mac: Some(mac), ..LinkChange::default() })?;
        socket.change_link(index, &up(false))
    }
}
