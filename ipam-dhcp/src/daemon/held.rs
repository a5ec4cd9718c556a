//! One lease, or the wish for one.

use linkspan_dhcp::client::Client;
use linkspan_dhcp::lease::Lease;
use linkspan_dhcp::moment::Moment;
use linkspan_linux::Netns;
use tokio::sync::oneshot;

use super::Refusal;
use crate::exchange::{Exchange, Task};
use crate::interface::{Interface, InterfaceError};
use crate::lease_store::Record;

pub(crate) use crate::lease_store::Holder;

/// A client, and what the daemon has open and knows for it.
pub(super) struct Held {
    pub(super) holder: Holder,
    pub(super) client: Client,
    /// Whether the pod was told of its address.
    pub(super) in_use: bool,
    /// Whether the interface lacks what it is to have.
    pub(super) restore: bool,
    /// The last lease that was lost, which the plugin may have been about to set.
    pub(super) stale: Option<Lease>,
    pub(super) exchange: Option<Exchange>,
    pub(super) probe: Option<Task>,
    pub(super) waiting: Option<Waiting>,
    /// When the question was first asked that has no answer yet.
    pub(super) asked_at: Option<Moment>,
    /// The link that was made for it, by its index, where no pod has it.
    pub(super) link: Option<u32>,
    /// When it is given back, unless a lease or a pod has come by then.
    pub(super) until: Option<Moment>,
}

/// Who waits for the address.
pub(super) struct Waiting {
    pub(super) until: Moment,
    pub(super) reply: oneshot::Sender<Result<(Lease, linkspan_types::MacAddr), Refusal>>,
}

impl Held {
    pub(super) fn new(holder: Holder, client: Client) -> Self {
        Self {
            holder,
            client,
            in_use: false,
            restore: false,
            stale: None,
            exchange: None,
            probe: None,
            waiting: None,
            asked_at: None,
            link: None,
            until: None,
        }
    }

    /// What is written of it.
    pub(super) fn record(&self, lease: Lease) -> Record {
        Record { holder: self.holder.clone(), in_use: self.in_use, lease }
    }

    pub(super) fn hears_by(&self, number: u64) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.number == number)
    }

    pub(super) fn wakes_at(&self) -> Option<Moment> {
        let until = self.waiting.as_ref().map(|waiting| waiting.until);
        self.client.wakes_at().into_iter().chain(until).chain(self.until).min()
    }

    /// Whether what it is woken for is a question that may come a little later: nobody waits for the answer, and the
    /// address is not lost before.
    pub(super) fn can_wait(&self, now: Moment) -> bool {
        let is_over = |lease: &Lease| lease.expires_at <= now;
        self.waiting.is_none()
            && self.exchange.is_none()
            && !self.client.lease().is_some_and(is_over)
    }

    /// Whether nobody waits any more for an address that never came.
    pub(super) fn is_given_up(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| now >= until)
            || self.waiting.as_ref().is_some_and(|w| now >= w.until || w.reply.is_closed())
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        if let Some(waiting) = self.waiting.take() {
            let _ = waiting.reply.send(Err(refusal));
        }
    }
}

impl Holder {
    /// The interface as it is now.
    pub(super) fn interface<'a>(
        &'a self,
        home: &'a Netns,
    ) -> Result<Interface<'a>, InterfaceError> {
        Interface::find_known(home, &self.netns, &self.key.interface, self.mac)
    }
}
