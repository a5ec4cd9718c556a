//! A VF for a pod: which one, who may have it, and the steps that put it into the pod's namespace.

mod error;
mod place;
mod restore;

use std::path::Path;

use linkspan_config::net_conf::SriovConf;
use linkspan_linux::pci::Sysfs;
use linkspan_linux::{Link, LinkChange, Netns, RouteSocket, VfChange, VfSettings};
use linkspan_types::{IfName, MacAddr, Mtu, PciAddress, Rates};
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
    /// Its PF.
    pub pf: PciAddress,
    /// Its number on the PF.
    pub number: u32,
    /// Its netdev as it was in the host's namespace.
    pub netdev: NetdevRecord,
    /// What the PF had set for it; the default where nothing of it is to change.
    pub settings: VfSettings,
    /// What is to change in the PF's settings.
    pub change: VfChange,
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
    index: u32,
    pf: Pf,
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

/// The netdev of a PF.
struct Pf {
    index: u32,
    name: IfName,
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
        let (pf_address, number) = physical_function(sysfs, device)?;
        let pf = Pf::find(sysfs, host, pf_address)?;
        let link = netdev(sysfs, host, device)?;
        if link.controller.is_some() {
            return Err(SriovError::InUseByHost { device, name: link.name });
        }
        let netdev = NetdevRecord::of(&link, device)?;
        let mut settings = VfSettings::default();
        let mut change = VfChange::default();
        if touches_pf(conf) {
            let all = host.vf_settings(pf.index)?;
            let pf_name = || pf.name.clone();
            let now = all.into_iter().nth(number as usize);
            settings = now.ok_or_else(|| SriovError::NotOnPf { device, pf: pf_name(), number })?;
            change = wanted(conf, &settings, netdev.mac)?;
        }
        let record = VfRecord { device, pf: pf_address, number, netdev, settings, change };
        Ok(Self { record, index: link.index, pf })
    }

    /// What the journal has to keep.
    #[must_use]
    pub fn record(&self) -> &VfRecord {
        &self.record
    }

    /// Moves the VF into the pod's namespace and sets all that the configuration asks for. It is down
    /// when this returns. What a failure leaves half done, [`restore`] undoes.
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
    ) -> Result<Link, SriovError> {
        let VfRecord { netdev, settings, change, number, .. } = &self.record;
        if netdev.alt_names.iter().any(|alt_name| alt_name == to.name.as_str()) {
            host.remove_alt_name(self.index, to.name.as_str())?;
        }
        if change.mac.is_some() && settings.mac != MacAddr::ZERO {
            let release = VfChange { mac: Some(MacAddr::ZERO), ..VfChange::default() };
            host.set_vf(self.pf.index, self.pf.name.as_str(), *number, &release)?;
        }
        self.move_in(sysfs, host, to)?;
        host.set_vf(self.pf.index, self.pf.name.as_str(), *number, change)?;
        Ok(pod.link_by_name(to.name)?)
    }

    fn search<'a>(&'a self, sysfs: &'a Sysfs, to: &'a Destination) -> Search<'a> {
        Search { sysfs, record: &self.record, interface: to.name, netns: to.path }
    }

    fn move_in(
        &self,
        sysfs: &Sysfs,
        host: &mut RouteSocket,
        to: &Destination,
    ) -> Result<(), SriovError> {
        let mac = self.record.change.mac;
        let mut change =
            LinkChange { netns: Some(to.netns), name: Some(to.name), mac, mtu: to.mtu, up: None };
        let mut moved = host.change_link(self.index, &change);
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
fn wanted(conf: &SriovConf, now: &VfSettings, effective: MacAddr) -> Result<VfChange, SriovError> {
    let rates = Rates {
        min: conf.min_tx_rate.unwrap_or(now.rates.min),
        max: conf.max_tx_rate.unwrap_or(now.rates.max),
    };
    if rates.max != 0 && rates.min > rates.max {
        return Err(SriovError::Rates { device: conf.device, rates });
    }
    let change = VfChange {
        mac: conf.mac.filter(|mac| (now.mac, effective) != (*mac, *mac)),
        vlan: conf.vlan,
        rates: Some(rates),
        spoof_check: conf.spoof_check,
        link_state: conf.link_state,
        trust: conf.trust,
    };
    Ok(change.against(now))
}

/// The PF of a VF, and the VF's number on it.
fn physical_function(sysfs: &Sysfs, device: PciAddress) -> Result<(PciAddress, u32), SriovError> {
    let function = sysfs.pci(device);
    if !function.exists() {
        return Err(SriovError::NoDevice { device });
    }
    let Some(pf) = function.physfn()? else {
        let is_pf = function.total_vfs()?.is_some_and(|total| total > 0);
        return Err(if is_pf {
            SriovError::IsPf { device }
        } else {
            SriovError::NotAVf { device }
        });
    };
    Ok((pf, function.vf_index(pf)?))
}

/// The netdev of a VF that is in the host's namespace.
fn netdev(sysfs: &Sysfs, host: &mut RouteSocket, device: PciAddress) -> Result<Link, SriovError> {
    let function = sysfs.pci(device);
    for name in function.net_names()? {
        match host.link_by_name(&name) {
            Err(e) if e.is_missing() => {}
            link => return Ok(link?),
        }
    }
    match function.driver()? {
        Some(driver) => Err(SriovError::NoNetdev { device, driver }),
        None => Err(SriovError::NoDriver { device }),
    }
}

impl Pf {
    fn find(
        sysfs: &Sysfs,
        host: &mut RouteSocket,
        address: PciAddress,
    ) -> Result<Self, SriovError> {
        let name = sysfs.pci(address).pf_name()?.ok_or(SriovError::NoPfNetdev { pf: address })?;
        let index = host.link_by_name(&name)?.index;
        Ok(Self { index, name })
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
            pf: "0000:01:00.0".parse().expect("a PCI address"),
            number: 0,
            netdev: NetdevRecord {
                name: "enp1s0v0".parse().expect("a name"),
                alt_names: Vec::new(),
                mac: MacAddr([2, 0, 0, 0, 0, 1]),
                mtu: Mtu::try_from(1500).expect("an MTU"),
                up: false,
            },
            settings: VfSettings::default(),
            change: VfChange::default(),
        }
    }
}
