//! Keeps one pool registered with the kubelet, for as long as it is configured.
//!
//! The kubelet forgets a plugin when it restarts and when the `ListAndWatch` stream breaks, and
//! never asks for it again. So what counts is whether a stream is open: while none is, the pool
//! announces itself, at once when the kubelet's socket appears.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use linkspan_daemon::socket::ServeError;
use linkspan_linux::inotify::DirectoryEvent;
use linkspan_proto::deviceplugin::device_plugin_server::DevicePluginServer;
use linkspan_proto::deviceplugin::registration_client::RegistrationClient;
use linkspan_proto::deviceplugin::{RegisterRequest, VERSION};
use linkspan_proto::pluginregistration::registration_server::{Registration, RegistrationServer};
use linkspan_proto::pluginregistration::{
    DEVICE_PLUGIN, InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse,
};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

use crate::counts::PoolCounts;
use crate::offers::Offered;
use crate::server::{OPTIONS, PoolService, Socket};

/// How the kubelet is told of a pool.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// We call the kubelet on `device-plugins/kubelet.sock`; our socket is beside it.
    KubeletSocket(PathBuf),
    /// The kubelet watches `plugins_registry`, where our socket is, and calls us.
    PluginWatcher(PathBuf),
}

/// The kubelet has not been told of a pool.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegisterError {
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("cannot reach the kubelet on {}", socket.display())]
    Unreachable { socket: PathBuf, source: tonic::transport::Error },
    #[error("the kubelet refused: {} ({})", status.message(), status.code())]
    Refused { status: Status },
}

/// A new stream may be on its way when one ends: registering then would cut it.
const AFTER_A_STREAM: Duration = Duration::from_millis(500);
/// The kubelet opens its stream as soon as it has accepted a plugin.
const AFTER_ACCEPTANCE: Duration = Duration::from_secs(10);
/// The first pause after a failure; each further one is twice as long.
const AFTER_FAILURE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A kubelet that doesn't answer for so long has a problem of its own.
const CALL: Duration = Duration::from_secs(10);

/// One pool and what it needs to make itself known.
pub(crate) struct Registrar {
    pub(crate) service: PoolService,
    pub(crate) way: Way,
    /// What happens in the directory of our socket.
    pub(crate) directory: broadcast::Receiver<DirectoryEvent>,
    pub(crate) socket: Option<Socket>,
}

impl Way {
    /// The way that was asked for, below the kubelet's directory.
    pub(crate) fn new(kubelet_dir: &Path, plugin_watcher: bool) -> Self {
        if plugin_watcher {
            Self::PluginWatcher(kubelet_dir.join("plugins_registry"))
        } else {
            Self::KubeletSocket(kubelet_dir.join("device-plugins"))
        }
    }

    /// The directory of all pools' sockets.
    pub(crate) fn directory(&self) -> &Path {
        match self {
            Self::KubeletSocket(directory) | Self::PluginWatcher(directory) => directory,
        }
    }
}

impl Registrar {
    /// Runs until the pool has its last offer, or it is dropped; either removes the socket.
    pub(crate) async fn run(mut self) {
        let mut offered = self.service.offered.clone();
        let mut streams = self.service.streams.subscribe();
        let mut due = Some(Instant::now());
        let mut pause = AFTER_FAILURE;
        loop {
            tokio::select! {
                () = at(due) => {
                    due = match self.announce().await {
                        Ok(true) => Some(Instant::now() + AFTER_ACCEPTANCE),
                        Ok(false) => None,
                        Err(error) => {
                            self.service.counts.failed_registrations.add_one();
                            let name = &self.service.name;
                            tracing::warn!("{name} is not registered: {:#}", anyhow::Error::new(error));
                            let again = Instant::now() + pause;
                            pause = (pause * 2).min(LONGEST_PAUSE);
                            Some(again)
                        }
                    };
                }
                () = last_offer(&mut offered) => return,
                Ok(()) = streams.changed() => {
                    let open = *streams.borrow_and_update() > 0;
                    due = (!open).then(|| Instant::now() + AFTER_A_STREAM);
                    pause = AFTER_FAILURE;
                }
                event = self.directory.recv() => {
                    if self.concerns_us(&event) {
                        due = Some(Instant::now());
                        pause = AFTER_FAILURE;
                    }
                }
            }
        }
    }

    /// Whether an event in the directory calls for an announcement.
    fn concerns_us(&mut self, event: &Result<DirectoryEvent, RecvError>) -> bool {
        let is_kubelet = |name: &std::ffi::OsStr| {
            matches!(self.way, Way::KubeletSocket(_)) && name == KUBELET_SOCKET
        };
        match event {
            Ok(DirectoryEvent::Appeared(name)) if is_kubelet(name) => true,
            // A kubelet that starts removes everything in the directory, and us with it. While a
            // stream is open it is enough, and less disturbing, to be there again.
            Ok(DirectoryEvent::Gone(_)) => !self.is_in_place() && !self.serve_again(),
            Ok(
                DirectoryEvent::Appeared(_)
                | DirectoryEvent::Written(_)
                | DirectoryEvent::DirectoryGone,
            ) => false,
            Ok(DirectoryEvent::Lost) | Err(_) => true,
        }
    }

    fn is_in_place(&self) -> bool {
        self.socket.as_ref().is_some_and(Socket::is_in_place)
    }

    /// Makes the socket anew if the kubelet still watches the pool.
    fn serve_again(&mut self) -> bool {
        let watched = *self.service.streams.borrow() > 0;
        watched && self.serve().is_ok()
    }

    /// Tells the kubelet of the pool. True if it has accepted and will open a stream, false if the
    /// next step is the kubelet's: to make its socket, or to look at ours, which it does whenever
    /// it starts and again and again if it fails.
    async fn announce(&mut self) -> Result<bool, RegisterError> {
        let name = self.service.name.clone();
        let kubelet = match &self.way {
            Way::KubeletSocket(directory) => directory.join(KUBELET_SOCKET),
            Way::PluginWatcher(_) => {
                // A new socket is what makes the watcher look.
                self.serve()?;
                tracing::info!("{name} waits for the kubelet's plugin watcher");
                return Ok(false);
            }
        };
        if !kubelet.exists() {
            tracing::info!("{name} waits for {}", kubelet.display());
            return Ok(false);
        }
        self.service.settled.clone().wait().await;
        if !self.is_in_place() {
            self.serve()?;
        }
        self.register(&kubelet).await?;
        self.service.counts.registrations.add_one();
        tracing::info!("{name} is registered");
        Ok(true)
    }

    fn serve(&mut self) -> Result<(), ServeError> {
        // The old socket must go before the new one takes its place.
        self.socket = None;
        let path = self.way.directory().join(self.service.name.socket());
        let mut services =
            Server::builder().add_service(DevicePluginServer::new(self.service.clone()));
        if let Way::PluginWatcher(_) = self.way {
            let info = PoolInfo {
                name: self.service.name.to_string(),
                endpoint: path.clone(),
                counts: Arc::clone(&self.service.counts),
            };
            services = services.add_service(RegistrationServer::new(info));
        }
        self.socket = Some(Socket::serve(path, services)?);
        Ok(())
    }

    async fn register(&self, kubelet: &Path) -> Result<(), RegisterError> {
        let unreachable =
            |source| RegisterError::Unreachable { socket: kubelet.to_owned(), source };
        let endpoint = Endpoint::from_shared(format!("unix://{}", kubelet.display()))
            .map_err(unreachable)?
            .connect_timeout(CALL)
            .timeout(CALL);
        let channel = endpoint.connect().await.map_err(unreachable)?;
        let request = RegisterRequest {
            version: VERSION.to_owned(),
            endpoint: self.service.name.socket(),
            resource_name: self.service.name.to_string(),
            options: Some(OPTIONS),
        };
        let answer = RegistrationClient::new(channel).register(request).await;
        answer.map(drop).map_err(|status| RegisterError::Refused { status })
    }
}

/// The name of the kubelet's own socket.
const KUBELET_SOCKET: &str = "kubelet.sock";

/// What the plugin watcher asks a pool.
struct PoolInfo {
    name: String,
    endpoint: PathBuf,
    counts: Arc<PoolCounts>,
}

#[tonic::async_trait]
impl Registration for PoolInfo {
    async fn get_info(&self, _: Request<InfoRequest>) -> Result<Response<PluginInfo>, Status> {
        Ok(Response::new(PluginInfo {
            r#type: DEVICE_PLUGIN.to_owned(),
            name: self.name.clone(),
            endpoint: self.endpoint.display().to_string(),
            supported_versions: vec![VERSION.to_owned()],
        }))
    }

    async fn notify_registration_status(
        &self,
        status: Request<RegistrationStatus>,
    ) -> Result<Response<RegistrationStatusResponse>, Status> {
        let status = status.into_inner();
        if status.plugin_registered {
            self.counts.registrations.add_one();
            tracing::info!("{} is registered", self.name);
        } else {
            self.counts.failed_registrations.add_one();
            // The watcher will try again by itself.
            tracing::warn!("{} is not registered: the kubelet says: {}", self.name, status.error);
        }
        Ok(Response::new(RegistrationStatusResponse {}))
    }
}

/// Waits until a pool is no longer configured.
async fn last_offer(offered: &mut Offered) {
    while offered.changed().await.is_ok() {}
}

/// Waits until a moment, or for ever.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
