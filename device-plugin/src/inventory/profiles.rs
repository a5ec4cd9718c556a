//! What the packet processors of PFs were taught (Intel's Dynamic Device Personalization): devlink tells it, sysfs not.
//!
//! The kernel has who asks wait while a device is being reset, for seconds, and no timeout of a socket ends that. So a
//! thread of its own asks; who looks at the node waits for it a little, and is told when the answer is there.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use linkspan_config::resource_list::DeviceType;
use linkspan_linux::{DevlinkSocket, NetlinkError};
use linkspan_types::PciAddress;
use tokio::sync::Notify;

use super::Inventory;

/// The part of a NIC that is called as its profile is.
const PROFILE: &str = "fw.app.name";
/// A change is told within 200 ms.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long to wait for what was never told: without it devices would be in no pool, or in another one.
const FIRST_PATIENCE: Duration = Duration::from_secs(1);

/// Asks for the profiles of PFs.
#[derive(Default)]
pub(crate) struct Profiles {
    /// What was asked and is not answered yet. Nothing else is asked before.
    question: Option<Question>,
    late: Arc<Notify>,
}

/// Why it is not known which profile a PF has.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error(transparent)]
    Devlink(#[from] NetlinkError),
    #[error("devlink has not told yet what runs in {0}; it may be being reset")]
    Unanswered(PciAddress),
}

/// What each PF has said.
type Answers = HashMap<PciAddress, Result<Option<String>, NetlinkError>>;

struct Question {
    answers: mpsc::Receiver<Answers>,
    /// Whether nobody waits for the answer any more.
    is_late: Arc<AtomicBool>,
}

impl Profiles {
    /// Told when an answer has come that a look has not waited for.
    pub(crate) fn late(&self) -> Arc<Notify> {
        Arc::clone(&self.late)
    }

    /// Asks each PF once for its profile, which its VFs have too. While one can't tell, as in a reset, it has the
    /// profile that it had `before`: the errors are returned.
    pub(crate) fn add_to(
        &mut self,
        inventory: &mut Inventory,
        before: &Inventory,
    ) -> Vec<ProfileError> {
        let known = before.profiles();
        let pfs: BTreeSet<_> = inventory.profiles().into_keys().collect();
        let is_known = pfs.iter().all(|pf| known.contains_key(pf));
        let patience = if is_known { PATIENCE } else { FIRST_PATIENCE };
        let mut answers = self.ask(patience, move || ask_all(pfs)).unwrap_or_default();
        inventory.add_profiles(before, |pf| match answers.remove(&pf) {
            Some(answer) => Ok(answer?),
            None => Err(ProfileError::Unanswered(pf)),
        })
    }

    /// The answer to what was asked last, or else is asked now; nothing if it takes longer.
    fn ask(
        &mut self,
        patience: Duration,
        ask: impl FnOnce() -> Answers + Send + 'static,
    ) -> Option<Answers> {
        let question = match self.question.take() {
            Some(question) => question,
            None => Question::put(ask, self.late()),
        };
        let answers = question.wait(patience);
        if answers.is_none() {
            self.question = Some(question);
        }
        answers
    }
}

impl Question {
    fn put(ask: impl FnOnce() -> Answers + Send + 'static, late: Arc<Notify>) -> Self {
        let (sender, answers) = mpsc::channel();
        let is_late = Arc::<AtomicBool>::default();
        let question = Self { answers, is_late: Arc::clone(&is_late) };
        thread::spawn(move || {
            // It fails where the program is ending.
            let _ = sender.send(ask());
            if is_late.load(Ordering::SeqCst) {
                late.notify_one();
            }
        });
        question
    }

    fn wait(&self, patience: Duration) -> Option<Answers> {
        self.is_late.store(false, Ordering::SeqCst);
        self.answers.recv_timeout(patience).ok().or_else(|| {
            self.is_late.store(true, Ordering::SeqCst);
            // It may have come before anybody could see that it is late.
            self.answers.try_recv().ok()
        })
    }
}

/// Asks all PFs, one after the other.
fn ask_all(pfs: BTreeSet<PciAddress>) -> Answers {
    let mut devlink = match DevlinkSocket::open() {
        Ok(devlink) => devlink,
        // Without devlink nobody has a profile.
        Err(error) if error.is_missing() => {
            return pfs.into_iter().map(|pf| (pf, Ok(None))).collect();
        }
        Err(error) => {
            tracing::warn!("no PF can be asked for its profile: {error}");
            return Answers::new();
        }
    };
    pfs.into_iter().map(|pf| (pf, running_profile(&mut devlink, pf))).collect()
}

impl Inventory {
    /// As [`Profiles::add_to`], whoever tells.
    pub(crate) fn add_profiles<E>(
        &mut self,
        before: &Self,
        mut ask: impl FnMut(PciAddress) -> Result<Option<String>, E>,
    ) -> Vec<E> {
        let (mut told, mut errors) = (HashMap::new(), Vec::new());
        let known = before.profiles();
        // Only network devices can be selected by it.
        let devices = self.devices.iter_mut().filter(|d| d.kind == DeviceType::NetDevice);
        for device in devices {
            let pf = device.pf().address;
            let profile = told.entry(pf).or_insert_with(|| {
                ask(pf).unwrap_or_else(|error| {
                    errors.push(error);
                    known.get(&pf).cloned().flatten()
                })
            });
            device.ddp_profile.clone_from(profile);
        }
        errors
    }

    /// The PFs of network devices, only which can be selected by it.
    fn profiles(&self) -> HashMap<PciAddress, Option<String>> {
        let devices = self.devices.iter().filter(|d| d.kind == DeviceType::NetDevice);
        devices.map(|device| (device.pf().address, device.ddp_profile.clone())).collect()
    }
}

fn running_profile(
    devlink: &mut DevlinkSocket,
    pf: PciAddress,
) -> Result<Option<String>, NetlinkError> {
    let running = devlink.running_versions("pci", &pf.to_string())?.unwrap_or_default();
    Ok(running.into_iter().find(|version| version.name == PROFILE).map(|version| version.value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn answer(profile: &str) -> Answers {
        let pf = "0000:17:00.0".parse().unwrap();
        Answers::from([(pf, Ok(Some(profile.to_owned())))])
    }

    fn profile(answers: Option<Answers>) -> Option<String> {
        answers?.into_values().next().unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_driver_that_takes_its_time_is_not_waited_for_and_its_answer_is_told_when_it_is_there()
     {
        let mut profiles = Profiles::default();
        let (reset_is_over, reset) = mpsc::channel();
        let slow = move || {
            reset.recv().unwrap();
            answer("GTP")
        };
        assert_eq!(profile(profiles.ask(Duration::from_millis(1), slow)), None);
        // Nobody else is sent to wait there.
        let never = || unreachable!("it is asked already");
        assert_eq!(profile(profiles.ask(Duration::from_millis(1), never)), None);
        reset_is_over.send(()).unwrap();
        let late = profiles.late();
        tokio::time::timeout(Duration::from_mins(1), late.notified()).await.unwrap();
        assert_eq!(profile(profiles.ask(Duration::ZERO, never)).as_deref(), Some("GTP"));
        let quick = || answer("default");
        let told = profiles.ask(Duration::from_mins(1), quick);
        assert_eq!(profile(told).as_deref(), Some("default"));
    }
}
