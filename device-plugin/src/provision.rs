//! Setting up PFs as the pools say: how many VFs they have, and how these are.
//!
//! What is to be done follows from the configuration and from what the kernel shows, and from nothing that is
//! remembered: a program that is killed in its midst leaves the rest to the next one. What would disturb a pod is
//! not done, and said.

mod changing;
mod given;
mod look;
mod outcomes;
mod plan;
mod steps;
mod wish;

use std::sync::Arc;

use linkspan_linux::HostLinks;
use linkspan_linux::pci::Sysfs;
use tokio::sync::watch;

use crate::holders::PodResources;
use crate::inventory::Interfaces;
use crate::pools::Pool;
use crate::prepare::Host;
pub(crate) use changing::Changing;
pub(crate) use given::Given;
pub(crate) use outcomes::Outcomes;
use plan::{Held, PfNow, Refusal};
use steps::Outcome;
use wish::Wish;

/// What is to be looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    pub(crate) pools: Arc<Vec<Pool>>,
    /// How often somebody has asked for it: then what failed is tried again.
    pub(crate) asked: u64,
}

/// Sets PFs up, beside all that goes on.
pub(crate) struct Provisioner {
    sysfs: Sysfs,
    pod_resources: Arc<PodResources>,
    given: Arc<Given>,
    changing: Arc<Changing>,
    asked: u64,
    /// The wishes and the PFs when all was as it is wanted, as far as sysfs shows it.
    settled: Vec<(Wish, PfNow)>,
    /// The wishes and the PFs when something was done last. What failed is not tried again before they change.
    tried: Vec<(Wish, PfNow)>,
    /// What was left undone then.
    left: Vec<Refusal>,
    /// What is refused and was logged.
    told: Vec<Refusal>,
    outcomes: watch::Sender<Outcomes>,
}

/// A step may show that there is more to do: VFs are made first, and then looked at.
const MOST_ROUNDS: usize = 8;

impl Provisioner {
    pub(crate) fn new(host: &Host, pod_resources: Arc<PodResources>) -> Self {
        let (sysfs, given) = (host.sysfs.clone(), Arc::clone(&host.given));
        let changing = Arc::clone(&host.changing);
        let (settled, tried, left, told) = Default::default();
        let outcomes = watch::Sender::default();
        Self {
            sysfs,
            pod_resources,
            given,
            changing,
            asked: 0,
            settled,
            tried,
            left,
            told,
            outcomes,
        }
    }

    /// What has come of it, now and later.
    pub(crate) fn outcomes(&self) -> watch::Receiver<Outcomes> {
        self.outcomes.subscribe()
    }

    /// Does what there is to do for the first pools, and follows later orders beside all that goes on.
    pub(crate) async fn start(mut self, pools: &[Pool]) -> watch::Sender<Order> {
        self.provision(pools).await;
        let (orders, new) = watch::channel(Order::default());
        tokio::spawn(self.run(new));
        orders
    }

    /// Follows orders until there are no more to come.
    async fn run(mut self, mut orders: watch::Receiver<Order>) {
        while orders.changed().await.is_ok() {
            let order = orders.borrow_and_update().clone();
            if self.asked != order.asked {
                self.asked = order.asked;
                (self.settled, self.tried) = Default::default();
            }
            self.provision(&order.pools).await;
        }
    }

    /// Does all that there is to do now.
    async fn provision(&mut self, pools: &[Pool]) {
        for _ in 0..MOST_ROUNDS {
            let sysfs = &self.sysfs;
            let (wishes, unmet) =
                wish::wishes(pools, |name| sysfs.net(name).pci_address().ok().flatten());
            let pfs = self.look(wishes);
            if pfs == self.settled {
                self.tell(unmet);
                return;
            }
            let asked = self.ask(pfs.clone()).await;
            if asked == self.tried {
                self.tell(unmet.into_iter().chain(self.left.iter().cloned()).collect());
                return;
            }
            self.tried.clone_from(&asked);
            let is_final = asked.iter().all(|(_, now)| now.is_final());
            let Some(outcome) = self.carry_out(asked).await else { return };
            self.settled = if outcome.is_settled() && is_final { pfs } else { Vec::new() };
            self.left = outcome.refused;
            self.tell(unmet.into_iter().chain(self.left.iter().cloned()).collect());
            if outcome.done.is_empty() {
                return;
            }
        }
    }

    /// The PFs of the wishes; one that can't be read is left as it is.
    fn look(&self, wishes: Vec<Wish>) -> Vec<(Wish, PfNow)> {
        let look = |wish: Wish| match PfNow::look(&self.sysfs, wish.pf) {
            Ok(now) => Some((wish, now)),
            Err(error) => {
                tracing::warn!("{} is not set up: {:#}", wish.pf, anyhow::Error::new(error));
                None
            }
        };
        wishes.into_iter().filter_map(look).collect()
    }

    async fn ask(&self, mut pfs: Vec<(Wish, PfNow)>) -> Vec<(Wish, PfNow)> {
        // Why it doesn't say was logged; whatever it could have said, is in use then.
        let holders = self.pod_resources.holders().await.ok();
        let host = HostLinks::look().unwrap_or_else(|error| {
            tracing::warn!("what the host uses is not known: {:#}", anyhow::Error::new(error));
            HostLinks::default()
        });
        let (riders, host) = (look::riders(&host), Interfaces::of(&host));
        for (_, now) in &mut pfs {
            now.ask(holders.as_deref(), &self.given, &host, &riders);
        }
        pfs
    }

    /// In a thread of its own: the kernel may take seconds. What is given to a pod from now on waits for that, and
    /// what was before is among what was asked: nothing was waited for since.
    async fn carry_out(&self, pfs: Vec<(Wish, PfNow)>) -> Option<Outcome> {
        let vfs = pfs.iter().flat_map(|(_, now)| &now.vfs).map(|vf| vf.address);
        let _change = self.changing.hold(vfs.collect());
        let sysfs = self.sysfs.clone();
        let outcome =
            tokio::task::spawn_blocking(move || steps::carry_out(pfs, &sysfs)).await.ok()?;
        for (_, step) in &outcome.done {
            tracing::info!("set up: {step}");
        }
        for (_, what, error) in &outcome.failed {
            tracing::error!("not set up: {what}: {}", in_full(error));
        }
        self.outcomes.send_modify(|all| all.count(&outcome));
        Some(outcome)
    }

    /// Says what is refused, once for as long as it is.
    fn tell(&mut self, refused: Vec<Refusal>) {
        for refusal in refused.iter().filter(|refusal| !self.told.contains(refusal)) {
            tracing::warn!("not set up: {refusal}");
        }
        self.outcomes.send_if_modified(|all| all.refuse(&refused));
        self.told = refused;
    }
}

/// An error and its causes, in one line.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl Outcome {
    fn is_settled(&self) -> bool {
        self.done.is_empty() && self.failed.is_empty() && self.refused.is_empty()
    }
}

impl PfNow {
    /// Whether nothing is to be done as long as sysfs shows the same: it doesn't show that a pod has ended whose
    /// program drove its VF.
    fn is_final(&self) -> bool {
        !self.vfs.iter().any(|vf| vf.is_for_user_space() && vf.held != Held::Free)
    }
}
