//! What `linkspan status` tells, as plain data: `--json` prints it in this very shape, which only grows.

use serde::Serialize;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// What the device plugin offers to the kubelet.
    pub(super) pools: Vec<Pool>,
    /// The PFs, and the other links of the host that a pod's link rides on.
    pub(super) parents: Vec<Parent>,
    /// The VFs, pods' other links and devices, and leases of none of these.
    pub(super) devices: Vec<Device>,
    /// What could not be found out, and why: a sentence each, without its dot.
    pub(super) unknown: Vec<String>,
}

/// A pool, by numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pool {
    /// Such as `linkspan.dev/fast`.
    pub(super) name: String,
    /// Whether these are shares of a link, and no devices.
    pub(super) shares: bool,
    pub(super) capacity: usize,
    /// How many are healthy, and no pod's.
    pub(super) free: usize,
    pub(super) ill: usize,
}

/// A link of the host that others ride on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parent {
    /// The name of its interface, or its PCI address where it has none: what `parent` is in a device.
    pub(super) id: String,
    pub(super) pci: Option<String>,
    pub(super) up: bool,
    pub(super) carrier: bool,
    pub(super) mtu: Option<u32>,
    /// Nothing for a link that can have none.
    pub(super) vfs: Option<Vfs>,
    pub(super) troubles: Vec<Trouble>,
}

/// How many VFs a PF has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Vfs {
    pub(super) now: u32,
    pub(super) possible: u32,
}

/// What a pod has, or could have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Device {
    /// A VF's PCI address, a share's ID; of a link that has no more than a name in the pod, its kind.
    pub(super) id: String,
    /// `vf`, `macvlan`, `ipvlan`, `macvtap`, `device` or `lease`.
    pub(super) kind: &'static str,
    pub(super) parent: Option<String>,
    /// A VF's number on its PF.
    pub(super) number: Option<u32>,
    pub(super) driver: Option<String>,
    /// Nothing where no device plugin tells it.
    pub(super) model: Option<Model>,
    pub(super) pool: Option<String>,
    /// Namespace and name.
    pub(super) pod: Option<String>,
    /// The ID of the pod's sandbox.
    pub(super) container: Option<String>,
    pub(super) network: Option<String>,
    /// The name of the interface in the pod.
    pub(super) interface: Option<String>,
    pub(super) addresses: Vec<HeldAddress>,
    pub(super) lease: Option<Lease>,
    pub(super) troubles: Vec<Trouble>,
}

/// What a device is, by the PCI ID database of the device plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Model {
    /// The vendor's number and the device's: `8086:1889`.
    pub(super) id: String,
    /// Empty where the database doesn't know it, as its name.
    pub(super) vendor: String,
    pub(super) name: String,
}

/// An address of a pod's interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeldAddress {
    /// With the length of its prefix.
    pub(super) address: String,
    /// The kernel is looking for a duplicate.
    pub(super) tentative: bool,
    /// Another host has it.
    pub(super) duplicate: bool,
}

/// A DHCP lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lease {
    /// The client's state by RFC 2131: `BOUND`, `RENEWING`, ...
    pub(super) state: String,
    /// Nothing while the client has none.
    pub(super) server: Option<String>,
    /// In how many seconds; nothing where it never does.
    pub(super) expires_in: Option<u64>,
}

/// What is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trouble {
    /// In a word or two.
    pub(super) word: &'static str,
    /// As a sentence without its dot.
    pub(super) text: String,
}

impl Trouble {
    pub(super) fn new(word: &'static str, text: impl Into<String>) -> Self {
        Self { word, text: text.into() }
    }
}
