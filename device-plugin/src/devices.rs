//! The socket on which Linkspan's other programs ask for devices: the CNI plugin which ones a pod holds, the
//! command line for all of them.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use linkspan_proto::devices::question::About;
use linkspan_proto::devices::{
    Device, HeldDevicesReply, HeldDevicesRequest, Holder, InventoryReply, Pool, Question,
};
use linkspan_proto::framing::{self, FrameError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::holders::{Held, Holders, PodResources};
use crate::live::Served;
use crate::pools::{Health, Member};
use crate::socket::{ServeError, SocketFile};

/// What is told, and to whom.
#[derive(Clone)]
pub(crate) struct Devices {
    pub(crate) pools: watch::Receiver<Vec<Served>>,
    pub(crate) pod_resources: Arc<PodResources>,
}

/// A question that got no answer.
#[derive(Debug, thiserror::Error)]
enum AskedError {
    #[error(
        "a process of user {0} asked, expected one of this program's own user: nothing was told"
    )]
    Stranger(u32),
    #[error("it is no question that this version knows: update both programs to the same version")]
    Unknown,
    #[error("it did not end in {PATIENCE:?}")]
    Slow,
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// How long one conversation may last: longer than the kubelet may take, and than the CNI plugin waits.
const PATIENCE: Duration = Duration::from_secs(6);
/// How many conversations there may be at once; more have to wait.
const CROWD: usize = 256;
/// Without free descriptors, accepting fails at once.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

impl Devices {
    /// Serves for as long as the program runs; returns only that it can't listen.
    pub(crate) async fn serve(self, path: PathBuf) -> ServeError {
        if let Some(folder) = path.parent()
            && let Err(source) = DirBuilder::new().recursive(true).mode(0o700).create(folder)
        {
            return ServeError::Listen { path, source };
        }
        let (_file, listener) = match SocketFile::listen(path) {
            Ok(listening) => listening,
            Err(error) => return error,
        };
        self.answer_all(listener).await
    }

    async fn answer_all(&self, listener: UnixListener) -> ! {
        let mut conversations = JoinSet::new();
        loop {
            tokio::select! {
                connection = listener.accept(), if conversations.len() < CROWD => match connection {
                    Ok((stream, _)) => {
                        let devices = self.clone();
                        conversations.spawn(async move { devices.converse(stream).await });
                    }
                    Err(error) => {
                        tracing::warn!("cannot answer for devices: {error}");
                        tokio::time::sleep(AFTER_FAILURE).await;
                    }
                },
                Some(_) = conversations.join_next() => {}
            }
        }
    }

    async fn converse(&self, mut stream: UnixStream) {
        let conversation = async {
            let own = rustix::process::geteuid().as_raw();
            let asker = stream.peer_cred().map_err(FrameError::Io)?.uid();
            if asker != own {
                return Err(AskedError::Stranger(asker));
            }
            let question = read(&mut stream).await?;
            let reply = self.reply(question).await?;
            Ok(stream.write_all(&reply).await.map_err(FrameError::Io)?)
        };
        let outcome = tokio::time::timeout(PATIENCE, conversation).await;
        if let Err(error) = outcome.unwrap_or(Err(AskedError::Slow)) {
            tracing::warn!(
                "a question for devices was not answered: {:#}",
                anyhow::Error::new(error)
            );
        }
    }

    async fn reply(&self, question: Question) -> Result<Vec<u8>, AskedError> {
        let reply = match question.about {
            Some(About::HeldDevices(request)) => framing::encode(&self.held(&request).await),
            Some(About::Inventory(_)) => framing::encode(&self.inventory().await),
            None => return Err(AskedError::Unknown),
        };
        Ok(reply?)
    }

    async fn held(&self, request: &HeldDevicesRequest) -> HeldDevicesReply {
        let names = |pool: &Served| pool.offered.borrow().pool.name.to_string();
        let offered = self.pools.borrow().iter().map(names).collect();
        let reply = HeldDevicesReply { offered, ..HeldDevicesReply::default() };
        let HeldDevicesRequest { pod_namespace, pod_name, resource, .. } = request;
        let held = match self.pod_resources.holders().await {
            Ok(holders) => holders.held_by(pod_namespace, pod_name, resource),
            Err(error) => return HeldDevicesReply { error: in_full(error), ..reply },
        };
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
        let pools = pools.iter().map(|pool| {
            let offer = Arc::clone(&pool.offered.borrow());
            let name = offer.pool.name.to_string();
            let devices = offer.members.iter().map(|m| device(&name, m, &holders)).collect();
            Pool { name, devices }
        });
        InventoryReply { pools: pools.collect(), holders_unknown }
    }
}

fn device(pool: &str, member: &Member, holders: &Holders) -> Device {
    let Member { device, health, .. } = member;
    let id = device.id.to_string();
    let holder = holders.holder(pool, &id).map(|holder| Holder {
        pod_namespace: holder.namespace.clone(),
        pod_name: holder.pod.clone(),
        container: holder.container.clone(),
    });
    Device {
        id,
        pf: device.pf().address.to_string(),
        pf_name: device.pf().name.as_ref().map(ToString::to_string).unwrap_or_default(),
        driver: device.driver.clone().unwrap_or_default(),
        unhealthy: match health {
            Health::Healthy => String::new(),
            Health::Unhealthy(reason) => reason.to_string(),
        },
        holder,
    }
}

/// An error and its causes, in one line.
fn in_full(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::new(error))
}

async fn read(stream: &mut UnixStream) -> Result<Question, FrameError> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(FrameError::Closed);
        }
        if let Some(question) = framing::decode(&bytes)? {
            return Ok(question);
        }
    }
}
