//! What others want of the daemon.

use std::collections::BTreeMap;
use std::path::PathBuf;

use linkspan_config::NetworkName;
use linkspan_dhcp::client::{Client, Event, TooMuchProvided};
use linkspan_dhcp::lease::Lease;
use linkspan_dhcp::wishes::Wishes;
use linkspan_proto::dhcp::HeldLease;
use linkspan_types::MacAddr;
use tokio::sync::oneshot;

use super::held::{Held, Holder, Waiting};
use super::warm::Taken;
use super::{Daemon, Id, now};
use crate::interface::{Interface, InterfaceError};
use crate::key::Key;
use crate::lease_store::StoreError;
use crate::rpc;
use crate::warm::Prefetch;

/// A question, and whom to tell the answer.
pub(crate) enum Ask {
    /// Told of the lease that the pod has from now on, where one is ready.
    Warm(Box<Wanted>, Prefetch, oneshot::Sender<Option<Taken>>),
    Acquire(Box<Wanted>, oneshot::Sender<Result<(Lease, MacAddr), Refusal>>),
    /// Told when the RELEASE is out.
    Release(Key, oneshot::Sender<()>),
    Check(Key, oneshot::Sender<Checked>),
    /// Told which leases of the network were given back: all that are not valid.
    Collect {
        network: NetworkName,
        valid: Vec<Key>,
        reply: oneshot::Sender<Vec<Key>>,
    },
    Leases(oneshot::Sender<Vec<HeldLease>>),
    /// How many clients are in each state.
    States(oneshot::Sender<BTreeMap<&'static str, u64>>),
}

/// A lease that is wanted.
pub(crate) struct Wanted {
    pub(crate) key: Key,
    pub(crate) pod: String,
    pub(crate) netns: PathBuf,
    pub(crate) wishes: Wishes,
    pub(crate) release_when_gone: bool,
    pub(crate) route_metric: Option<u32>,
    pub(crate) keeps_mtu: bool,
}

/// Why there is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) error: String,
    pub(crate) advice: String,
}

/// What a check has found.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) differences: Vec<String>,
    pub(crate) lease: Option<(Lease, MacAddr)>,
}

impl Wanted {
    /// Whose lease it will be.
    pub(super) fn holder(&self, mac: MacAddr) -> Holder {
        Holder {
            key: self.key.clone(),
            pod: self.pod.clone(),
            netns: self.netns.clone(),
            mac,
            wishes: self.wishes.clone(),
            release_when_gone: self.release_when_gone,
            route_metric: self.route_metric,
            keeps_mtu: self.keeps_mtu,
            warm: None,
        }
    }
}

impl Refusal {
    fn new(error: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { error: error.into(), advice: advice.into() }
    }

    fn caused_by(error: impl std::error::Error + Send + Sync + 'static, advice: &str) -> Self {
        Self::new(format!("{:#}", anyhow::Error::new(error)), advice)
    }

    pub(crate) fn ending() -> Self {
        Self::new("the DHCP daemon is ending", "Try again when it runs")
    }

    pub(super) fn not_kept(error: StoreError) -> Self {
        Self::caused_by(error, "Is its file system full, or read-only?")
    }
}

impl Daemon {
    pub(super) fn answer(&mut self, ask: Ask) {
        // Whoever asked may have gone away, which is no matter.
        match ask {
            Ask::Warm(wanted, prefetch, reply) => {
                drop(reply.send(self.take_warm(&wanted, &prefetch)));
            }
            Ask::Acquire(wanted, reply) => self.acquire(&wanted, reply),
            Ask::Release(key, reply) => {
                if let Some(id) = self.ids.get(&key) {
                    self.release(*id);
                }
                let _ = reply.send(());
            }
            Ask::Check(key, reply) => drop(reply.send(self.check(&key))),
            Ask::Collect { network, valid, reply } => {
                drop(reply.send(self.collect(&network, &valid)));
            }
            Ask::Leases(reply) => drop(reply.send(self.leases())),
            Ask::States(reply) => drop(reply.send(self.states())),
        }
    }

    fn acquire(
        &mut self,
        wanted: &Wanted,
        reply: oneshot::Sender<Result<(Lease, MacAddr), Refusal>>,
    ) {
        let (client, holder) = match self.client(wanted) {
            Ok(made) => made,
            Err(refusal) => {
                self.counts.failures.add_one();
                let _ = reply.send(Err(refusal));
                return;
            }
        };
        let event = self.first_event(&holder);
        let id = self.insert(holder, client);
        if let Some(held) = self.held.get_mut(&id) {
            held.waiting = Some(Waiting { until: now().after(self.patience), reply });
        }
        self.step(id, event);
    }

    fn client(&self, wanted: &Wanted) -> Result<(Client, Holder), Refusal> {
        let Wanted { key, netns, wishes, .. } = wanted;
        let interface = Interface::find(&self.home, netns, &key.interface).map_err(
            |error: InterfaceError| {
                Refusal::caused_by(error, "The interface has to be in the pod before its address")
            },
        )?;
        if !interface.is_up() {
            let error = format!("{} in {} is down", key.interface, netns.display());
            return Err(Refusal::new(error, "It has to be set up before its address is asked for"));
        }
        let mac = interface.mac();
        drop(interface);
        let client = Client::new(mac, wishes.clone()).map_err(|error: TooMuchProvided| {
            Refusal::new(error.to_string(), "Shorten `provide`")
        })?;
        Ok((client, wanted.holder(mac)))
    }

    /// How a client begins: with the lease that its interface has already, where it has one, as for an ADD that was
    /// killed and is called again.
    fn first_event(&mut self, holder: &Holder) -> Event {
        let Some(id) = self.ids.get(&holder.key).copied() else { return Event::Start };
        if let Some(earlier) = self.held.get_mut(&id) {
            let error = "the same address was asked for again";
            earlier.refuse(Refusal::new(error, "The later question is answered"));
        }
        let lease = match self.held.get(&id) {
            Some(earlier) if earlier.holder.mac == holder.mac && !earlier.is_taken() => {
                earlier.client.lease().cloned()
            }
            // The lease of a link that has gone, or of a pod that came too late, to which the server knows another name.
            _ => None,
        };
        let Some(lease) = lease else {
            self.release(id);
            return Event::Start;
        };
        self.held.remove(&id);
        self.wakes.set(id, None);
        Event::Reboot(lease)
    }

    /// Nobody waits for an address any more that never came.
    pub(super) fn give_up(&mut self, id: Id) {
        if let Some(held) = self.held.get_mut(&id).filter(|held| held.holder.warm.is_none()) {
            self.counts.failures.add_one();
            let error = format!(
                "no DHCP server has given {} an address in {:?}",
                held.holder.key, self.patience
            );
            held.refuse(Refusal::new(
                error,
                "Is there a server on this network, and has it an address left?",
            ));
        }
        self.release(id);
    }

    pub(super) fn hung_up(&mut self, key: &Key) {
        let Some(id) = self.ids.get(key).copied() else { return };
        let waiting = self.held.get(&id).and_then(|held| held.waiting.as_ref());
        if waiting.is_some_and(|waiting| waiting.reply.is_closed()) {
            self.give_up(id);
        }
    }

    fn check(&mut self, key: &Key) -> Checked {
        if let Some(id) = self.ids.get(key) {
            self.has_come(*id);
        }
        let Some(held) = self.ids.get(key).and_then(|id| self.held.get(id)) else {
            return Checked {
                differences: vec![format!("the DHCP daemon has no lease for {key}")],
                lease: None,
            };
        };
        let Some(lease) = held.client.lease() else {
            let state = held.client.state_name();
            let difference = format!("{key} has no address now: its DHCP client is {state}");
            return Checked { differences: vec![difference], lease: None };
        };
        let found = held
            .holder
            .interface(&self.home)
            .and_then(|mut interface| Ok(interface.has(lease.address)?));
        let differences = match found {
            Ok(true) => Vec::new(),
            Ok(false) => vec![format!("{key} does not have its address {}", lease.address)],
            Err(error) => vec![format!("{:#}", anyhow::Error::new(error))],
        };
        Checked { differences, lease: Some((lease.clone(), held.client.mac())) }
    }

    fn collect(&mut self, network: &NetworkName, valid: &[Key]) -> Vec<Key> {
        let is_stale = |key: &Key| key.network == *network && !valid.contains(key);
        let is_unused = |id: &Id| self.held.get(id).is_some_and(Held::is_unused);
        let stale = self.ids.iter().filter(|(key, id)| is_stale(key) && !is_unused(id));
        let stale: Vec<Key> = stale.map(|(key, _)| key.clone()).collect();
        for key in &stale {
            if let Some(id) = self.ids.get(key) {
                self.release(*id);
            }
        }
        stale
    }

    fn leases(&self) -> Vec<HeldLease> {
        let shown = self.held.values().map(|held| HeldLease {
            attachment: (!held.is_unused()).then(|| held.holder.key.to_message()),
            pod: held.holder.pod.clone(),
            state: held.client.state_name().to_owned(),
            lease: held.client.lease().map(|lease| rpc::message(lease, held.client.mac())),
            netns: if held.is_unused() {
                String::new()
            } else {
                held.holder.netns.to_string_lossy().into_owned()
            },
        });
        shown.collect()
    }
}
