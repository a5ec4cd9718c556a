//! CHECK: whether an attachment is as ADD has left it, and if not, exactly what differs. It costs a few small
//! questions to the kernel, because some runtimes check after each ADD.

use std::path::Path;

use linkspan_config::net_conf::{KindName, NetConf, TeardownConf, with_device};
use linkspan_linux::{Link, Netns, Route, RouteSocket};

use crate::addresses;
use crate::ipam::Ipam;
use crate::journal::{AttachmentKey, Record};
use crate::kind::child::{self, Wanted};
use crate::kind::{LinkRecord, Plan, sriov};
use crate::node::Node;
use crate::spec::{AddResult, Attachment, CniError, Code, Interface};

/// Checks one attachment; what differs is the error.
pub fn check(
    node: &Node,
    netns_path: &Path,
    attachment: &Attachment,
    called_as: Option<KindName>,
) -> Result<(), CniError> {
    let (conf, record) = what_add_made(node, attachment, called_as)?;
    let result =
        conf.prev_result.as_ref().map(AddResult::parse_prev).transpose()?.unwrap_or_default();
    let ipam = Ipam::of(&conf, attachment, netns_path, Some(&result));
    let (result, lost) = ipam.check(result)?;
    let netns = Netns::open(netns_path)?;
    let (mut host, mut pod) = (RouteSocket::open()?, RouteSocket::open_in(&netns)?);

    let mut differences = Vec::new();
    match pod.link_by_name(&attachment.id.if_name) {
        Err(e) if e.is_missing() && has_netdev(record.as_ref()) => {
            differences.push(format!("the pod has no interface {}", attachment.id.if_name));
        }
        Err(e) if e.is_missing() => {}
        link => {
            let link = link?;
            let shape = match &Plan::of(&conf) {
                Plan::Child(wanted) => {
                    child_differences(&mut host, &mut pod, wanted, record.as_ref(), &link)?
                }
                Plan::Vf(_) | Plan::Pool(..) => Vec::new(),
            };
            let own = interface_of(&result, attachment, netns_path);
            differences.extend(shape);
            differences.extend(link_differences(record.as_ref(), own, &link));
            differences.extend(address_differences(&mut pod, &link, &result, netns_path)?);
        }
    }
    if let Some(LinkRecord::Vf(vf)) = record.as_ref().map(|record| &record.link) {
        differences.extend(sriov::differences(&node.sysfs, &mut host, vf)?);
    }
    differences.extend(lost);
    verdict(&differences)
}

/// What comes of the differences that were found.
pub(crate) fn verdict(differences: &[String]) -> Result<(), CniError> {
    if differences.is_empty() {
        return Ok(());
    }
    Err(CniError::new(
        Code::NotAsAttached,
        differences.join("; "),
        "Delete the pod, and its controller makes it anew",
    ))
}

/// The configuration of the ADD, and what the journal has of it. The device may be known to the journal alone.
///
/// Of an attachment that a peer made there is no record, and what its configuration and its result tell has to
/// do.
fn what_add_made(
    node: &Node,
    attachment: &Attachment,
    called_as: Option<KindName>,
) -> Result<(NetConf, Option<Record>), CniError> {
    let mut config = attachment.network.config.clone();
    let name = TeardownConf::parse(&config, called_as)?.name;
    let key = AttachmentKey::new(&name, &attachment.id);
    let record = node.journal().find(&key)?;
    if let Some(device) = record.as_ref().and_then(|record| record.link.device()) {
        config = with_device(&config, &device);
    }
    let conf = NetConf::parse(&config, &attachment.args.runtime_inputs(), called_as)?;
    match (&record, Plan::of(&conf)) {
        (Some(_), _) | (None, Plan::Child(_)) => Ok((conf, record)),
        (None, Plan::Vf(_) | Plan::Pool(..)) => Err(CniError::new(
            Code::NotAsAttached,
            format!("there is no {key}"),
            "Delete the pod, and its controller makes it anew",
        )),
    }
}

/// A VF that a program in user space drives has none.
fn has_netdev(record: Option<&Record>) -> bool {
    match record.map(|record| &record.link) {
        Some(LinkRecord::Vf(vf)) => vf.netdev.is_some(),
        Some(LinkRecord::Child(_) | LinkRecord::Pool(_)) | None => true,
    }
}

/// What the result says of the interface, which later plugins of the chain may have changed.
fn interface_of<'a>(
    result: &'a AddResult,
    attachment: &Attachment,
    netns: &Path,
) -> Option<&'a Interface> {
    let (name, sandbox) = (attachment.id.if_name.as_str(), netns.to_string_lossy());
    result.interfaces.iter().find(|interface| {
        interface.name == name && interface.sandbox.as_deref().is_none_or(|path| path == sandbox)
    })
}

fn child_differences(
    host: &mut RouteSocket,
    pod: &mut RouteSocket,
    wanted: &Wanted,
    record: Option<&Record>,
    link: &Link,
) -> Result<Vec<String>, CniError> {
    let mut all: Vec<String> = wanted.difference(link).into_iter().collect();
    let record = match record.map(|record| &record.link) {
        Some(LinkRecord::Child(child)) => Some(child),
        _ => None,
    };
    let socket = if wanted.parent().in_container { pod } else { host };
    all.extend(child::parent_difference(socket, wanted, record, link)?);
    Ok(all.into_iter().map(|what| format!("{} {what}", link.name)).collect())
}

/// What every link has.
fn link_differences(
    record: Option<&Record>,
    result: Option<&Interface>,
    link: &Link,
) -> Vec<String> {
    let name = &link.name;
    let mut all = Vec::new();
    let vf = match record.map(|record| &record.link) {
        Some(LinkRecord::Vf(vf)) => Some(vf),
        _ => None,
    };
    if let (Some(vf), Some(pci)) = (vf, link.pci)
        && pci != vf.device
    {
        all.push(format!("{name} is device {pci}, expected VF {}", vf.device));
    }
    let mac = result.and_then(|own| own.mac).or_else(|| vf.and_then(|vf| vf.change.mac));
    if let (Some(expected), now) = (mac, link.mac.unwrap_or_default())
        && expected != now
    {
        all.push(format!("{name} has MAC {now}, expected {expected}"));
    }
    if let Some(mtu) = result.and_then(|own| own.mtu)
        && mtu != link.mtu
    {
        all.push(format!("{name} has MTU {}, expected {mtu}", link.mtu));
    }
    if !link.up {
        all.push(format!("{name} is down, expected it up"));
    }
    all
}

/// The addresses and routes of the result that the interface does not have, and the duplicates of those that it
/// has.
fn address_differences(
    pod: &mut RouteSocket,
    link: &Link,
    result: &AddResult,
    netns: &Path,
) -> Result<Vec<String>, CniError> {
    let is_own = |index: usize| {
        result.interfaces.get(index).is_some_and(|interface| {
            interface.name == link.name
                && interface.sandbox.as_deref().is_none_or(|path| path == netns.to_string_lossy())
        })
    };
    let own: Vec<_> = result
        .ips
        .iter()
        .filter(|ip| ip.interface.is_none_or(is_own))
        .map(|ip| ip.address)
        .collect();
    if own.is_empty() {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    let now = pod.addresses(link.index)?;
    for address in &own {
        match now.iter().find(|found| found.net == *address) {
            None => all.push(format!("{} has no address {address}", link.name)),
            Some(found) if found.duplicate => {
                all.push(format!(
                    "{} has address {address}, which another host has too",
                    link.name
                ));
            }
            Some(_) => {}
        }
    }
    if !result.routes.is_empty() {
        let routes = pod.routes(link.index)?;
        let is_there = |wanted: &Route| routes.iter().any(|route| wanted.is(route));
        let missing = addresses::routes_of(result).filter(|route| !is_there(route));
        all.extend(missing.map(|route| format!("{} has no route {}", link.name, shown(&route))));
    }
    Ok(all)
}

/// A route as `ip route` shows it.
fn shown(route: &Route) -> String {
    let via = route.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
    let table = route.table.map(|table| format!(" in table {table}")).unwrap_or_default();
    format!("{}{via}{table}", route.destination)
}
