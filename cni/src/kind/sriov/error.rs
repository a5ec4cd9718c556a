//! Why a VF can't be attached, with the CNI code and the advice that go with it.

use linkspan_linux::pci::{SysfsError, TrunkError};
use linkspan_linux::{Errno, NetlinkError, SetVfError};
use linkspan_types::{IfName, PciAddress, Rates};

use super::place::LookError;
use crate::spec::{CniError, Code};

/// A VF that can't be attached.
#[derive(Debug, thiserror::Error)]
pub enum SriovError {
    /// No such device.
    #[error("`deviceID` is {device}, but this node has no such PCI device")]
    NoDevice {
        /// The address.
        device: PciAddress,
    },
    /// A PF.
    #[error(
        "`deviceID` is {device}, which is a physical function (PF), expected a virtual one (VF)"
    )]
    IsPf {
        /// The PF.
        device: PciAddress,
    },
    /// A VF in a machine without its PF.
    #[error("`{key}` is set, but VF {device} has no PF on this machine that could set it")]
    NoPf {
        /// The VF.
        device: PciAddress,
        /// The key that only a PF can serve.
        key: &'static str,
    },
    /// The link that the machine itself is reached by.
    #[error("device {device} ({name}) has the host's default route")]
    DefaultRoute {
        /// The device.
        device: PciAddress,
        /// Its netdev.
        name: String,
    },
    /// A VF of another fabric.
    #[error("VF {device} ({name}) is an InfiniBand device, expected an Ethernet one")]
    Infiniband {
        /// The VF.
        device: PciAddress,
        /// Its netdev.
        name: String,
    },
    /// A VF without a driver.
    #[error("VF {device} has no driver")]
    NoDriver {
        /// The VF.
        device: PciAddress,
    },
    /// A VF that is not in the host's namespace, or whose driver makes no netdev.
    #[error("VF {device} has driver {driver}, but no network interface in the host's namespace")]
    NoNetdev {
        /// The VF.
        device: PciAddress,
        /// Its driver.
        driver: String,
    },
    /// A VF that the host uses.
    #[error("VF {device} ({name}) is in use by the host: it belongs to a bond, a bridge or a VRF")]
    InUseByHost {
        /// The VF.
        device: PciAddress,
        /// Its netdev.
        name: String,
    },
    /// A netdev that could not be put back as it was.
    #[error("VF {device} ({name}) can't be moved: {what}")]
    NotEthernet {
        /// The VF.
        device: PciAddress,
        /// Its netdev.
        name: String,
        /// What is strange about it.
        what: String,
    },
    /// A PF whose netdev is elsewhere.
    #[error("PF {pf} has no network interface in the host's namespace")]
    NoPfNetdev {
        /// The PF.
        pf: PciAddress,
    },
    /// The PF does not know the VF.
    #[error("PF {pf} has no settings for VF {device}, its number {number}")]
    NotOnPf {
        /// The VF.
        device: PciAddress,
        /// The PF's netdev.
        pf: IfName,
        /// The VF's number.
        number: u32,
    },
    /// A configured rate does not go with the one that stays as it is.
    #[error(
        "VF {device} would have a min_tx_rate of {} over its max_tx_rate of {} (Mbit/s)",
        rates.min, rates.max
    )]
    Rates {
        /// The VF.
        device: PciAddress,
        /// Both rates, the configured one and the present one.
        rates: Rates,
    },
    /// The move into the pod.
    #[error("VF {device} can't be moved into the pod as {name}")]
    Move {
        /// The VF.
        device: PciAddress,
        /// Its name in the pod.
        name: IfName,
        /// The kernel's word.
        #[source]
        source: NetlinkError,
    },
    /// A setting that the driver refuses.
    #[error(transparent)]
    Setting(#[from] SetVfError),
    /// A trunk that the driver refuses.
    #[error(transparent)]
    Trunk(#[from] TrunkError),
    /// Any other refusal of the kernel.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The VF could not be looked for.
    #[error(transparent)]
    Look(#[from] LookError),
    /// Sysfs could not be read.
    #[error(transparent)]
    Sysfs(#[from] SysfsError),
}

impl From<SriovError> for CniError {
    fn from(error: SriovError) -> Self {
        let (code, advice) = code_and_advice(&error);
        Self::caused_by(code, &error, advice)
    }
}

fn code_and_advice(error: &SriovError) -> (Code, &'static str) {
    use Code::{DeviceHeld, InvalidConfig, KernelRefused, NoSuchDevice, TryAgain};
    match error {
        SriovError::NoDevice { .. } => (
            NoSuchDevice,
            "List the node's VFs with `ls -d /sys/bus/pci/devices/*/physfn`; if this one was there before, \
             its PF's sriov_numvfs was changed or its card is gone",
        ),
        SriovError::IsPf { .. } => (
            NoSuchDevice,
            "Name one of its VFs: `ls -l /sys/bus/pci/devices/*/physfn` shows which VF belongs to which PF",
        ),
        SriovError::NoPf { .. } => {
            (InvalidConfig, "Remove this key: whoever gave the VF to this machine sets it there")
        }
        SriovError::DefaultRoute { .. } => {
            (DeviceHeld, "The machine would be cut off: give the pod another device")
        }
        SriovError::Infiniband { .. } => (
            InvalidConfig,
            "Use ib-sriov-cni for VFs of InfiniBand, or give the pod a VF of an Ethernet NIC",
        ),
        SriovError::NoDriver { device: _ } => (
            TryAgain,
            "Bind the VF to its network driver: write its address to /sys/bus/pci/drivers_probe",
        ),
        SriovError::NoNetdev { .. } => (
            TryAgain,
            "If the driver is vfio-pci or uio, bind the VF to its network driver; if it is a network driver, \
             the VF is in some other namespace: `ip netns` and `lsns -t net` list them",
        ),
        SriovError::InUseByHost { .. } => {
            (DeviceHeld, "Take the VF out of the bond, bridge or VRF, or give the pod another VF")
        }
        SriovError::NotEthernet { .. } => (InvalidConfig, "Give the pod a VF of an Ethernet NIC"),
        SriovError::NoPfNetdev { .. } => (
            TryAgain,
            "Bind the PF to its network driver, and move it back to the host if a pod has it",
        ),
        SriovError::NotOnPf { .. } => {
            (TryAgain, "The PF's VFs are being created or removed right now; see its sriov_numvfs")
        }
        SriovError::Rates { .. } => {
            (InvalidConfig, "set both min_tx_rate and max_tx_rate, 0 for none")
        }
        SriovError::Move { source, .. } if source.errno() == Some(Errno::EXIST) => (
            KernelRefused,
            "The pod has an interface of this name already: give each of its networks its own name",
        ),
        SriovError::Move { source, .. } if source.errno() == Some(Errno::ADDRNOTAVAIL) => (
            KernelRefused,
            "The PF does not let the VF have this MAC: see `ip link show` of the PF and the kernel's log",
        ),
        SriovError::Trunk(_) => (
            KernelRefused,
            "Remove `trunk` from the network's configuration: Intel's and NVIDIA's own drivers have it, the \
             kernel's have not",
        ),
        SriovError::Setting(_) => (
            KernelRefused,
            "Remove this key from the network's configuration, or see with `ethtool -i` and the kernel's log \
             what the PF's driver can do; some take rates only while the PF has a link",
        ),
        SriovError::Move { .. }
        | SriovError::Netlink(_)
        | SriovError::Look(_)
        | SriovError::Sysfs(_) => {
            (KernelRefused, "See the kernel's log on the node (`dmesg`) for what its driver says")
        }
    }
}
