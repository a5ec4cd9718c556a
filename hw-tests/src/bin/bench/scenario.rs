//! What is measured: networks of the reference plugin macvlan, by configurations that both programs read.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::place::PARENT;

/// A network, and how often it is tried.
pub(crate) struct Scenario {
    pub(crate) addressing: Addressing,
    /// The configuration of each program. They differ in where reservations are: that the other program has been
    /// at work there is nothing that a node sees at every call.
    pub(crate) linkspan: Value,
    pub(crate) reference: Value,
    /// What is to be measured: rounds of one ADD and one DEL of each contestant.
    pub(crate) rounds: usize,
    /// The reference plugin takes part in every so many rounds.
    pub(crate) reference_every: usize,
}

/// How pods get their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// They get none.
    None,
    /// One, from a network of 65,533, of which so many are taken.
    HostLocal { taken: u32 },
    /// The last of 4,093, which the search for it starts and ends with.
    LastOne,
    /// One of each family, with a gateway of each, from host-local.
    DualHostLocal,
    /// One of each family, with a gateway of each, from the configuration.
    DualStatic,
}

/// In this order they are measured and shown.
pub(crate) const ALL: [Addressing; 8] = [
    Addressing::None,
    Addressing::HostLocal { taken: 0 },
    Addressing::HostLocal { taken: 1_000 },
    Addressing::HostLocal { taken: 10_000 },
    Addressing::HostLocal { taken: 60_000 },
    Addressing::LastOne,
    Addressing::DualHostLocal,
    Addressing::DualStatic,
];

impl Addressing {
    /// As the tables have it.
    pub(crate) fn name(self) -> String {
        match self {
            Self::None => "no IPAM".to_owned(),
            Self::HostLocal { taken: 0 } => "host-local".to_owned(),
            Self::HostLocal { taken } => format!("host-local, {taken} taken"),
            Self::LastOne => "host-local, 4092 of 4093 taken".to_owned(),
            Self::DualHostLocal => "host-local, dual stack".to_owned(),
            Self::DualStatic => "static, dual stack".to_owned(),
        }
    }

    /// Addresses such as an ADD gives, for the floor.
    pub(crate) fn addresses(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::HostLocal { .. } | Self::LastOne => &["10.60.0.2/16"],
            Self::DualHostLocal | Self::DualStatic => &["10.60.0.2/16", "fd00:60::2/64"],
        }
    }

    /// The key `ipam`, and the reservations that are there before the first ADD.
    fn prepare(self, network: &str, data: &Path) -> Result<Value> {
        let host_local =
            |ranges: Value| json!({ "type": "host-local", "dataDir": data, "ranges": ranges });
        let base = u32::from(Ipv4Addr::new(10, 60, 0, 0));
        // The reference plugin's first is that of the gateway, which it skips.
        let first = base + 2;
        Ok(match self {
            Self::None => json!({}),
            Self::HostLocal { taken } => {
                take(&data.join(network), first..first + taken, first + taken)?;
                host_local(json!([[{ "subnet": "10.60.0.0/16" }]]))
            }
            Self::LastOne => {
                let last = base + 4094;
                take(&data.join(network), first..last, last)?;
                host_local(json!([[{ "subnet": "10.60.0.0/20" }]]))
            }
            Self::DualHostLocal => {
                host_local(json!([[{ "subnet": "10.60.0.0/16" }], [{ "subnet": "fd00:60::/64" }]]))
            }
            Self::DualStatic => json!({ "type": "static", "addresses": [
                { "address": "10.60.0.2/16", "gateway": "10.60.0.1" },
                { "address": "fd00:60::2/64", "gateway": "fd00:60::1" },
            ] }),
        })
    }
}

impl Scenario {
    /// A network of its own, whose reservations are below the folder `data`.
    pub(crate) fn new(addressing: Addressing, data: &Path) -> Result<Self> {
        let network: String = addressing.name().replace(|c: char| !c.is_alphanumeric(), "-");
        let config = |data: &Path| {
            let ipam = addressing.prepare(&network, data)?;
            anyhow::Ok(json!({
                "cniVersion": "1.0.0", "name": network, "type": "macvlan", "master": PARENT,
                "mode": "bridge", "ipam": ipam,
            }))
        };
        let (rounds, reference_every) = match addressing {
            // A quarter of a second each.
            Addressing::HostLocal { taken: 60_000 } => (100, 5),
            // Two seconds each.
            Addressing::DualHostLocal | Addressing::DualStatic => (100, 20),
            _ => (100, 1),
        };
        let (linkspan, reference) =
            (config(&data.join("linkspan"))?, config(&data.join("reference"))?);
        Ok(Self { addressing, linkspan, reference, rounds, reference_every })
    }
}

/// Reserves addresses for containers that are not there, in the reference plugin's files.
fn take(folder: &Path, taken: std::ops::Range<u32>, last: u32) -> Result<()> {
    fs::create_dir_all(folder)?;
    for address in taken {
        let owner = format!("{address:064x}\r\neth0");
        fs::write(folder.join(Ipv4Addr::from(address).to_string()), owner)?;
    }
    fs::write(folder.join("last_reserved_ip.0"), Ipv4Addr::from(last).to_string())?;
    Ok(())
}
