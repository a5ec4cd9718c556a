//! Asks the kubelet which pod holds what: when somebody wants to know, and never otherwise.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{self, Arc};
use std::time::Duration;

use linkspan_proto::podresources::pod_resources_lister_client::PodResourcesListerClient;
use linkspan_proto::podresources::{
    LIMIT, ListPodResourcesRequest, ListPodResourcesResponse, SOCKET,
};
use tokio::sync::Mutex;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use super::Holders;

/// The kubelet's side, on its socket for pod resources.
pub(crate) struct PodResources {
    socket: PathBuf,
    /// How many questions there have been.
    questions: AtomicU64,
    last: Mutex<Option<Answer>>,
    /// Whether the socket was missing the last time.
    missing: AtomicBool,
    /// Devices that were given to pods of which the kubelet has not told yet: resources and IDs.
    given: sync::Mutex<BTreeSet<(String, String)>>,
}

struct Answer {
    /// It answers all questions before this one: they came before the kubelet was asked.
    before: u64,
    holders: Arc<Holders>,
}

/// It is not known who holds what.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HoldersError {
    #[error(
        "the kubelet does not say which pod holds what: {} is missing (mount the kubelet's directory \
         pod-resources)",
        .0.display()
    )]
    Missing(PathBuf),
    #[error("cannot reach the kubelet on {}", socket.display())]
    Unreachable { socket: PathBuf, source: tonic::transport::Error },
    #[error("the kubelet refused to say which pod holds what: {} ({})", .0.message(), .0.code())]
    Refused(Status),
    #[error("the kubelet did not say in {PATIENCE:?} which pod holds what")]
    Silent,
}

/// The CNI plugin, which may be who wants to know, waits for five seconds.
const PATIENCE: Duration = Duration::from_secs(4);
/// The kubelet takes 100 questions a second, from all who ask.
const AFTER_TOO_MANY: Duration = Duration::from_millis(50);

impl PodResources {
    pub(crate) fn new(kubelet_dir: &Path) -> Self {
        Self {
            socket: kubelet_dir.join(SOCKET),
            questions: AtomicU64::default(),
            last: Mutex::default(),
            missing: AtomicBool::default(),
            given: sync::Mutex::default(),
        }
    }

    /// Notes that devices are given to a pod: which one, the kubelet says only when it is asked next, and then that is
    /// logged.
    pub(crate) fn give(&self, resource: &str, ids: &[String]) {
        if let Ok(mut given) = self.given.lock() {
            given.extend(ids.iter().map(|id| (resource.to_owned(), id.clone())));
        }
    }

    fn log_given(&self, holders: &Holders) {
        let Ok(mut given) = self.given.lock() else { return };
        given.retain(|(pool, device)| {
            let Some(holder) = holders.holder(pool, device) else { return true };
            let pod = format_args!("{}/{}", holder.namespace, holder.pod);
            tracing::info!(%pod, pool, device, "a pod has what was allocated");
            false
        });
    }

    /// Who holds what now. All who ask while the kubelet is busy with an earlier question share the
    /// next: hundreds of pods that start at once are a few questions.
    pub(crate) async fn holders(&self) -> Result<Arc<Holders>, HoldersError> {
        let question = self.questions.fetch_add(1, Ordering::Relaxed);
        let answered = async {
            let mut last = self.last.lock().await;
            if let Some(answer) = last.as_ref().filter(|answer| answer.before > question) {
                return Ok(Arc::clone(&answer.holders));
            }
            let before = self.questions.load(Ordering::Relaxed);
            let holders = Arc::new(Holders::of(self.ask().await?));
            self.log_given(&holders);
            *last = Some(Answer { before, holders: Arc::clone(&holders) });
            Ok(holders)
        };
        let answer = tokio::time::timeout(PATIENCE, answered).await;
        let answer = answer.unwrap_or(Err(HoldersError::Silent));
        match &answer {
            // Not at each question: it may never be there.
            Err(error @ HoldersError::Missing(_)) => {
                if !self.missing.swap(true, Ordering::Relaxed) {
                    tracing::warn!("{error}");
                }
            }
            _ => self.missing.store(false, Ordering::Relaxed),
        }
        answer
    }

    /// Asks over a connection of its own: one that is kept breaks whenever the kubelet restarts.
    async fn ask(&self) -> Result<ListPodResourcesResponse, HoldersError> {
        if !self.socket.exists() {
            return Err(HoldersError::Missing(self.socket.clone()));
        }
        let unreachable =
            |source| HoldersError::Unreachable { socket: self.socket.clone(), source };
        let endpoint = Endpoint::from_shared(format!("unix://{}", self.socket.display()))
            .map_err(unreachable)?;
        let channel = endpoint.connect().await.map_err(unreachable)?;
        let mut kubelet = PodResourcesListerClient::new(channel).max_decoding_message_size(LIMIT);
        loop {
            match kubelet.list(ListPodResourcesRequest {}).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if status.code() == Code::ResourceExhausted => {
                    tokio::time::sleep(AFTER_TOO_MANY).await;
                }
                Err(status) => return Err(HoldersError::Refused(status)),
            }
        }
    }
}
