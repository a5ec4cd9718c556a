//! Puts a VF back to what it was before ADD, wherever it is now and however far ADD had come.

use std::io;
use std::path::Path;
use std::time::Duration;

use linkspan_linux::pci::{Sysfs, SysfsError, TrunkError};
use linkspan_linux::{
    Errno, LinkChange, LinkEvents, NetlinkError, Netns, RouteSocket, SetVfError, VfChange,
};
use linkspan_types::{IfName, MacAddr, PciAddress};

use super::place::{LookError, Place, Search, is_deaf};
use super::{NetdevRecord, Pf, SriovError, VfRecord, is_of_user_space};

/// How long a VF may take to come back from a namespace that has gone: the kernel takes namespaces apart in
/// the background, one after the other.
const RETURN_BOUND: Duration = Duration::from_secs(10);

/// How a VF came back.
#[derive(Debug, PartialEq, Eq)]
pub enum Restored {
    /// As it was.
    Whole,
    /// Under another name, because its own is taken by another link now.
    Renamed(IfName),
    /// There is no such device any more, and so nothing to restore.
    NoDevice,
}

/// A VF that is not back as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The VF can't be found.
    #[error("VF {device} is neither in the host's namespace nor in the pod's")]
    Lost {
        /// The VF.
        device: PciAddress,
    },
    /// The kernel refused to bring it back.
    #[error("VF {device} can't be brought back as {name}")]
    Return {
        /// The VF.
        device: PciAddress,
        /// Its name on the host.
        name: IfName,
        /// The kernel's word.
        #[source]
        source: NetlinkError,
    },
    /// The PF's side.
    #[error(transparent)]
    Setting(#[from] SetVfError),
    /// The PF's trunk.
    #[error(transparent)]
    Trunk(#[from] TrunkError),
    /// The PF could not be found.
    #[error(transparent)]
    Pf(#[from] SriovError),
    /// The VF could not be looked for.
    #[error(transparent)]
    Look(#[from] LookError),
    /// Any other refusal of the kernel.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// Sysfs could not be read.
    #[error(transparent)]
    Sysfs(#[from] SysfsError),
    /// The kernel's announcements could not be read.
    #[error("cannot wait for the VF to come back")]
    Wait(#[from] io::Error),
}

/// Restores a VF: it goes down, then the PF's settings, then its netdev's namespace, name, MAC, MTU, other names and state.
///
/// `interface` is the name that it was given in the pod, whose namespace is (or was) at `netns`. It may be
/// called any number of times, and after an ADD that was stopped anywhere.
pub fn restore(
    sysfs: &Sysfs,
    host: &mut RouteSocket,
    record: &VfRecord,
    interface: &IfName,
    netns: &Path,
) -> Result<Restored, RestoreError> {
    let function = sysfs.pci(record.device);
    if !function.exists() {
        return Ok(Restored::NoDevice);
    }
    let search = Search { sysfs, record, interface, netns };
    // A VF that can't be found keeps its VLAN, and one that can is down before it loses it: whoever still has
    // it would be on the untagged network.
    let mut place = match &record.netdev {
        Some(_) => find(host, &search)?,
        None => None,
    };
    if let Some(place) = &mut place {
        place.set_pod_down()?;
    }
    // From here on neither waits for the other's success: what can be restored is.
    let trunk = record
        .pf
        .map_or(Ok(()), |pf| sysfs.pci(pf.address).remove_from_trunk(pf.number, &record.trunk));
    let settings = restore_settings(sysfs, host, record);
    let restored = match (&record.netdev, place) {
        (Some(before), Some(place)) => restore_netdev(host, &search, before, place),
        // A VF that is bound to another driver has none.
        _ => Ok(Restored::Whole),
    };
    trunk?;
    if let Some(pf) = settings? {
        pf.set(host, &VfChange { mac: Some(record.settings.mac), ..VfChange::default() })?;
    }
    restored
}

/// Restores the PF's settings by one message, before the VF's own: while its PF has set a MAC for it, a VF
/// can't change its own. So an administrative MAC that was there before comes last; if there is one, the
/// PF is returned.
fn restore_settings(
    sysfs: &Sysfs,
    host: &mut RouteSocket,
    record: &VfRecord,
) -> Result<Option<Pf>, RestoreError> {
    let Some(pf) = record.pf.filter(|_| !record.change.is_empty()) else { return Ok(None) };
    let pf = Pf::find(sysfs, host, pf)?;
    let mut undo = record.change.undo(&record.settings);
    let mac_comes_last = undo.mac.is_some_and(|mac| mac != MacAddr::ZERO);
    if mac_comes_last {
        undo.mac = Some(MacAddr::ZERO);
    }
    if let Err(refusal) = pf.set(host, &undo) {
        // What a driver refuses to set it refuses to set back. That is well if ADD failed for that very
        // reason and the setting was never changed, or if the VF is gone and its settings with it.
        let now = host.vf_settings(pf.index)?.into_iter().nth(pf.vf as usize);
        if now.is_some_and(|now| !undo.is_met_by(&now)) {
            return Err(refusal.into());
        }
    }
    Ok(mac_comes_last.then_some(pf))
}

/// Restores the netdev from where it is.
fn restore_netdev(
    host: &mut RouteSocket,
    search: &Search,
    before: &NetdevRecord,
    place: Place,
) -> Result<Restored, RestoreError> {
    let device = search.record.device;
    match bring_home(host, device, before, place) {
        Err(RestoreError::Return { source, .. }) if is_deaf(&source) => {}
        brought => return brought,
    }
    // The kernel may have moved it before it set the MAC or not, that depends on its version.
    if let Some(mut place) = find(host, search)? {
        place.set_mac_awake(host, before.mac)?;
    }
    match find(host, search)? {
        Some(place) => bring_home(host, device, before, place),
        None => Ok(Restored::Whole),
    }
}

/// The netdev, waiting for the kernel to return it if its namespace is being taken apart; none if the VF's
/// driver makes none.
fn find(host: &mut RouteSocket, search: &Search) -> Result<Option<Place>, RestoreError> {
    if let Some(place) = search.look(host)? {
        return Ok(Some(place));
    }
    let device = search.record.device;
    if has_no_netdev(search.sysfs, device)? {
        return Ok(None);
    }
    let events = LinkEvents::subscribe()?;
    let place = events.wait_for(RETURN_BOUND, || search.look(host).map_err(RestoreError::from))?;
    place.map(Some).ok_or(RestoreError::Lost { device })
}

fn has_no_netdev(sysfs: &Sysfs, device: PciAddress) -> Result<bool, RestoreError> {
    let driver = sysfs.pci(device).driver()?;
    Ok(driver.is_none_or(|driver| is_of_user_space(&driver)))
}

fn bring_home(
    host: &mut RouteSocket,
    device: PciAddress,
    before: &NetdevRecord,
    place: Place,
) -> Result<Restored, RestoreError> {
    let (link, mut pod) = match place {
        Place::Host(link) => (link, None),
        Place::Pod(link, pod) => (link, Some(pod)),
    };
    let home = Netns::current()?;
    let change = LinkChange {
        netns: pod.as_ref().map(|_| &home),
        mac: Some(before.mac).filter(|mac| Some(*mac) != link.mac),
        mtu: Some(before.mtu).filter(|mtu| u32::from(*mtu) != link.mtu),
        name: Some(&before.name).filter(|name| pod.is_some() || name.as_str() != link.name),
        ..LinkChange::default()
    };
    let socket = pod.as_mut().unwrap_or(host);
    // A link that is up keeps its name; one that moves goes down by itself.
    if change.netns.is_none() && change.name.is_some() && link.up {
        let down = LinkChange { up: Some(false), ..LinkChange::default() };
        socket.change_link(link.index, &down)?;
    }
    let spare = IfName::from(device);
    let (name, brought) = match socket.change_link(link.index, &change) {
        Err(e) if e.errno() == Some(Errno::EXIST) => {
            (&spare, socket.change_link(link.index, &LinkChange { name: Some(&spare), ..change }))
        }
        brought => (&before.name, brought),
    };
    brought.map_err(|source| RestoreError::Return { device, name: before.name.clone(), source })?;
    restore_rest(host, before, name)?;
    Ok(if *name == before.name { Restored::Whole } else { Restored::Renamed(spare) })
}

/// The other names and the state, which no move can carry.
fn restore_rest(
    host: &mut RouteSocket,
    before: &NetdevRecord,
    name: &IfName,
) -> Result<(), RestoreError> {
    let link = host.link_by_name(name)?;
    for alt_name in before.alt_names.iter().filter(|name| !link.alt_names.contains(name)) {
        match host.add_alt_name(link.index, alt_name) {
            // udev was quicker, or another link has the name now.
            Err(e) if e.errno() == Some(Errno::EXIST) => {}
            done => done?,
        }
    }
    if link.up != before.up {
        host.change_link(link.index, &LinkChange { up: Some(before.up), ..LinkChange::default() })?;
    }
    Ok(())
}
