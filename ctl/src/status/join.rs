//! What the kernel, the journal and the daemons tell, put together: each VF, link and lease once.  Pure.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use linkspan_linux::{Address, Link};
use linkspan_proto::devices::{self, ExcludedDevice, InventoryReply, Shares};
use linkspan_proto::dhcp::HeldLease;
use linkspan_types::{IfName, PciAddress};

use super::report::{Device, HeldAddress, Lease, Model, Parent, Pool, Report, Trouble, Vfs};
use linkspan_cni::ipam::IpamRecord;
use linkspan_cni::journal::{AttachmentKey, Record};
use linkspan_cni::kind::LinkRecord;
use linkspan_cni::kind::child::ChildKind;

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) pfs: Vec<Pf>,
    /// The host's links.
    pub(super) links: Vec<Link>,
    pub(super) attachments: Vec<Attachment>,
    /// What the device plugin says; nothing where it could not be asked.
    pub(super) inventory: Option<InventoryReply>,
    /// What the DHCP daemons say.
    pub(super) leases: Vec<HeldLease>,
    /// The sockets on which no DHCP daemon has answered.
    pub(super) silent: Vec<PathBuf>,
    /// Seconds since the machine was started.
    pub(super) now: u64,
    /// What could not be found out.
    pub(super) unknown: Vec<String>,
}

/// A PF, by sysfs.
#[derive(Debug)]
pub(super) struct Pf {
    pub(super) address: PciAddress,
    pub(super) name: Option<IfName>,
    pub(super) possible: u32,
    /// Their numbers, addresses and drivers.
    pub(super) vfs: Vec<(u32, PciAddress, Option<String>)>,
}

/// An attachment: its record, and what is in the pod.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) record: Record,
    pub(super) inside: Inside,
    /// What host-local keeps for it.
    pub(super) reserved: Vec<IpAddr>,
}

/// What there is of an attachment in its pod's namespace.
#[derive(Debug)]
pub(super) enum Inside {
    /// The namespace is gone.
    Gone,
    /// It could not be looked at, as the sentence says.
    Unseen(String),
    /// The namespace is there, and has no such link.
    NoLink,
    Link(Box<Link>, Vec<Address>),
}

/// Puts it all together.
pub(super) fn join(seen: &Seen) -> Report {
    let mut joined = Joined { links: &seen.links, now: seen.now, report: Report::default() };
    joined.report.unknown.clone_from(&seen.unknown);
    seen.pfs.iter().for_each(|pf| joined.pf(pf));
    for pool in seen.inventory.iter().flat_map(|inventory| &inventory.pools) {
        joined.pool(pool);
    }
    for excluded in seen.inventory.iter().flat_map(|inventory| &inventory.excluded) {
        joined.excluded(excluded);
    }
    for attachment in &seen.attachments {
        joined.attachment(attachment, &seen.silent);
    }
    seen.leases.iter().for_each(|lease| joined.lease(lease));
    let mut report = joined.report;
    report.pools.sort_by(|a, b| a.name.cmp(&b.name));
    report.parents.sort_by(|a, b| a.id.cmp(&b.id));
    report.devices.sort_by_cached_key(|one| {
        let ids = (one.kind != "vf", one.number, one.id.clone());
        (one.kind == "lease", ids, one.pod.clone(), one.container.clone(), one.interface.clone())
    });
    report
}

struct Joined<'a> {
    links: &'a [Link],
    now: u64,
    report: Report,
}

impl Joined<'_> {
    fn pf(&mut self, pf: &Pf) {
        let pci = pf.address.to_string();
        let id = pf.name.as_ref().map_or_else(|| pci.clone(), ToString::to_string);
        let now = u32::try_from(pf.vfs.len()).unwrap_or(u32::MAX);
        let vfs = Some(Vfs { now, possible: pf.possible });
        let parent = self.host_link(&id, Some(pci));
        self.report.parents.push(Parent { vfs, ..parent });
        for (number, address, driver) in &pf.vfs {
            self.report.devices.push(Device {
                id: address.to_string(),
                kind: "vf",
                parent: Some(id.clone()),
                number: Some(*number),
                driver: driver.clone(),
                ..Device::default()
            });
        }
    }

    /// A parent as the host's links have it.
    fn host_link(&self, id: &str, pci: Option<String>) -> Parent {
        let mut parent = Parent { id: id.to_owned(), pci, ..Parent::default() };
        if let Some(link) = self.links.iter().find(|link| link.name == id) {
            parent.pci = parent.pci.or_else(|| link.pci.map(|pci| pci.to_string()));
            (parent.up, parent.carrier, parent.mtu) = (link.up, link.carrier, Some(link.mtu));
            if link.up && !link.carrier {
                let text =
                    "it is up and has no carrier: is the cable in, and the switch's port up?";
                parent.troubles.push(Trouble::new("no carrier", text));
            }
        }
        parent
    }

    /// The parent of this name, which is on the list afterwards.
    fn parent(&mut self, name: &str) -> String {
        if !self.report.parents.iter().any(|parent| parent.id == name) {
            let parent = self.host_link(name, None);
            self.report.parents.push(parent);
        }
        name.to_owned()
    }

    /// The device with this ID, which is on the list afterwards.
    fn device(&mut self, id: &str, kind: &'static str) -> &mut Device {
        let devices = &mut self.report.devices;
        let place = devices.iter().position(|device| device.id == id).unwrap_or(devices.len());
        if place == devices.len() {
            devices.push(Device { id: id.to_owned(), kind, ..Device::default() });
        }
        &mut devices[place]
    }

    fn pool(&mut self, pool: &devices::Pool) {
        let ill = pool.devices.iter().filter(|device| !device.unhealthy.is_empty()).count();
        let is_free = |one: &&devices::Device| one.unhealthy.is_empty() && one.holder.is_none();
        let free = pool.devices.iter().filter(is_free).count();
        let mut sum = Pool {
            name: pool.name.clone(),
            shares: pool.shares.is_some(),
            capacity: pool.devices.len(),
            free,
            ill,
        };
        for told in &pool.devices {
            self.pool_device(&pool.name, told);
        }
        if let Some(shares) = &pool.shares {
            sum.capacity = usize::try_from(shares.capacity).unwrap_or(usize::MAX);
            let well = shares.unhealthy.is_empty();
            sum.ill = if well { 0 } else { sum.capacity };
            sum.free = if well { sum.capacity.saturating_sub(shares.held.len()) } else { 0 };
            self.shares(&pool.name, shares);
        }
        self.report.pools.push(sum);
    }

    fn pool_device(&mut self, pool: &str, told: &devices::Device) {
        let is_part = !told.pf.is_empty() && told.pf != told.id;
        let of_pci = self.report.parents.iter().find(|one| one.pci.as_ref() == Some(&told.pf));
        let parent = of_pci.map(|parent| parent.id.clone()).filter(|_| is_part);
        let parent = parent
            .or_else(|| (is_part && !told.pf_name.is_empty()).then(|| self.parent(&told.pf_name)));
        let device = self.device(&told.id, "device");
        device.parent = device.parent.take().or(parent);
        device.pool = Some(pool.to_owned());
        device.pod = told.holder.as_ref().map(name_of);
        device.model = told.model.as_ref().map(model);
        if !told.driver.is_empty() {
            device.driver = Some(told.driver.clone());
        }
        if !told.unhealthy.is_empty() {
            device.troubles.push(Trouble::new("ill", &told.unhealthy));
        }
    }

    fn shares(&mut self, pool: &str, shares: &Shares) {
        let parent = self.parent(&shares.lower_device);
        let kind = if shares.kind == "macvlan" { "macvlan" } else { "macvtap" };
        for held in &shares.held {
            let device = self.device(&held.id, kind);
            device.parent = Some(parent.clone());
            device.pool = Some(pool.to_owned());
            device.pod = held.holder.as_ref().map(name_of);
        }
        if !shares.unhealthy.is_empty()
            && let Some(parent) = self.report.parents.iter_mut().find(|one| one.id == parent)
        {
            parent.troubles.push(Trouble::new("ill", &shares.unhealthy));
        }
    }

    fn excluded(&mut self, told: &ExcludedDevice) {
        let trouble = Trouble::new("not offered", &told.reason);
        let mut parents = self.report.parents.iter_mut();
        // That a PF with VFs is not given away itself is as it should be, and said nowhere else.
        match parents.find(|parent| parent.pci.as_ref() == Some(&told.id)) {
            Some(parent) if parent.vfs.is_some_and(|vfs| vfs.now > 0) => {}
            Some(parent) => parent.troubles.push(trouble),
            None => {
                let device = self.device(&told.id, "device");
                device.model = told.model.as_ref().map(model);
                device.troubles.push(trouble);
            }
        }
    }

    fn attachment(&mut self, attachment: &Attachment, silent: &[PathBuf]) {
        let Attachment { record, inside, reserved } = attachment;
        let mut one = self.of_record(record);
        one.container = Some(record.key.container.to_string());
        one.network = Some(record.key.network.to_string());
        one.interface = Some(record.key.interface.to_string());
        one.pod = record.pod.clone().or(one.pod);
        one.addresses = reserved.iter().map(|ip| address(ip.to_string(), false, false)).collect();
        one.troubles.extend(troubles(record, inside));
        if let Inside::Link(_, found) = inside {
            one.addresses =
                found.iter().filter(|found| is_told(found)).map(found_address).collect();
        }
        if matches!(&record.ipam, IpamRecord::Dhcp(socket) if !silent.contains(socket)) {
            // Taken away again where it has one.
            let text = "the DHCP daemon has no lease for it; its address is good for as long as it was leased";
            one.troubles.push(Trouble::new("no lease", text));
        }
        self.report.devices.push(one);
    }

    /// Takes the device of an attachment from the list, or makes one that is on no list.
    fn of_record(&mut self, record: &Record) -> Device {
        let (id, kind) = match &record.link {
            LinkRecord::Vf(vf) => (Some(vf.device.to_string()), "vf"),
            LinkRecord::Child(child) => {
                (child.vf.map(|vf| vf.device.to_string()), kind(child.kind))
            }
            LinkRecord::Pool(link) => (Some(link.device.clone()), "macvtap"),
        };
        let devices = &mut self.report.devices;
        let place = id.as_ref().and_then(|id| devices.iter().position(|device| device.id == *id));
        if let Some(place) = place {
            return devices.remove(place);
        }
        let parent = match &record.link {
            LinkRecord::Child(child) if !child.in_container => {
                let link = self.links.iter().find(|link| link.index == child.parent);
                link.map(|link| link.name.clone()).map(|name| self.parent(&name))
            }
            _ => None,
        };
        let id = id.unwrap_or_else(|| kind.to_owned());
        let mut device = Device { id, kind, parent, ..Device::default() };
        if matches!(record.link, LinkRecord::Vf(_)) {
            let text = "no PF of this node has such a VF now";
            device.troubles.push(Trouble::new("no device", text));
        }
        device
    }

    fn lease(&mut self, held: &HeldLease) {
        let lease = held.lease.as_ref();
        let told = Lease {
            state: held.state.clone(),
            server: lease.map(|lease| Ipv4Addr::from_bits(lease.server).to_string()),
            expires_in: lease
                .filter(|lease| lease.expires_at != u64::MAX)
                .map(|lease| lease.expires_at.saturating_sub(self.now)),
        };
        let is_its = |device: &&mut Device| {
            held.attachment.as_ref().is_some_and(|key| {
                device.container.as_ref() == Some(&key.container_id)
                    && device.network.as_ref() == Some(&key.network)
                    && device.interface.as_ref() == Some(&key.if_name)
            })
        };
        let device = match self.report.devices.iter_mut().find(is_its) {
            Some(device) => device,
            None => self.lease_alone(held),
        };
        device.troubles.retain(|trouble| trouble.word != "no lease");
        if device.pod.is_none() && !held.pod.is_empty() {
            device.pod = Some(held.pod.clone());
        }
        match (lease, told.state.as_str()) {
            (Some(_), "REBINDING") => {
                let text = "its DHCP server does not answer; any other is being asked to go on with the lease";
                device.troubles.push(Trouble::new("rebinding", text));
            }
            (Some(_), _) => {}
            (None, state) => {
                let text = format!("it has no lease now: its DHCP client is {state}");
                device.troubles.push(Trouble::new("no lease", text));
            }
        }
        device.lease = Some(told);
    }

    /// A lease of no attachment of ours: one that is kept ready, or that another main plugin has asked for.
    fn lease_alone(&mut self, held: &HeldLease) -> &mut Device {
        let key = held.attachment.as_ref();
        let ip = held.lease.as_ref().map(|lease| {
            let ip = Ipv4Addr::from_bits(lease.address);
            address(format!("{ip}/{}", lease.prefix_length), false, false)
        });
        let devices = &mut self.report.devices;
        devices.push(Device {
            id: if key.is_some() { "lease" } else { "lease, ready" }.to_owned(),
            kind: "lease",
            container: key.map(|key| key.container_id.clone()),
            network: key.map(|key| key.network.clone()),
            interface: key.map(|key| key.if_name.clone()),
            addresses: ip.into_iter().collect(),
            ..Device::default()
        });
        let last = devices.len() - 1;
        &mut devices[last]
    }
}

fn troubles(record: &Record, inside: &Inside) -> Vec<Trouble> {
    let AttachmentKey { interface, .. } = &record.key;
    let netns = record.netns.display();
    match inside {
        Inside::Gone => vec![Trouble::new(
            "pod gone",
            format!(
                "its namespace {netns} is gone, and no DEL came: `linkspan gc` puts that right"
            ),
        )],
        Inside::Unseen(why) => vec![Trouble::new("not seen", why)],
        // A program in user space drives it.
        Inside::NoLink if matches!(&record.link, LinkRecord::Vf(vf) if vf.netdev.is_none()) => {
            Vec::new()
        }
        Inside::NoLink => {
            let text = format!("{interface} is not in {netns}, where it was put");
            vec![Trouble::new("no link", text)]
        }
        Inside::Link(link, found) => {
            let mut troubles = Vec::new();
            for found in found.iter().filter(|found| found.duplicate) {
                let text = format!("another host has its address {}", found.net.addr());
                troubles.push(Trouble::new("duplicate", text));
            }
            if !link.up {
                troubles.push(Trouble::new("down", format!("{interface} is down in the pod")));
            } else if !link.carrier {
                troubles.push(Trouble::new("no carrier", format!("{interface} has no carrier")));
            }
            troubles
        }
    }
}

fn kind(kind: ChildKind) -> &'static str {
    match kind {
        ChildKind::Macvlan => "macvlan",
        ChildKind::Ipvlan => "ipvlan",
        ChildKind::Macvtap => "macvtap",
    }
}

/// Every link that is up has a link-local address, which says nothing but where it is a duplicate.
fn is_told(found: &Address) -> bool {
    match found.net.addr() {
        IpAddr::V6(ip) => found.duplicate || !ip.is_unicast_link_local(),
        IpAddr::V4(_) => true,
    }
}

fn found_address(found: &Address) -> HeldAddress {
    address(found.net.to_string(), found.tentative && !found.duplicate, found.duplicate)
}

fn address(address: String, tentative: bool, duplicate: bool) -> HeldAddress {
    HeldAddress { address, tentative, duplicate }
}

fn model(devices::Model { id, vendor, name }: &devices::Model) -> Model {
    Model { id: id.clone(), vendor: vendor.clone(), name: name.clone() }
}

fn name_of(holder: &devices::Holder) -> String {
    format!("{}/{}", holder.pod_namespace, holder.pod_name)
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
