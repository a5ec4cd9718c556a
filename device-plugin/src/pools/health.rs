//! Whether a device works, as far as the inventory tells.

use std::fmt;

use linkspan_config::resource_list::{Bind, Provision, VfDriver};
use linkspan_types::IfName;

use super::Pool;
use crate::inventory::{Device, Interfaces, Place};

/// Whether the kubelet may give a device to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Healthy,
    Unhealthy(Reason),
}

/// Why a device is not healthy: for logs, metrics and the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// This interface, the device's own or its PF's, has no carrier.
    NoCarrier(IfName),
    /// No driver has the device.
    NoDriver,
    /// The device is not on the bus any more, though a pod may have it.
    Gone,
    /// It was not well a short while ago.
    Recovering,
    /// The host link that it is a share of is not there.
    NoLink(IfName),
}

impl Health {
    pub(super) fn of(device: &Device, pool: &Pool, interfaces: &Interfaces) -> Self {
        let provision = pool.resource.provision.as_ref();
        if device.driver.is_none() && !provision.is_some_and(binds_per_pod) {
            return Self::Unhealthy(Reason::NoDriver);
        }
        match dark(device, interfaces).filter(|_| pool.resource.health.carrier) {
            Some(interface) => Self::Unhealthy(Reason::NoCarrier(interface.clone())),
            None => Self::Healthy,
        }
    }
}

/// The interface without whose carrier nothing reaches the device, if it has none. A PF that is down has none
/// either. Of a NIC that is no VF only one that is up counts: most are down until a pod has them.
fn dark<'a>(device: &'a Device, interfaces: &Interfaces) -> Option<&'a IfName> {
    let name = device.pf().name.as_ref()?;
    let interface = interfaces.get(name)?;
    let counts = interface.up || !matches!(device.place, Place::Whole { .. });
    (counts && !interface.carrier).then_some(name)
}

/// Whether a device gets its driver only with a pod.
fn binds_per_pod(provision: &Provision) -> bool {
    provision.driver == Some(VfDriver::VfioPci(Bind::PerPod))
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCarrier(interface) => write!(f, "{interface} has no carrier"),
            Self::NoDriver => f.write_str("it is bound to no driver"),
            Self::Gone => f.write_str("it is gone from the bus"),
            Self::NoLink(interface) => write!(f, "there is no link {interface}"),
            Self::Recovering => f.write_str("it is well again, but only just"),
        }
    }
}
