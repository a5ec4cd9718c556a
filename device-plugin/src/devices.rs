//! The socket on which Linkspan's other programs ask for devices: the CNI plugin which ones a pod holds, the
//! command line for all of them.

mod told;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use linkspan_daemon::conversation::{self, Answers};
use linkspan_daemon::socket::{ServeError, SocketFile};
use linkspan_proto::devices::question::About;
use linkspan_proto::devices::{HeldDevicesReply, HeldDevicesRequest, InventoryReply, Question};
use linkspan_proto::framing::{self, FrameError};
use tokio::sync::watch;

use crate::holders::{Held, PodResources};
use crate::live::Served;
use crate::pools::Excluded;

/// What is told, and to whom.
#[derive(Clone)]
pub(crate) struct Devices {
    pub(crate) pools: watch::Receiver<Vec<Served>>,
    pub(crate) excluded: watch::Receiver<Vec<Excluded>>,
    pub(crate) pod_resources: Arc<PodResources>,
}

impl Devices {
    /// Serves for as long as the program runs; returns only that it can't listen.
    pub(crate) async fn serve(self, path: PathBuf) -> ServeError {
        if let Some(folder) = path.parent()
            && let Err(source) = DirBuilder::new().recursive(true).mode(0o700).create(folder)
        {
            return ServeError::Listen { path, source };
        }
        let (_file, listener) = match SocketFile::listen_in_turn(path).await {
            Ok(listening) => listening,
            Err(error) => return error,
        };
        match conversation::answer(listener, self).await {}
    }
}

impl Answers for Devices {
    type Question = Question;
    const ABOUT: &str = "devices";
    /// Longer than the kubelet may take, and than the CNI plugin waits.
    const PATIENCE: Duration = Duration::from_secs(6);

    async fn reply(&self, question: Question) -> Option<Result<Vec<u8>, FrameError>> {
        Some(match question.about? {
            About::HeldDevices(request) => framing::encode(&self.held(&request).await),
            About::Inventory(_) => framing::encode(&self.inventory().await),
        })
    }
}

impl Devices {
    async fn held(&self, request: &HeldDevicesRequest) -> HeldDevicesReply {
        let names = |pool: &Served| pool.offered.borrow().pool.name.to_string();
        let offered = self.pools.borrow().iter().map(names).collect();
        let reply = HeldDevicesReply { offered, ..HeldDevicesReply::default() };
        let HeldDevicesRequest { pod_namespace, pod_name, resource, .. } = request;
        let held = match self.pod_resources.holders().await {
            Ok(holders) => holders.held_by(pod_namespace, pod_name, resource),
            Err(error) => return HeldDevicesReply { error: in_full(error), ..reply },
        };
        let pod = format_args!("{pod_namespace}/{pod_name}");
        tracing::debug!(%pod, %resource, ?held, "asked what a pod holds");
        match held {
            Held::Nothing => reply,
            Held::Devices(devices) => HeldDevicesReply { pod_is_known: true, devices, ..reply },
            Held::Twice => {
                let error = format!(
                    "the kubelet knows two pods called {pod_namespace}/{pod_name}, expected that the \
                     earlier one has ended"
                );
                HeldDevicesReply { error, ..reply }
            }
        }
    }

    async fn inventory(&self) -> InventoryReply {
        let (holders, holders_unknown) = match self.pod_resources.holders().await {
            Ok(holders) => (holders, String::new()),
            Err(error) => (Arc::default(), in_full(error)),
        };
        let pools = self.pools.borrow();
        let pools = pools.iter().map(|pool| told::pool(&pool.offered.borrow(), &holders)).collect();
        let excluded = self.excluded.borrow().iter().map(told::excluded).collect();
        InventoryReply { pools, holders_unknown, excluded }
    }
}

/// An error and its causes, in one line.
fn in_full(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::new(error))
}
