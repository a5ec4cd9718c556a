//! What the CNI plugin and the command line ask, as messages.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use linkspan_config::NetworkName;
use linkspan_daemon::conversation::Answers;
use linkspan_dhcp::lease::{Lease, Route};
use linkspan_dhcp::wishes::{Probe, Wishes};
use linkspan_proto::dhcp::question::About;
use linkspan_proto::dhcp::{
    self as proto, AcquireReply, AcquireRequest, Attachment, CheckReply, CollectReply,
    CollectRequest, LeasesReply, Question, ReleaseReply, StatusReply, WarmReply, WarmRequest,
    WhenGone,
};
use linkspan_proto::framing::{self, FrameError};
use linkspan_types::{MacAddr, ParseError};
use tokio::sync::{mpsc, oneshot};

use crate::daemon::{Ask, Input, Refusal, Wanted};
use crate::key::Key;
use crate::warm::{Place, Prefetch};

/// Passes questions on to the daemon's loop.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) host_prefix: PathBuf,
    /// Whether all servers are to answer by broadcast.
    pub(crate) broadcast: bool,
}

impl Answers for Asker {
    type Question = Question;
    const ABOUT: &str = "leases";
    /// Longer than anybody may be made to wait for an address.
    const PATIENCE: Duration = Duration::from_mins(6);
    /// Those who wait for a server that is down are not to keep others from giving leases back.
    const CROWD: usize = 4096;

    async fn reply(&self, question: Question) -> Option<Result<Vec<u8>, FrameError>> {
        Some(match question.about? {
            About::Acquire(request) => framing::encode(&self.acquire(request).await),
            About::Release(request) => framing::encode(&self.release(request.attachment).await),
            About::Check(request) => framing::encode(&self.check(request.attachment).await),
            About::Collect(request) => framing::encode(&self.collect(&request).await),
            About::Leases(_) => {
                let leases = self.ask(Ask::Leases).await.unwrap_or_default();
                framing::encode(&LeasesReply { leases })
            }
            About::Warm(request) => framing::encode(&self.warm(request).await.unwrap_or_default()),
            // Whoever reads this has been answered, and that is all there is to know without asking a server.
            About::Status(_) => framing::encode(&StatusReply::default()),
        })
    }
}

/// The most leases that are kept ready for a network, whatever it says.
const MOST_READY: usize = 256;
/// How long after an ADD leases for the next ones are asked for: the links that this takes would have it wait for the
/// kernel's lock.
const BEHIND: Duration = Duration::from_millis(20);

/// Tells the loop when whoever asked does not wait any more.
struct Patience<'a> {
    inputs: &'a mpsc::Sender<Input>,
    key: Key,
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        // Where there is no room it is seen at the next timer.
        let _ = self.inputs.try_send(Input::HungUp(self.key.clone()));
    }
}

impl Asker {
    async fn acquire(&self, request: AcquireRequest) -> AcquireReply {
        match self.acquired(request).await {
            Ok((lease, mac)) => {
                AcquireReply { lease: Some(message(&lease, mac)), ..AcquireReply::default() }
            }
            Err(Refusal { error, advice }) => AcquireReply { error, advice, lease: None },
        }
    }

    /// A lease that is ready; a question that makes no sense is answered when an address is asked for.
    async fn warm(&self, request: WarmRequest) -> Option<WarmReply> {
        let WarmRequest { attachment, prefetch, wishes, netns, pod } = request;
        let wishes = wishes.unwrap_or_default();
        let wanted = self.wanted(attachment.as_ref(), &netns, pod, &wishes).ok()?;
        let prefetch = self.prefetch(&wanted.key, &wishes, prefetch.as_ref())?;
        let network = wanted.key.network.clone();
        let (asked, of) = (Box::new(wanted), prefetch.clone());
        let taken = self.ask(|reply| Ask::Warm(asked, of, reply)).await??;
        self.refill(network, prefetch);
        let lease = Some(message(&taken.lease, taken.mac));
        Some(WarmReply { lease, until: taken.until.as_secs() })
    }

    fn wanted(
        &self,
        attachment: Option<&Attachment>,
        netns: &str,
        pod: String,
        wishes: &proto::Wishes,
    ) -> Result<Wanted, Refusal> {
        let key = key(attachment)?;
        // As the reference daemon has it: put before the path, not joined with it.
        let mut path = self.host_prefix.clone().into_os_string();
        path.push(netns);
        Ok(Wanted {
            netns: path.into(),
            pod,
            release_when_gone: wishes.when_gone() == WhenGone::Release,
            route_metric: Some(wishes.route_metric).filter(|metric| *metric != 0),
            keeps_mtu: wishes.keeps_mtu,
            wishes: self.wishes(&key, wishes)?,
            key,
        })
    }

    fn prefetch(
        &self,
        key: &Key,
        wishes: &proto::Wishes,
        prefetch: Option<&proto::Prefetch>,
    ) -> Option<Prefetch> {
        let proto::Prefetch { leases, parent, vlan } = prefetch?;
        let vlan = match *vlan {
            0 => None,
            vlan => Some(u16::try_from(vlan).ok()?.try_into().ok()?),
        };
        Some(Prefetch {
            place: Place { parent: parent.parse().ok()?, vlan },
            leases: usize::try_from(*leases).ok()?.min(MOST_READY),
            wishes: self.wishes(key, wishes).ok()?,
        })
    }

    /// Has leases made ready for the next pods, once the one that has just got its address is out of the way.
    fn refill(&self, network: NetworkName, prefetch: Prefetch) {
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            tokio::time::sleep(BEHIND).await;
            let _ = inputs.send(Input::Refill(network, prefetch)).await;
        });
    }

    async fn acquired(&self, request: AcquireRequest) -> Result<(Lease, MacAddr), Refusal> {
        let AcquireRequest { attachment, netns, wishes, pod } = request;
        let wishes = wishes.unwrap_or_default();
        let wanted = self.wanted(attachment.as_ref(), &netns, pod, &wishes)?;
        let key = wanted.key.clone();
        let network = key.network.clone();
        let prefetch = self.prefetch(&key, &wishes, wishes.prefetch.as_ref());
        let _patience = Patience { inputs: &self.inputs, key };
        let asked = self.ask(|reply| Ask::Acquire(Box::new(wanted), reply)).await;
        if let (Some(Ok(_)), Some(prefetch)) = (&asked, prefetch) {
            self.refill(network, prefetch);
        }
        asked.unwrap_or_else(|| Err(Refusal::ending()))
    }

    fn wishes(&self, key: &Key, wishes: &proto::Wishes) -> Result<Wishes, Refusal> {
        let code = |code: u32| {
            u8::try_from(code).ok().filter(|code| (1..255).contains(code)).ok_or_else(|| Refusal {
                error: format!("there is no DHCP option {code}, expected 1 to 254"),
                advice: "Correct `provide` and `request`".to_owned(),
            })
        };
        let provide =
            wishes.provide.iter().map(|option| Ok((code(option.code)?, option.value.clone())));
        Ok(Wishes {
            provide: provide.collect::<Result<_, Refusal>>()?,
            request: wishes.request.iter().map(|wish| code(*wish)).collect::<Result<_, _>>()?,
            client_id: key.client_id(wishes.client_id()),
            rapid_commit: wishes.rapid_commit,
            broadcast: wishes.broadcast || self.broadcast,
            probe: match wishes.probe() {
                proto::Probe::Quick => Probe::Quick,
                proto::Probe::Thorough => Probe::Thorough,
                proto::Probe::Never => Probe::Never,
            },
        })
    }

    async fn release(&self, attachment: Option<Attachment>) -> ReleaseReply {
        let error = match key(attachment.as_ref()) {
            Err(refusal) => refusal.error,
            Ok(key) => match self.ask(|reply| Ask::Release(key, reply)).await {
                Some(()) => String::new(),
                None => Refusal::ending().error,
            },
        };
        ReleaseReply { error }
    }

    async fn check(&self, attachment: Option<Attachment>) -> CheckReply {
        let wrong = |Refusal { error, .. }| CheckReply { differences: vec![error], lease: None };
        let key = match key(attachment.as_ref()) {
            Ok(key) => key,
            Err(refusal) => return wrong(refusal),
        };
        let Some(checked) = self.ask(|reply| Ask::Check(key, reply)).await else {
            return wrong(Refusal::ending());
        };
        let lease = checked.lease.map(|(lease, mac)| message(&lease, mac));
        CheckReply { differences: checked.differences, lease }
    }

    async fn collect(&self, request: &CollectRequest) -> CollectReply {
        let Ok(network) = request.network.parse() else { return CollectReply::default() };
        // A name that is none has no lease.
        let valid = request.valid.iter().filter_map(|one| Key::try_from(one).ok()).collect();
        let collected = self.ask(|reply| Ask::Collect { network, valid, reply }).await;
        let collected = collected.unwrap_or_default();
        CollectReply { collected: collected.iter().map(Key::to_message).collect() }
    }

    /// Asks the loop; it has no answer only when the daemon ends.
    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::Asked(question(reply))).await.ok()?;
        answer.await.ok()
    }
}

fn key(attachment: Option<&Attachment>) -> Result<Key, Refusal> {
    let none = Attachment::default();
    Key::try_from(attachment.unwrap_or(&none)).map_err(|error: ParseError| Refusal {
        error: error.to_string(),
        advice: "Update the plugin and the daemon to the same version".to_owned(),
    })
}

/// A lease as others are told of it.
pub(crate) fn message(lease: &Lease, mac: MacAddr) -> proto::Lease {
    let settings = &lease.settings;
    let number = |address: Option<Ipv4Addr>| address.map_or(0, u32::from);
    let numbers = |all: &[Ipv4Addr]| all.iter().map(|address| u32::from(*address)).collect();
    let route = |route: &Route| proto::Route {
        destination: route.destination.network().into(),
        prefix_length: route.destination.prefix_len().into(),
        gateway: number(route.gateway),
    };
    proto::Lease {
        address: lease.address.into(),
        prefix_length: lease.prefix_length.into(),
        gateway: number(settings.gateway),
        routes: settings.routes.iter().map(route).collect(),
        name_servers: numbers(&settings.name_servers),
        domain: settings.domain.clone().unwrap_or_default(),
        search: settings.search.clone(),
        mtu: settings.mtu.map_or(0, u32::from),
        time_servers: numbers(&settings.time_servers),
        host_name: settings.host_name.clone().unwrap_or_default(),
        server: lease.server.into(),
        renews_at: lease.renews_at.as_secs(),
        rebinds_at: lease.rebinds_at.as_secs(),
        expires_at: lease.expires_at.as_secs(),
        mac: mac.0.to_vec(),
    }
}
