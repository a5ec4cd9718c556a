//! ADD: puts one interface into a pod, or leaves the node as it was.

use std::fs::File;
use std::path::Path;
use std::rc::Rc;

use linkspan_config::net_conf::{KindName, NetConf, wanted_resource, with_device};
use linkspan_linux::{LinkBasics, Netns, OpenNetnsError, RouteSocket};
use linkspan_types::MacAddr;

use crate::addresses::{self, Nature};
use crate::detach;
use crate::device_info;
use crate::devices::{self, SOCKET};
use crate::ipam::dhcp::PodLink;
use crate::ipam::{Ipam, IpamRecord};
use crate::journal::{AttachmentKey, JournalError, Record};
use crate::kind::child::{ChildKind, mac_of};
use crate::kind::{Claim, LinkRecord, Plan, Way};
use crate::node::Node;
use crate::pod::{NameTaken, Pod};
use crate::spec::{AddResult, Attachment, CniError, Code, Interface};

/// Attaches a pod: parse, lock, journal, link, address, announce, result.
///
/// What fails is undone before the error is returned. If even that fails, or the process is killed, the
/// journal and the files of the addresses still have all that DEL needs.
pub fn add(
    node: &Node,
    netns_path: &Path,
    attachment: &Attachment,
    called_as: Option<KindName>,
) -> Result<AddResult, CniError> {
    loop {
        let (conf, chosen) = configuration(node, attachment, called_as)?;
        let error = match attach(node, netns_path, attachment, &conf) {
            Err(error) if error.code == Code::DeviceHeld => error,
            done => return done,
        };
        // A runtime that attaches all interfaces of a pod at once: another one was first, and there may be a next device.
        let Some(device) = chosen else { return Err(error) };
        if !held_by_siblings(node, attachment)?.contains(&device) {
            return Err(error);
        }
    }
}

fn attach(
    node: &Node,
    netns_path: &Path,
    attachment: &Attachment,
    conf: &NetConf,
) -> Result<AddResult, CniError> {
    let mut before = conf.prev_result.as_ref().map(AddResult::parse_prev).transpose()?;
    let host = RouteSocket::open()?;
    let mut add = Add {
        node,
        conf,
        key: AttachmentKey::new(&conf.name, &attachment.id),
        pod_name: attachment.args.pod(),
        ipam: Ipam::of(conf, attachment, netns_path, before.as_ref()),
        pod: Pod::open(netns_path, &host)?,
        host,
        path: netns_path,
        recorded: None,
        has_asked_for_addresses: false,
    };
    add.ipam.require()?;
    let plan = Plan::of(conf);
    if plan.needs_name_first() {
        add.refuse_a_name_that_is_taken()?;
    }
    let own = add.run(&plan).map_err(|error| add.undo(error))?;
    if let (true, Some(before)) = (add.ipam.is_taken_over(), &mut before) {
        before.ips.clear();
        before.routes.clear();
    }
    Ok(AddResult::of_chain(before, own))
}

/// One ADD under way.
struct Add<'a> {
    node: &'a Node,
    conf: &'a NetConf,
    key: AttachmentKey,
    pod_name: Option<String>,
    ipam: Ipam<'a>,
    host: RouteSocket,
    pod: Pod,
    path: &'a Path,
    /// This ADD's record, once the journal has it.
    recorded: Option<Rc<Record>>,
    has_asked_for_addresses: bool,
}

impl Add<'_> {
    fn run(&mut self, plan: &Plan) -> Result<AddResult, CniError> {
        // What is reserved before the journal is written is found by DEL and GC in the files of the addresses.
        let early = plan.needs_address_first().then(|| self.reserve(None)).transpose()?;
        let mac = early
            .as_ref()
            .and_then(|result| result.ips.first())
            .map(|ip| mac_of(ip.address.addr()));
        let (record, mut link) = self.put_link(plan, mac)?;
        let mut result = match early {
            Some(result) => result,
            None => self.reserve(link.as_mut().map(|link| (&record.link, link)))?,
        };
        if let Some(link) = &link {
            self.configure(&record.link, link, &result)?;
        }
        if let (Some(path), LinkRecord::Vf(vf)) = (&record.device_info, &record.link) {
            device_info::write(path, vf.device, vf.pf.map(|pf| pf.address))?;
        }
        result.interfaces = vec![self.interface(&record.link, link)];
        for ip in &mut result.ips {
            ip.interface = Some(0);
        }
        if !self.conf.dns.is_empty() {
            result.dns = self.conf.dns.clone();
        }
        Ok(result)
    }

    fn reserve(
        &mut self,
        link: Option<(&LinkRecord, &mut LinkBasics)>,
    ) -> Result<AddResult, CniError> {
        self.has_asked_for_addresses = true;
        let pod = &mut self.pod;
        self.ipam.reserve(link.map(|(record, link)| PodLink {
            is_ipvlan: matches!(record, LinkRecord::Child(child) if child.kind == ChildKind::Ipvlan),
            pod,
            link,
        }))
    }

    /// Puts the link into the pod, its record first. What the attachment claims is locked meanwhile, and no
    /// longer.
    fn put_link(
        &mut self,
        plan: &Plan,
        mac: Option<MacAddr>,
    ) -> Result<(Rc<Record>, Option<LinkBasics>), CniError> {
        let _own = self.claim(&plan.exclusive_claim())?;
        let name = self.key.interface.clone();
        let path = self.path;
        let way = &mut Way { host: &mut self.host, pod: &mut self.pod, path, name: &name };
        let found = plan.find(self.node, way)?;
        let record = Rc::new(Record {
            key: self.key.clone(),
            pod: self.pod_name.clone(),
            netns: self.path.to_owned(),
            link: found.record(),
            ipam: self.ipam.record(),
            device_info: self.conf.device_info_file.clone(),
        });
        let claim = record.link.claim();
        let lock = || if claim.is_exclusive() { Ok(None) } else { self.node.lock(&claim) };
        let mut share = lock()?;
        if let Err(error) = self.node.journal().write(&record) {
            drop(share.take());
            undo_broken_off(self.node, way, &self.key, error)?;
            share = lock()?;
            self.node.journal().write(&record)?;
        }
        self.recorded = Some(Rc::clone(&record));
        let warm = match found.rides_on() {
            Some((parent, vlan)) => self.ipam.take_warm(parent, vlan),
            None => Ok(None),
        };
        self.has_asked_for_addresses |= !matches!(warm, Ok(None));
        let mac = warm?.or(mac);
        let link = found.put(self.node, way, mac, self.ipam.is_after_up())?;
        drop(share);
        Ok((record, link))
    }

    /// Locks what the attachment is to have for itself, and makes sure that no other one has it. One whose pod
    /// is gone without a DEL is undone; one that lives is an error.
    fn claim(&mut self, claim: &Claim) -> Result<Option<File>, CniError> {
        loop {
            let lock = self.node.lock(claim)?;
            if lock.is_none() {
                return Ok(None);
            }
            let Some(holder) = self.node.journal().holder(claim)? else { return Ok(lock) };
            let gone = Netns::open(&holder.netns).is_err_and(|e| e.is_gone());
            if !gone {
                return Err(self.held(claim, &holder));
            }
            drop(lock);
            detach::undo(self.node, &mut self.host, &holder)?;
        }
    }

    fn held(&self, claim: &Claim, holder: &Record) -> CniError {
        let again = if holder.key == self.key { " already" } else { "" };
        let what = if matches!(claim, Claim::Device(_)) { "VF" } else { "link" };
        CniError::new(
            Code::DeviceHeld,
            format!("{what} {claim} is{again} held by {}", holder.key),
            format!(
                "It is free once the runtime has called DEL for that pod, or the pod's namespace {} is gone",
                holder.netns.display()
            ),
        )
    }

    fn configure(
        &mut self,
        record: &LinkRecord,
        link: &LinkBasics,
        result: &AddResult,
    ) -> Result<(), CniError> {
        if link.up && result.ips.is_empty() && result.routes.is_empty() {
            return Ok(());
        }
        let nature = match record {
            LinkRecord::Child(child) => {
                Nature { is_made: true, may_hear_itself: child.vf.is_some() }
            }
            LinkRecord::Vf(_) => Nature { is_made: false, may_hear_itself: true },
            LinkRecord::Pool(_) => Nature { is_made: false, may_hear_itself: false },
        };
        let (name, duplicates) = (&self.key.interface, self.conf.duplicates);
        self.pod.visit(|pod| addresses::configure(pod, name, link, result, duplicates, nature))
    }

    fn interface(&self, record: &LinkRecord, link: Option<LinkBasics>) -> Interface {
        let device = match record {
            LinkRecord::Vf(vf) => Some(vf.device),
            LinkRecord::Child(_) | LinkRecord::Pool(_) => None,
        };
        let administrative = match record {
            LinkRecord::Vf(vf) => {
                vf.change.mac.or(Some(vf.settings.mac).filter(|mac| mac.is_assignable()))
            }
            LinkRecord::Child(_) | LinkRecord::Pool(_) => None,
        };
        Interface {
            // A VF that a program in user space drives has no name; the peers give the one it would have.
            name: self.key.interface.to_string(),
            mac: link.as_ref().map_or(administrative, |link| link.mac),
            mtu: link.map(|link| link.mtu),
            sandbox: Some(self.path.to_string_lossy().into_owned()),
            pci_id: device.map(|device| device.to_string()),
            ..Interface::default()
        }
    }

    fn refuse_a_name_that_is_taken(&mut self) -> Result<(), CniError> {
        let name = &self.key.interface;
        if self.pod.has(name)? { Err(NameTaken(name.clone()).into()) } else { Ok(()) }
    }

    /// Undoes a failed ADD, and adds to its error what could not be undone. Without a record nothing was made:
    /// if there is one, then it is because the runtime has called ADD once too often.
    fn undo(&mut self, mut error: CniError) -> CniError {
        // Nobody is told to give back what was not asked for.
        let mut ipam = self.ipam.left_by_a_failure();
        if !self.has_asked_for_addresses {
            ipam = IpamRecord::None;
        }
        let undone = match self.recorded.take() {
            Some(record) => {
                detach::undo(self.node, &mut self.host, &Record { ipam, ..(*record).clone() })
            }
            None => match self.node.journal().find(&self.key) {
                Ok(Some(_)) => Ok(()),
                Ok(None) => ipam.release(&self.key.network, &self.key.id()),
                Err(unread) => Err(unread.into()),
            },
        };
        if let Err(left) = undone {
            let CniError { msg, .. } = left;
            error.msg =
                format!("{}; and what was done so far could not be undone: {msg}", error.msg);
        }
        error
    }
}

/// Undoes an ADD of the same attachment that was broken off, or whose pod is gone without a DEL, where that is
/// why there is a record already. Its addresses are for this ADD to use.
fn undo_broken_off(
    node: &Node,
    way: &mut Way,
    key: &AttachmentKey,
    error: JournalError,
) -> Result<(), CniError> {
    if !matches!(error, JournalError::Recorded(_)) {
        return Err(error.into());
    }
    if way.pod.has(way.name)? {
        return Err(NameTaken(way.name.clone()).into());
    }
    let left = node.journal().find(key)?.ok_or(error)?;
    detach::undo(node, way.host, &Record { ipam: IpamRecord::None, ..left })
}

/// The network's configuration, with the device that the pod was given where it names only the resource; and that device.
fn configuration(
    node: &Node,
    attachment: &Attachment,
    called_as: Option<KindName>,
) -> Result<(NetConf, Option<String>), CniError> {
    let config = &attachment.network.config;
    let inputs = attachment.args.runtime_inputs();
    let Some(resource) = wanted_resource(config)? else {
        return Ok((NetConf::parse(config, &inputs, called_as)?, None));
    };
    let held = held_by_siblings(node, attachment)?;
    let is_held = |device: &str| held.iter().any(|held| held == device);
    let device = devices::device_of(Path::new(SOCKET), &attachment.args, &resource, is_held)?;
    let conf = NetConf::parse(&with_device(config, &device), &inputs, called_as)?;
    Ok((conf, Some(device)))
}

/// The devices that are other interfaces of the pod. What other pods had, the kubelet has taken from them: their records
/// are dealt with like any dead pod's.
fn held_by_siblings(node: &Node, attachment: &Attachment) -> Result<Vec<String>, CniError> {
    let records = node.journal().all()?;
    let siblings = records.iter().map(|record| (record, record.key.id())).filter(|(_, id)| {
        id.container_id == attachment.id.container_id && id.if_name != attachment.id.if_name
    });
    Ok(siblings.filter_map(|(record, _)| record.link.device()).collect())
}

impl From<OpenNetnsError> for CniError {
    fn from(error: OpenNetnsError) -> Self {
        let code = if error.is_gone() { Code::UnknownContainer } else { Code::InvalidEnvironment };
        Self::caused_by(code, &error, "CNI_NETNS must be the path of the pod's network namespace")
    }
}
