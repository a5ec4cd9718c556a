//! One look at the node: sysfs, the kernel's links, the journal, pods' namespaces, and what the daemons say.

use std::error::Error;
use std::time::Duration;

use linkspan_linux::pci::{Sysfs, SysfsError};
use linkspan_linux::{Address, Link, NetlinkError, Netns, RouteSocket, since_boot};
use linkspan_proto::devices::{self, InventoryReply, InventoryRequest};
use linkspan_types::PciAddress;

use super::join::{Attachment, Inside, Pf, Seen};
use linkspan_cni::asked;
use linkspan_cni::ipam::{IpamRecord, dhcp, host_local};
use linkspan_cni::journal::Record;
use linkspan_cni::kind::LinkRecord;
use linkspan_cni::node::Node;
use linkspan_cni::spec::in_full;

/// The device plugin asks the kubelet before it answers, and gives that some seconds.
const PATIENCE: Duration = Duration::from_secs(8);

/// Looks at all there is. What can't be seen is told, and hides nothing else.
pub(super) fn look(node: &Node) -> Seen {
    let mut seen = Seen { now: since_boot().as_secs(), ..Seen::default() };
    let unknown = &mut seen.unknown;
    seen.pfs = or_unknown(pfs(&node.sysfs), "PFs and VFs are", unknown);
    seen.links = or_unknown(host_links(), "The host's links are", unknown);
    let records = or_unknown(node.journal().all(), "Attachments are", unknown);
    seen.inventory = match inventory() {
        Ok(inventory) => Some(inventory),
        Err(error) => {
            unknown.push(format!("Pools, and what is ill, are not known: {}", in_full(&error)));
            None
        }
    };
    let holders = seen.inventory.as_ref().map(|inventory| &inventory.holders_unknown);
    if let Some(why) = holders.filter(|why| !why.is_empty()) {
        unknown.push(format!("What the kubelet has given to which pod is not known: {why}"));
    }
    for socket in dhcp::sockets(records.iter()) {
        match dhcp::leases(&socket) {
            Ok(leases) => seen.leases.extend(leases),
            Err(error) => {
                unknown.push(format!("DHCP leases are not known: {}", in_full(&error)));
                seen.silent.push(socket);
            }
        }
    }
    seen.attachments = records.into_iter().map(attachment).collect();
    seen
}

fn or_unknown<T: Default, E: Error>(
    seen: Result<T, E>,
    what: &str,
    unknown: &mut Vec<String>,
) -> T {
    seen.unwrap_or_else(|error| {
        unknown.push(format!("{what} not known: {}", in_full(&error)));
        T::default()
    })
}

fn pfs(sysfs: &Sysfs) -> Result<Vec<Pf>, SysfsError> {
    let mut pfs = Vec::new();
    for address in sysfs.pci_addresses()? {
        let device = sysfs.pci(address);
        // A device that goes while it is looked at is as good as gone.
        let Ok(Some(possible)) = device.total_vfs() else { continue };
        let name = device.pf_name().ok().flatten();
        let driver = |vf: PciAddress| sysfs.pci(vf).driver().ok().flatten();
        let vfs = device.virtual_functions().unwrap_or_default();
        let vfs: Vec<_> = vfs.into_iter().map(|(number, vf)| (number, vf, driver(vf))).collect();
        // Disks have VFs, too.
        let is_network = device.identity().is_ok_and(|device| device.class >> 16 == 0x02);
        if is_network {
            pfs.push(Pf { address, name, possible, vfs });
        }
    }
    Ok(pfs)
}

fn host_links() -> Result<Vec<Link>, NetlinkError> {
    RouteSocket::open()?.links()
}

fn inventory() -> Result<InventoryReply, asked::AskError> {
    let about = devices::question::About::Inventory(InventoryRequest {});
    let question = devices::Question { about: Some(about) };
    asked::ask(devices::SOCKET.as_ref(), "the device plugin", &question, PATIENCE)
}

fn attachment(record: Record) -> Attachment {
    let inside = match Netns::open(&record.netns) {
        Err(error) if error.is_gone() => Inside::Gone,
        Err(error) => Inside::Unseen(in_full(&error)),
        Ok(netns) => look_inside(&netns, &record).unwrap_or_else(|e| Inside::Unseen(in_full(&e))),
    };
    // Only where no link has the addresses: each reservation's file is read.
    let reserved = match (&record.ipam, &inside) {
        (IpamRecord::HostLocal(folder), Inside::NoLink | Inside::Gone) => {
            host_local::peek(folder, &record.key.network, &record.key.id()).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    Attachment { record, inside, reserved }
}

fn look_inside(netns: &Netns, record: &Record) -> Result<Inside, NetlinkError> {
    let mut pod = RouteSocket::open_in(netns)?;
    let Some(link) = pod.links()?.into_iter().find(|link| is_its(record, link)) else {
        return Ok(Inside::NoLink);
    };
    let addresses: Vec<Address> = pod.addresses(link.index)?;
    Ok(Inside::Link(Box::new(link), addresses))
}

/// Whether a link of the pod is the attachment's, whatever the pod calls it now.
fn is_its(record: &Record, link: &Link) -> bool {
    let has_name = link.name == record.key.interface.as_str();
    match &record.link {
        LinkRecord::Vf(vf) => link.pci.map_or(has_name, |pci| pci == vf.device),
        LinkRecord::Child(child) => child.index.map_or(has_name, |index| index == link.index),
        LinkRecord::Pool(_) => has_name,
    }
}
