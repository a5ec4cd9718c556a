//! A macvtap link of a pool: a device plugin has made it on the host (kubevirt's, or ours), and it moves into
//! the pod and back.

use std::path::Path;

use linkspan_config::net_conf::MacChoice;
use linkspan_linux::{Link, LinkBasics, LinkChange, LinkKind, Netns, RouteSocket};
use linkspan_types::{IfName, MacAddr, Mtu};
use serde::{Deserialize, Serialize};

use super::child::{ChildError, Tap};
use crate::pod::Pod;

/// A link of a pool as it was on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRecord {
    /// The device of the pool that it is.
    pub device: String,
    /// Its name.
    pub name: IfName,
    /// Its MAC.
    pub mac: Option<MacAddr>,
    /// Its MTU in bytes.
    pub mtu: u32,
}

/// A link of a pool that can be moved: found, and nothing changed yet.
pub struct PoolLink {
    record: PoolRecord,
    index: u32,
    tap: Tap,
    mac: MacChoice,
    mtu: Option<Mtu>,
}

impl PoolLink {
    /// Looks the link of a device up.
    pub fn find(
        host: &mut RouteSocket,
        device: &str,
        tap: Tap,
        mac: MacChoice,
        mtu: Option<Mtu>,
    ) -> Result<Self, ChildError> {
        let name = IfName::of_pool_device(device);
        let missing = || ChildError::NoPoolLink { name: name.clone(), device: device.to_owned() };
        let link = match host.link_by_name(&name) {
            Err(e) if e.is_missing() => return Err(missing()),
            link => Some(link?).filter(is_macvtap).ok_or_else(missing)?,
        };
        let device = device.to_owned();
        let record = PoolRecord { device, name, mac: link.mac, mtu: link.mtu };
        Ok(Self { record, index: link.index, tap, mac, mtu })
    }

    /// What the journal has to keep.
    #[must_use]
    pub fn record(&self) -> &PoolRecord {
        &self.record
    }

    /// Moves the link into the pod, under its name there. Its node changes with its index; it is given to
    /// its owner.
    pub fn attach(
        &self,
        host: &mut RouteSocket,
        pod: &mut Pod,
        name: &IfName,
        mac_of_address: Option<MacAddr>,
    ) -> Result<LinkBasics, ChildError> {
        let mac = match self.mac {
            MacChoice::This(mac) => Some(mac),
            MacChoice::FromIp => Some(mac_of_address.ok_or(ChildError::NoAddress)?),
            // It has one.
            MacChoice::Any => None,
        };
        let change = LinkChange {
            netns: Some(pod.netns()),
            mac,
            mtu: self.mtu,
            name: Some(name),
            ..LinkChange::default()
        };
        host.change_link(self.index, &change)?;
        let link = pod.socket()?.basics(name)?;
        self.tap.set_up(pod, link.index)?;
        Ok(link)
    }
}

/// Brings a link of a pool back as it was. One whose namespace is gone has gone with it, and its device
/// plugin makes it anew.
pub fn restore(
    host: &mut RouteSocket,
    record: &PoolRecord,
    interface: &IfName,
    netns: &Path,
) -> Result<(), ChildError> {
    let netns = match Netns::open(netns) {
        Err(e) if e.is_gone() => None,
        netns => Some(netns?),
    };
    let mut change = LinkChange {
        mac: record.mac,
        mtu: record.mtu.try_into().ok(),
        promiscuous: Some(false),
        ..LinkChange::default()
    };
    if let Some(link) = find(host, &record.name)? {
        return Ok(host.change_link(link.index, &change)?);
    }
    let Some(netns) = netns else { return Ok(()) };
    let mut pod = RouteSocket::open_in(&netns)?;
    let Some(link) = find(&mut pod, interface)? else { return Ok(()) };
    let home = Netns::current().map_err(ChildError::Home)?;
    change = LinkChange { netns: Some(&home), name: Some(&record.name), ..change };
    Ok(pod.change_link(link.index, &change)?)
}

fn find(socket: &mut RouteSocket, name: &IfName) -> Result<Option<Link>, ChildError> {
    match socket.link_by_name(name) {
        Err(e) if e.is_missing() => Ok(None),
        link => Ok(Some(link?).filter(is_macvtap)),
    }
}

fn is_macvtap(link: &Link) -> bool {
    matches!(link.kind, LinkKind::Macvtap { .. })
}
