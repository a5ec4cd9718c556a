//! A VF for a pod: which one, who may have it, and the steps that put it into the pod's namespace.

mod error;
mod place;
mod restore;

use std::path::Path;

use linkspan_config::net_conf::SriovConf;
use linkspan_linux::pci::Sysfs;
use linkspan_linux::{
    Link, LinkBasics, LinkChange, Netns, RouteSocket, SetVfError, VfChange, VfSettings,
};
use linkspan_types::{IfName, LinkType, MacAddr, Mtu, PciAddress, Rates, VlanRange};
use serde::{Deserialize, Serialize};

pub use error::SriovError;
pub use place::LookError;
use place::{Place, Search, is_deaf};
pub use restore::{RestoreError, Restored, restore};

/// A VF as ADD found it and what ADD is about to change: all that it takes to put it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VfRecord {
    /// The VF.
    pub device: PciAddress,
    /// Its PF; none in a virtual machine that was given the VF alone.
    pub pf: Option<PfRecord>,
    /// Its netdev as it was in the host's namespace; none where a program in user space drives the VF.
    pub netdev: Option<NetdevRecord>,
    /// What the PF had set for it; the default where nothing of it is to change.
    pub settings: VfSettings,
    /// What is to change in the PF's settings. Without a PF, only the MAC: the netdev's own.
    pub change: VfChange,
    /// The VLANs that the VF may tag its frames with.
    pub trunk: Vec<VlanRange>,
}

/// Where a VF comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PfRecord {
    /// The PF.
    pub address: PciAddress,
    /// The VF's number on it.
    pub number: u32,
}

/// A netdev as it was before it moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetdevRecord {
    /// Its name.
    pub name: IfName,
    /// Its other names.
    pub alt_names: Vec<String>,
    /// Its MAC.
    pub mac: MacAddr,
    /// Its MTU.
    pub mtu: Mtu,
    /// Whether it was up.
    pub up: bool,
}

/// A VF that can be attached: found, looked at, and nothing changed yet.
pub struct Vf {
    record: VfRecord,
    /// The netdev, where it has one.
    index: Option<u32>,
    pf: Option<Pf>,
}

/// Where a VF is to go, and what it is to be there.
pub struct Destination<'a> {
    /// The pod's namespace.
    pub netns: &'a Netns,
    /// The path of the namespace.
    pub path: &'a Path,
    /// The name in the pod.
    pub name: &'a IfName,
    /// The MTU; none leaves it as it is.
    pub mtu: Option<Mtu>,
}

/// The netdev of a PF, and which of its VFs this is about.
struct Pf {
    index: u32,
    name: IfName,
    vf: u32,
}

impl Vf {
    /// Looks a VF up and decides what is to change. This is where the PF is asked for its VFs' settings, at
    /// most once, and only where one of them is to change.
    pub fn find(
        sysfs: &Sysfs,
        host: &mut RouteSocket,
        conf: &SriovConf,
    ) -> Result<Self, SriovError> {
        let device = conf.device;
        let pf_record = physical_function(sysfs, device)?;
        let pf = pf_record.map(|pf| Pf::find(sysfs, host, pf)).transpose()?;
        let link = netdev(sysfs, host, device)?;
        let netdev = link.as_ref().map(|link| NetdevRecord::of(link, device)).transpose()?;
        let now = match &pf {
            Some(pf) if touches_pf(conf) => pf.settings(host, device)?,
            Some(_) => VfSettings::default(),
            None => {
                refuse_what_only_a_pf_can_set(conf)?;
                refuse_the_machine_s_own(host, device, link.as_ref())?;
                VfSettings::default()
            }
        };
        let change = match (&pf, touches_pf(conf)) {
            (Some(_), true) => wanted(conf, &now, netdev.as_ref().map(|netdev| netdev.mac))?,
            _ => VfChange { mac: conf.mac, ..VfChange::default() },
        };
        let trunk = conf.trunk.clone();
        let record = VfRecord { device, pf: pf_record, netdev, settings: now, change, trunk };
        Ok(Self { record, index: link.map(|link| link.index), pf })
    }

    /// What the journal has to keep.
    #[must_use]
    pub fn record(&self) -> &VfRecord {
        &self.record
    }

    /// Moves the VF into the pod's namespace and sets all that the configuration asks for. Its netdev, if it
    /// has one, is down when this returns. What a failure leaves half done, [`restore`] undoes.
    ///
    /// The MAC goes to the VF first and to its PF second: drivers refuse a VF that changes a MAC which its
    /// PF has set, also to the same one, and some (igb) give a VF the MAC of its PF only when its driver
    /// is bound anew.
    pub fn attach(
        &self,
        sysfs: &Sysfs,
        host: &mut RouteSocket,
        pod: &mut RouteSocket,
        to: &Destination,
    ) -> Result<Option<LinkBasics>, SriovError> {
        let VfRecord { netdev, settings, change, pf: pf_record, trunk, .. } = &self.record;
        if let Some(pf) = &self.pf
            && change.mac.is_some()
            && settings.mac != MacAddr::ZERO
        {
            pf.set(host, &VfChange { mac: Some(MacAddr::ZERO), ..VfChange::default() })?;
        }
        if let (Some(index), Some(netdev)) = (self.index, netdev) {
            if netdev.alt_names.iter().any(|alt_name| alt_name == to.name.as_str()) {
                host.remove_alt_name(index, to.name.as_str())?;
            }
            self.move_in(sysfs, host, index, to)?;
        }
        if let Some(pf) = &self.pf {
            pf.set(host, change)?;
        }
        if let Some(PfRecord { address, number }) = pf_record {
            sysfs.pci(*address).add_to_trunk(*number, trunk)?;
        }
        Ok(self.index.map(|_| pod.basics(to.name)).transpose()?)
    }

    fn search<'a>(&'a self, sysfs: &'a Sysfs, to: &'a Destination) -> Search<'a> {
        Search { sysfs, record: &self.record, interface: to.name, netns: to.path }
    }

    fn move_in(
        &self,
        sysfs: &Sysfs,
        host: &mut RouteSocket,
        index: u32,
        to: &Destination,
    ) -> Result<(), SriovError> {
        let mac = self.record.change.mac;
        let mut change = LinkChange {
            netns: Some(to.netns),
            name: Some(to.name),
            mac,
            mtu: to.mtu,
            ..LinkChange::default()
        };
        let mut moved = host.change_link(index, &change);
        if let (Err(refusal), Some(mac)) = (&moved, mac)
            && is_deaf(refusal)
            && let Some(mut place) = self.search(sysfs, to).look(host)?
        {
            place.set_mac_awake(host, mac)?;
            change.mac = None;
            // The kernel may have moved it before it set the MAC or not, that depends on its version.
            moved = match place {
                Place::Host(link) => host.change_link(link.index, &change),
                Place::Pod(link, mut pod) => {
                    pod.change_link(link.index, &LinkChange { netns: None, ..change })
                }
            };
        }
        moved.map_err(|source| SriovError::Move {
            device: self.record.device,
            name: to.name.clone(),
            source,
        })
    }
}

/// In which of the PF's settings a VF is not as ADD has left it. Asks the PF for all of its VFs, if ADD has
/// changed any.
pub fn differences(
    sysfs: &Sysfs,
    host: &mut RouteSocket,
    record: &VfRecord,
) -> Result<Vec<String>, SriovError> {
    let VfRecord { device, pf, change, .. } = record;
    let Some(pf) = pf.filter(|_| !change.is_empty()) else { return Ok(Vec::new()) };
    let pf = Pf::find(sysfs, host, pf)?;
    let now = pf.settings(host, *device)?;
    let all = change.differences(&now).into_iter();
    Ok(all.map(|(now, expected)| format!("VF {device} has {now}, expected {expected}")).collect())
}

/// Whether a configuration asks for anything that the PF has to set.
fn touches_pf(conf: &SriovConf) -> bool {
    let SriovConf { mac, vlan, spoof_check, trust, link_state, min_tx_rate, max_tx_rate, .. } =
        conf;
    let switches = [spoof_check, trust].iter().any(|switch| switch.is_some());
    let rates = [min_tx_rate, max_tx_rate].iter().any(|rate| rate.is_some());
    mac.is_some() || vlan.is_some() || link_state.is_some() || switches || rates
}

/// What has to change in the PF's settings. Of the two rates the kernel sets both, so one that is not
/// configured is set to what it is.
fn wanted(
    conf: &SriovConf,
    now: &VfSettings,
    effective: Option<MacAddr>,
) -> Result<VfChange, SriovError> {
    let rates = Rates {
        min: conf.min_tx_rate.unwrap_or(now.rates.min),
        max: conf.max_tx_rate.unwrap_or(now.rates.max),
    };
    if rates.max != 0 && rates.min > rates.max {
        return Err(SriovError::Rates { device: conf.device, rates });
    }
    let change = VfChange {
        mac: conf.mac.filter(|mac| now.mac != *mac || effective.is_some_and(|now| now != *mac)),
        vlan: conf.vlan,
        rates: Some(rates),
        spoof_check: conf.spoof_check,
        link_state: conf.link_state,
        trust: conf.trust,
    };
    Ok(change.against(now))
}

/// Without a PF there is nobody to set these.
fn refuse_what_only_a_pf_can_set(conf: &SriovConf) -> Result<(), SriovError> {
    let SriovConf { vlan, spoof_check, trust, link_state, .. } = conf;
    let SriovConf { min_tx_rate, max_tx_rate, trunk, .. } = conf;
    let keys = [
        ("vlan", vlan.is_some()),
        ("spoofchk", spoof_check.is_some()),
        ("trust", trust.is_some()),
        ("link_state", link_state.is_some()),
        ("min_tx_rate", min_tx_rate.is_some()),
        ("max_tx_rate", max_tx_rate.is_some()),
        ("trunk", !trunk.is_empty()),
    ];
    match keys.iter().find(|(_, is_set)| *is_set) {
        None => Ok(()),
        Some((key, _)) => Err(SriovError::NoPf { device: conf.device, key }),
    }
}

/// A device without a PF may be the one by which its machine is reached.
fn refuse_the_machine_s_own(
    host: &mut RouteSocket,
    device: PciAddress,
    link: Option<&Link>,
) -> Result<(), SriovError> {
    match link {
        Some(link) if host.default_route_link()? == Some(link.index) => {
            Err(SriovError::DefaultRoute { device, name: link.name.clone() })
        }
        _ => Ok(()),
    }
}

/// The PF of a VF, and the VF's number on it; none where the machine has no PF.
fn physical_function(sysfs: &Sysfs, device: PciAddress) -> Result<Option<PfRecord>, SriovError> {
    let function = sysfs.pci(device);
    if !function.exists() {
        return Err(SriovError::NoDevice { device });
    }
    match function.physfn()? {
        Some(address) => Ok(Some(PfRecord { address, number: function.vf_index(address)? })),
        None if function.total_vfs()?.is_some_and(|total| total > 0) => {
            Err(SriovError::IsPf { device })
        }
        None => Ok(None),
    }
}

/// The netdev of a VF that is in the host's namespace; none where a program in user space drives it.
fn netdev(
    sysfs: &Sysfs,
    host: &mut RouteSocket,
    device: PciAddress,
) -> Result<Option<Link>, SriovError> {
    let function = sysfs.pci(device);
    for name in function.net_names()? {
        match host.link_by_name(&name) {
            Err(e) if e.is_missing() => {}
            link => return usable(device, link?).map(Some),
        }
    }
    match function.driver()? {
        Some(driver) if is_of_user_space(&driver) => Ok(None),
        Some(driver) => Err(SriovError::NoNetdev { device, driver }),
        None => Err(SriovError::NoDriver { device }),
    }
}

fn usable(device: PciAddress, link: Link) -> Result<Link, SriovError> {
    if link.link_type == Some(LinkType::Infiniband) {
        return Err(SriovError::Infiniband { device, name: link.name });
    }
    if link.controller.is_some() {
        return Err(SriovError::InUseByHost { device, name: link.name });
    }
    Ok(link)
}

/// Whether a driver is one that leaves a device to a program in user space: it has no netdev then.
fn is_of_user_space(driver: &str) -> bool {
    ["vfio-pci", "uio_pci_generic", "igb_uio"].contains(&driver)
}

impl Pf {
    fn find(
        sysfs: &Sysfs,
        host: &mut RouteSocket,
        PfRecord { address, number }: PfRecord,
    ) -> Result<Self, SriovError> {
        let name = sysfs.pci(address).pf_name()?.ok_or(SriovError::NoPfNetdev { pf: address })?;
        let index = host.link_by_name(&name)?.index;
        Ok(Self { index, name, vf: number })
    }

    /// What the PF has set for the VF.
    fn settings(
        &self,
        host: &mut RouteSocket,
        device: PciAddress,
    ) -> Result<VfSettings, SriovError> {
        let now = host.vf_settings(self.index)?.into_iter().nth(self.vf as usize);
        let (pf, number) = (self.name.clone(), self.vf);
        now.ok_or(SriovError::NotOnPf { device, pf, number })
    }

    /// Changes what the PF has set for the VF.
    fn set(&self, host: &mut RouteSocket, change: &VfChange) -> Result<(), SetVfError> {
        host.set_vf(self.index, self.name.as_str(), self.vf, change)
    }
}

impl NetdevRecord {
    fn of(link: &Link, device: PciAddress) -> Result<Self, SriovError> {
        let unusable =
            |what: String| SriovError::NotEthernet { device, name: link.name.clone(), what };
        Ok(Self {
            name: link.name.parse().map_err(|e| unusable(format!("its name: {e}")))?,
            alt_names: link.alt_names.clone(),
            mac: link.mac.ok_or_else(|| unusable("it has no Ethernet address".into()))?,
            mtu: link.mtu.try_into().map_err(|e| unusable(format!("its MTU: {e}")))?,
            up: link.up,
        })
    }
}

#[cfg(test)]
impl VfRecord {
    /// A record of nothing in particular.
    pub(crate) fn of_tests(device: PciAddress) -> Self {
        Self {
            device,
            pf: None,
            netdev: None,
            settings: VfSettings::default(),
            change: VfChange::default(),
            trunk: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
