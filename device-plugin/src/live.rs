//! The pools while the program runs: what is configured is served, and what has changed is looked at.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use linkspan_linux::inotify::DirectoryEvent;
use linkspan_types::IfName;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::configuration::{Configuration, Configured};
use crate::counts::{NodeCounts, PoolCounts};
use crate::files::Files;
use crate::holders::{Holders, HoldersError, PodResources};
use crate::kept::Known;
use crate::offers::{Offered, Offers};
use crate::pools::{self, Excluded, Pool};
use crate::prepare::Host;
use crate::provision::Order;
use crate::register::{Registrar, Way};
use crate::server::{PoolService, Settled};
use crate::shares::left;
use crate::watch::{Changes, NodeWatch};

/// The pools of the configuration in force.
pub(crate) struct Live {
    configuration: Configuration,
    configured: Configured,
    /// Links that were to have a pool, and could not.
    without_pool: Vec<IfName>,
    offers: Offers,
    host: Arc<Host>,
    files: Files,
    way: Way,
    /// What happens in the directory of the pools' sockets.
    directory: broadcast::Sender<DirectoryEvent>,
    /// Those of all pools.
    tasks: JoinSet<()>,
    served: watch::Sender<Vec<Served>>,
    counts: Arc<NodeCounts>,
    pod_resources: Arc<PodResources>,
    question: Question,
    /// Of links of shares that no pool has.
    removals: JoinSet<()>,
    /// What the PFs are to be set up for, told anew after each look.
    orders: watch::Sender<Order>,
}

/// What the kubelet is asked: who holds what.
#[derive(Default)]
struct Question {
    /// At most one.
    asked: JoinSet<Result<Arc<Holders>, HoldersError>>,
    /// Whether the node has changed since: the answer says nothing about that.
    is_old: bool,
    /// Whether there was ever an answer, or nobody to give one: before, a pod of an earlier run may hold any device.
    was_answered: watch::Sender<bool>,
    /// Told when a kubelet has come, before there was an answer.
    kubelet_came: Arc<Notify>,
    /// Whether there is nobody to ask.
    is_vain: bool,
    /// How often it was asked in a row without any other reason than that time has passed.
    repeated: u32,
}

/// A pool that is served, for those who tell of all pools.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) offered: Offered,
    /// How many `ListAndWatch` streams are open.
    pub(crate) streams: watch::Receiver<usize>,
    pub(crate) counts: Arc<PoolCounts>,
}

/// A kubelet that doesn't answer for so long may not keep the pools from being served.
const FIRST_ANSWER: Duration = Duration::from_secs(1);
const AFTER_REFUSAL: Duration = Duration::from_millis(20);
/// When to ask again whether kept devices are free, if nothing tells before: no event does when a
/// pod that held one ends. Each further pause is twice as long.
const AFTER_A_QUESTION: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(320);

impl Question {
    /// How long to wait until it is asked though nothing has happened.
    fn pause(&self) -> Duration {
        (AFTER_A_QUESTION * 2u32.saturating_pow(self.repeated)).min(LONGEST_PAUSE)
    }

    fn is_answered(&self) -> bool {
        *self.was_answered.borrow()
    }
}

impl Live {
    /// Serves nothing yet.
    pub(crate) fn new(
        (configuration, configured): (Configuration, Configured),
        host: Host,
        way: Way,
        directory: broadcast::Sender<DirectoryEvent>,
        pod_resources: Arc<PodResources>,
        orders: watch::Sender<Order>,
    ) -> Self {
        let counts = Arc::<NodeCounts>::default();
        let host = Arc::new(host);
        let files = Files { host: Arc::clone(&host), pod_resources: Arc::clone(&pod_resources) };
        Self {
            configuration,
            configured,
            without_pool: Vec::new(),
            offers: Offers::new(host.sysfs.clone(), Arc::clone(&counts)),
            host,
            files,
            way,
            directory,
            tasks: JoinSet::new(),
            served: watch::Sender::default(),
            counts,
            pod_resources,
            question: Question::default(),
            removals: JoinSet::new(),
            orders,
        }
    }

    /// Serves the first pools. Devices that pods got from an earlier run are where they were then.
    pub(crate) async fn start(&mut self) {
        let answer = timeout(FIRST_ANSWER, self.pod_resources.holders()).await;
        let is_settled = matches!(&answer, Ok(Ok(_) | Err(HoldersError::Missing(_))));
        self.question.was_answered.send_replace(is_settled);
        let holders = answer.ok().and_then(Result::ok);
        self.follow(holders.as_deref().map_or(Known::Never, Known::Holders));
        if !self.offers.left().is_empty() {
            self.ask_who_holds();
        }
    }

    /// Looks again whenever something may have changed; returns only an error.
    pub(crate) async fn keep_looking(&mut self, mut node: NodeWatch) -> io::Result<()> {
        let mut kubelet = self.directory.subscribe();
        let late = self.offers.late_answer();
        loop {
            node.watch_links(self.offers.lower_devices());
            let pause = self.question.pause();
            tokio::select! {
                changes = node.changed(self.offers.due()) => {
                    let Changes { configuration, asked } = changes?;
                    if asked {
                        self.offers.forget_seen();
                    }
                    if configuration && self.read_again(asked) {
                        // Pods may hold devices of a pool that is new, and these may be gone.
                        if self.follow(Known::NotYet) {
                            self.ask_who_holds();
                        }
                    } else {
                        self.look(Known::NotYet);
                    }
                    self.orders.send_modify(|order| order.asked += u64::from(asked));
                    if self.offers.is_waiting() {
                        self.question.repeated = 0;
                        self.ask_who_holds();
                    }
                }
                // The kubelet writes its state there when it gives devices to pods, or takes them.
                _ = kubelet.recv(), if self.hears_the_kubelet() => {
                    if self.offers.is_waiting() || !self.question.is_answered() {
                        self.ask_who_holds();
                    }
                    // Devices of pods that have ended are given back to their kernel driver.
                    self.orders.send_modify(|_| {});
                }
                () = self.question.kubelet_came.notified() => {
                    if !self.question.is_answered() {
                        self.ask_who_holds();
                    }
                }
                Some(Ok(answer)) = self.question.asked.join_next() => self.hear_who_holds(answer),
                Some(_) = self.removals.join_next() => self.look(Known::NotYet),
                () = late.notified() => self.look(Known::NotYet),
                () = sleep(pause), if self.offers.is_waiting() && !self.question.is_vain => {
                    self.question.repeated = (self.question.repeated + 1).min(5);
                    self.ask_who_holds();
                }
            }
        }
    }

    /// Whether what the kubelet writes down is of use.
    fn hears_the_kubelet(&self) -> bool {
        let is_waiting = self.offers.is_waiting() || !self.question.is_answered();
        is_waiting || self.offers.binds_per_pod()
    }

    /// Asks the kubelet about devices that have left their pools.
    fn ask_who_holds(&mut self) {
        self.question.is_old = !self.question.asked.is_empty();
        if !self.question.is_old {
            let pod_resources = Arc::clone(&self.pod_resources);
            self.question.asked.spawn(patiently(pod_resources));
        }
    }

    fn hear_who_holds(&mut self, answer: Result<Arc<Holders>, HoldersError>) {
        if self.question.is_old {
            return self.ask_who_holds();
        }
        self.question.is_vain = matches!(answer, Err(HoldersError::Missing(_)));
        match answer {
            Ok(holders) => {
                // What the look shows for the first time the kubelet wasn't asked about.
                let left = self.offers.left().to_vec();
                self.look(Known::Holders(&holders));
                self.remove_left(left, &holders);
            }
            Err(HoldersError::Missing(_)) => self.look(Known::Never),
            // A kubelet that isn't there gives no device to a pod: it will be asked again.
            Err(error) => {
                let error = anyhow::Error::new(error);
                tracing::debug!("devices stay in the pools that they have left: {error:#}");
                return;
            }
        }
        self.question.was_answered.send_replace(true);
        if self.offers.has_new() {
            self.question.repeated = 0;
            self.ask_who_holds();
        }
    }

    /// Removes links of shares that no pool has, of those that the kubelet was asked about.
    fn remove_left(&mut self, mut asked: Vec<IfName>, holders: &Holders) {
        asked.retain(|name| self.offers.left().contains(name));
        let free = left::free(&asked, holders, &self.host);
        if !free.is_empty() {
            self.removals.spawn_blocking(move || left::remove(&free));
        }
    }

    /// Puts into force what is configured, with the links that there are. Returns whether some of it is new.
    fn follow(&mut self, known: Known<'_>) -> bool {
        let pools = self.wanted();
        let is_new = self.configure(pools, known);
        self.follow_links();
        is_new
    }

    /// Looks at the node for the pools that are in force, and for links that are to have one.
    fn look(&mut self, known: Known<'_>) {
        self.offers.look(known);
        self.follow_links();
    }

    fn follow_links(&mut self) {
        if self.configured.any_link {
            let pools = self.wanted();
            if pools != self.offers.pools() {
                self.configure(pools, Known::NotYet);
            }
        }
    }

    /// The pools that are to be in force, as far as the node was seen.
    fn wanted(&mut self) -> Vec<Pool> {
        if !self.configured.any_link {
            return self.configured.pools.clone();
        }
        let links = self.offers.free_wires();
        let (pools, without) = pools::with_any_links(&self.configured.pools, links);
        for link in without.iter().filter(|link| !self.without_pool.contains(link)) {
            tracing::warn!(
                "{link} has no pool of shares: no resource can be called so, or another is; name one in DP_MACVTAP_CONF"
            );
        }
        self.without_pool = without;
        pools
    }

    /// Puts pools into force: serves the pools that are new. Those that are gone end by
    /// themselves.
    fn configure(&mut self, pools: Vec<Pool>, known: Known<'_>) -> bool {
        self.orders.send_modify(|order| order.pools = Arc::new(pools.clone()));
        let added = self.offers.configure(pools, known);
        let is_new = !added.is_empty();
        self.served.send_modify(|served| {
            // An offer ends with its pool.
            served.retain(|pool| pool.offered.has_changed().is_ok());
        });
        for offered in added {
            self.tasks.spawn(self.files.clone().follow(offered.clone()));
            let name = offered.borrow().pool.name.clone();
            let (host, counts) = (Arc::clone(&self.host), Arc::<PoolCounts>::default());
            let streams = watch::Sender::new(0);
            let served = Served {
                offered: offered.clone(),
                streams: streams.subscribe(),
                counts: Arc::clone(&counts),
            };
            self.served.send_modify(|all| all.push(served));
            let service = PoolService {
                name,
                host,
                offered,
                streams,
                counts,
                pod_resources: Arc::clone(&self.pod_resources),
                settled: Settled {
                    is_known: self.question.was_answered.subscribe(),
                    kubelet_came: Arc::clone(&self.question.kubelet_came),
                },
            };
            let registrar = Registrar {
                service,
                way: self.way.clone(),
                directory: self.directory.subscribe(),
                socket: None,
            };
            self.tasks.spawn(registrar.run());
        }
        while self.tasks.try_join_next().is_some() {}
        is_new
    }

    /// Whether the configuration can be used.
    fn read_again(&mut self, asked: bool) -> bool {
        let configured = self.configuration.read_again(asked);
        let is_refused = configured.is_none();
        self.counts.is_refused.store(is_refused, Ordering::Relaxed);
        match configured {
            Some(configured) => self.configured = configured,
            None => self.counts.refused_configurations.add_one(),
        }
        !is_refused
    }

    /// What has happened.
    pub(crate) fn counts(&self) -> Arc<NodeCounts> {
        Arc::clone(&self.counts)
    }

    /// The pools that are served, now and later.
    pub(crate) fn served(&self) -> watch::Receiver<Vec<Served>> {
        self.served.subscribe()
    }

    /// The devices that are not offered though a pool selects them, now and later.
    pub(crate) fn excluded(&self) -> watch::Receiver<Vec<Excluded>> {
        self.offers.excluded()
    }

    /// Ends all pools, each of which removes its socket.
    pub(crate) async fn shut_down(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Asks a kubelet that may just be starting.
async fn patiently(kubelet: Arc<PodResources>) -> Result<Arc<Holders>, HoldersError> {
    let deadline = Instant::now() + FIRST_ANSWER;
    loop {
        match kubelet.holders().await {
            Err(HoldersError::Unreachable { .. }) if Instant::now() < deadline => {
                sleep(AFTER_REFUSAL).await;
            }
            answer => return answer,
        }
    }
}
