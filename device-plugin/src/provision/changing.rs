//! The VFs whose PFs are being set up at this moment: none of them is given to a pod meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use linkspan_types::PciAddress;
use tokio::sync::watch;

/// Those VFs.
#[derive(Debug, Default)]
pub(crate) struct Changing(watch::Sender<BTreeSet<PciAddress>>);

/// Ends when it is dropped.
pub(super) struct Change<'a>(&'a Changing);

/// A VF's PF is still being set up.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} is being set up, and that was not done in {PATIENCE:?}: delete the pod, so that it gets another"
)]
pub(crate) struct StillChanging(PciAddress);

/// A PF with hundreds of VFs may take longer; the pod fails then, and its successor gets another.
const PATIENCE: Duration = Duration::from_secs(30);

impl Changing {
    /// Holds these VFs. To be called in the very poll in which it was seen that none of them was just given away.
    pub(super) fn hold(&self, vfs: BTreeSet<PciAddress>) -> Change<'_> {
        self.0.send_replace(vfs);
        Change(self)
    }

    /// Waits until none of these VFs is held. Whoever then gives them away has to note so before they wait for
    /// anything else.
    pub(crate) async fn wait(&self, vfs: &[PciAddress]) -> Result<(), StillChanging> {
        let mut held = self.0.subscribe();
        let one = |held: &BTreeSet<PciAddress>| vfs.iter().find(|vf| held.contains(vf)).copied();
        let free = held.wait_for(|held| one(held).is_none());
        // The sender is there as long as `self` is.
        let outcome = tokio::time::timeout(PATIENCE, free).await.map(drop);
        outcome.or_else(|_| one(&self.0.borrow()).map_or(Ok(()), |vf| Err(StillChanging(vf))))
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.0.0.send_replace(BTreeSet::new());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_vf_is_waited_for_while_its_pf_is_set_up_but_not_for_ever() {
        let [held, other] = ["0000:01:10.0", "0000:02:10.0"].map(|vf| vf.parse().unwrap());
        let changing = Changing::default();
        changing.wait(&[held, other]).await.unwrap();
        let change = changing.hold([held].into());
        changing.wait(&[other]).await.unwrap();
        let soon = Duration::from_secs(3);
        assert!(timeout(soon, changing.wait(&[other, held])).await.is_err(), "it waits");
        let end = async {
            sleep(soon).await;
            drop(change);
        };
        tokio::join!(end, async { changing.wait(&[held]).await.unwrap() });
        let _change = changing.hold([held].into());
        let refused = changing.wait(&[held]).await.unwrap_err().to_string();
        assert!(refused.starts_with("0000:01:10.0 is being set up"), "{refused}");
    }
}
