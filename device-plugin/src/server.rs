//! The gRPC service of one pool, on a socket that only root can reach.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use linkspan_daemon::socket::{ServeError, SocketFile};
use linkspan_proto::deviceplugin::device_plugin_server::DevicePlugin;
use linkspan_proto::deviceplugin::{
    AllocateRequest, AllocateResponse, ContainerPreferredAllocationRequest,
    ContainerPreferredAllocationResponse, Device, DevicePluginOptions, Empty, HEALTHY,
    ListAndWatchResponse, NumaNode, PreStartContainerRequest, PreStartContainerResponse,
    PreferredAllocationRequest, PreferredAllocationResponse, TopologyInfo, UNHEALTHY,
};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{UnixListenerStream, WatchStream};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::Router;
use tonic::{Request, Response, Status};

use crate::allocate;
use crate::authority::Localhost;
use crate::counts::PoolCounts;
use crate::holders::PodResources;
use crate::offers::{Offer, Offered};
use crate::pools::{Health, Member, Pool, PoolName};
use crate::preferred::{self, Wanted};
use crate::prepare::Host;
use crate::shares;

/// Answers the kubelet for one pool.
#[derive(Clone)]
pub(crate) struct PoolService {
    pub(crate) name: PoolName,
    pub(crate) host: Arc<Host>,
    /// The pool as it is configured now, and its devices.
    pub(crate) offered: Offered,
    /// How many `ListAndWatch` streams are open.
    pub(crate) streams: watch::Sender<usize>,
    pub(crate) counts: Arc<PoolCounts>,
    pub(crate) pod_resources: Arc<PodResources>,
    pub(crate) settled: Settled,
}

/// Whether it is known which devices pods hold already: before, others' may be among a pool's.
#[derive(Clone)]
pub(crate) struct Settled {
    pub(crate) is_known: watch::Receiver<bool>,
    /// Told when a kubelet is there, so that it is asked.
    pub(crate) kubelet_came: Arc<Notify>,
}

/// A kubelet that doesn't say by then which pod holds what may never do so.
const SETTLING: Duration = Duration::from_secs(2);

#[tonic::async_trait]
impl DevicePlugin for PoolService {
    async fn get_device_plugin_options(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<DevicePluginOptions>, Status> {
        Ok(Response::new(OPTIONS))
    }

    type ListAndWatchStream =
        Pin<Box<dyn Stream<Item = Result<ListAndWatchResponse, Status>> + Send>>;

    async fn list_and_watch(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<Self::ListAndWatchStream>, Status> {
        let open = OpenStream::new(self.streams.clone());
        // A plugin watcher may come when it likes, and what it is told first it gives away.
        self.settled.clone().wait().await;
        let mut told = None;
        let lists = WatchStream::new(self.offered.clone()).filter_map(move |offer| {
            // Owned by the stream, so that it is counted until tonic drops the stream.
            let _ = &open;
            let devices = devices(&offer).into_iter().chain(shares::devices(&offer)).collect();
            let list = ListAndWatchResponse { devices };
            // Much of what changes is nothing to the kubelet.
            (told.as_ref() != Some(&list)).then(|| told.insert(list).clone()).map(Ok)
        });
        Ok(Response::new(Box::pin(lists)))
    }

    async fn get_preferred_allocation(
        &self,
        request: Request<PreferredAllocationRequest>,
    ) -> Result<Response<PreferredAllocationResponse>, Status> {
        let offer = Arc::clone(&self.offered.borrow());
        let requests = request.into_inner().container_requests;
        let container_responses = requests.iter().map(|request| preferred(&offer, request));
        let container_responses = container_responses.collect();
        Ok(Response::new(PreferredAllocationResponse { container_responses }))
    }

    async fn allocate(
        &self,
        request: Request<AllocateRequest>,
    ) -> Result<Response<AllocateResponse>, Status> {
        let requests = request.into_inner().container_requests;
        let offer = Arc::clone(&self.offered.borrow());
        let mut container_responses = Vec::new();
        for request in &requests {
            let answer = match &offer.pool.resource.shares {
                None => match allocate::bind_for_pod(&offer, &self.host, request).await {
                    Ok(()) => allocate::allocate(&offer, &self.host, request),
                    Err(refused) => Err(refused),
                },
                Some(shares) => {
                    let (host, pods) = (&self.host, &self.pod_resources);
                    shares::allocate(&offer, shares, request, host, pods).await
                }
            };
            let counts = &self.counts;
            let count =
                if answer.is_ok() { &counts.allocations } else { &counts.failed_allocations };
            count.add_one();
            container_responses.push(answer?);
            self.pod_resources.give(&offer.pool.name.to_string(), &request.devices_ids);
        }
        Ok(Response::new(AllocateResponse { container_responses }))
    }

    async fn pre_start_container(
        &self,
        _: Request<PreStartContainerRequest>,
    ) -> Result<Response<PreStartContainerResponse>, Status> {
        Ok(Response::new(PreStartContainerResponse {}))
    }
}

impl Settled {
    /// Waits until it is known, but not for ever.
    pub(crate) async fn wait(mut self) {
        if !*self.is_known.borrow() {
            self.kubelet_came.notify_one();
        }
        let known = self.is_known.wait_for(|is_known| *is_known);
        let _ = tokio::time::timeout(SETTLING, known).await;
    }
}

/// The kubelet is to ask which devices to take, but need not ask before a container starts.
pub(crate) const OPTIONS: DevicePluginOptions =
    DevicePluginOptions { pre_start_required: false, get_preferred_allocation_available: true };

fn preferred(
    offer: &Offer,
    request: &ContainerPreferredAllocationRequest,
) -> ContainerPreferredAllocationResponse {
    let wanted = Wanted {
        available: &request.available_device_i_ds,
        included: &request.must_include_device_i_ds,
        size: request.allocation_size.try_into().unwrap_or_default(),
    };
    let chosen = preferred::prefer(offer.pool.resource.allocation, &offer.members, wanted);
    ContainerPreferredAllocationResponse { device_i_ds: chosen.unwrap_or_default() }
}

/// The devices as the kubelet knows them, in their order.
fn devices(offer: &Offer) -> Vec<Device> {
    let members = offer.members.iter().map(|m| (&m.device.id, device(&offer.pool, m)));
    let gone = offer.gone.iter().map(|id| {
        let health = UNHEALTHY.to_owned();
        (id, Device { id: id.to_string(), health, topology: None })
    });
    let mut all: Vec<_> = members.chain(gone).collect();
    all.sort_by_key(|(id, _)| *id);
    all.into_iter().map(|(_, device)| device).collect()
}

fn device(pool: &Pool, member: &Member) -> Device {
    let Member { device, health, .. } = member;
    let numa_node = device.numa_node.filter(|_| !pool.resource.exclude_topology);
    let topology = numa_node.map(|node| TopologyInfo { nodes: vec![NumaNode { id: node.into() }] });
    let health = match health {
        Health::Healthy => HEALTHY,
        Health::Unhealthy(_) => UNHEALTHY,
    };
    Device { id: device.id.to_string(), health: health.to_owned(), topology }
}

/// Counts a `ListAndWatch` stream for as long as it is open.
struct OpenStream(watch::Sender<usize>);

impl OpenStream {
    fn new(count: watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A socket that is being served. Dropping it removes it; connections that are open stay so until
/// the kubelet closes them.
pub(crate) struct Socket {
    file: SocketFile,
    server: JoinHandle<()>,
}

impl Socket {
    /// Serves on a new socket.
    pub(crate) fn serve(path: PathBuf, services: Router) -> Result<Self, ServeError> {
        let (file, listener) = SocketFile::listen(path)?;
        let shown = file.path().to_owned();
        let server = tokio::spawn(async move {
            let connections =
                UnixListenerStream::new(listener).map(|connection| connection.map(Localhost::new));
            if let Err(error) = services.serve_with_incoming(connections).await {
                tracing::error!("{}: {:#}", shown.display(), anyhow::Error::new(error));
            }
        });
        Ok(Self { file, server })
    }

    /// Whether the kubelet can still find the socket, and is not served by another in its place.
    pub(crate) fn is_in_place(&self) -> bool {
        !self.server.is_finished() && self.file.is_in_place()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.server.abort();
    }
}
