//! `kubelet.sock`, and the connections to the plugins that registered there or were found.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use linkspan_proto::deviceplugin::device_plugin_client::DevicePluginClient;
use linkspan_proto::deviceplugin::registration_server::{Registration, RegistrationServer};
use linkspan_proto::deviceplugin::{DevicePluginOptions, Empty, RegisterRequest, VERSION};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

use super::{CALL, State};

/// All plugins that the kubelet talks to.
pub(super) struct Plugins {
    pub(super) directory: PathBuf,
    pub(super) state: watch::Sender<State>,
    pub(super) connected: Mutex<HashMap<String, Connected>>,
    /// Whether it reads what plugins send.
    pub(super) reads: watch::Sender<bool>,
}

pub(super) struct Connected {
    client: DevicePluginClient<Channel>,
    stream: AbortHandle,
}

pub(super) async fn serve(listener: UnixListener, plugins: Arc<Plugins>) {
    let registration = RegistrationServer::new(KubeletSocket(plugins));
    let server = Server::builder().add_service(registration);
    server.serve_with_incoming(UnixListenerStream::new(listener)).await.unwrap();
}

struct KubeletSocket(Arc<Plugins>);

#[tonic::async_trait]
impl Registration for KubeletSocket {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<Empty>, Status> {
        let request = request.into_inner();
        if request.version != VERSION {
            return Err(Status::unimplemented(format!("version {:?}", request.version)));
        }
        if !is_extended_resource(&request.resource_name) || request.endpoint.contains('/') {
            return Err(Status::invalid_argument(format!("{request:?}")));
        }
        let socket = self.0.directory.join(request.endpoint);
        self.0.connect(&request.resource_name, &socket, request.options).await?;
        Ok(Response::new(Empty {}))
    }
}

impl Plugins {
    /// Connects to a plugin and watches its devices, in place of any connection that there was.
    pub(super) async fn connect(
        self: &Arc<Self>,
        resource: &str,
        socket: &Path,
        options: Option<DevicePluginOptions>,
    ) -> Result<(), Status> {
        let mut client = DevicePluginClient::new(dial(socket).await?);
        self.disconnect(resource);
        self.state.send_modify(|state| {
            let known = state.resources.entry(resource.to_owned()).or_default();
            known.registrations += 1;
            known.options = options;
            socket.clone_into(&mut known.socket);
        });
        let (plugins, name, mut listener) = (Arc::clone(self), resource.to_owned(), client.clone());
        let stream = tokio::spawn(async move { plugins.listen(&name, &mut listener).await });
        let connected = Connected { client: client.clone(), stream: stream.abort_handle() };
        self.connected.lock().unwrap().insert(resource.to_owned(), connected);
        // Like the kubelet, ask what the plugin can do; unlike it, insist on an answer.
        client.get_device_plugin_options(Empty {}).await.map(drop)
    }

    async fn listen(&self, resource: &str, client: &mut DevicePluginClient<Channel>) {
        if let Ok(answer) = client.list_and_watch(Empty {}).await {
            let mut lists = answer.into_inner();
            let mut reads = self.reads.subscribe();
            while reads.wait_for(|reads| *reads).await.is_ok()
                && let Ok(Some(list)) = lists.message().await
            {
                self.change(resource, |known| {
                    known.streaming = true;
                    known.devices.clone_from(&list.devices);
                });
            }
        }
        self.change(resource, |known| known.streaming = false);
    }

    /// Closes the connection to a resource's plugin, if there is one.
    pub(super) fn disconnect(&self, resource: &str) {
        if let Some(connected) = self.connected.lock().unwrap().remove(resource) {
            connected.stream.abort();
            self.change(resource, |known| known.streaming = false);
        }
    }

    pub(super) fn plugin(&self, resource: &str) -> Result<DevicePluginClient<Channel>, Status> {
        let connected = self.connected.lock().unwrap();
        let plugin = connected.get(resource).map(|connected| connected.client.clone());
        plugin.ok_or_else(|| Status::unavailable(format!("no plugin for {resource}")))
    }

    fn change(&self, resource: &str, change: impl FnOnce(&mut super::Resource)) {
        self.state.send_modify(|state| {
            change(state.resources.entry(resource.to_owned()).or_default());
        });
    }
}

/// Connects as the kubelet does: the authority is `localhost`, not the socket's path.
pub(super) async fn dial(socket: &Path) -> Result<Channel, Status> {
    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))
        .map_err(|error| Status::invalid_argument(error.to_string()))?
        .origin(tonic::transport::Uri::from_static("http://localhost"))
        .connect_timeout(CALL);
    let failed = |error| Status::unavailable(format!("{}: {error}", socket.display()));
    endpoint.connect().await.map_err(failed)
}

/// A domain, a slash and a name; names below `kubernetes.io` are Kubernetes' own.
fn is_extended_resource(name: &str) -> bool {
    let Some((domain, name)) = name.split_once('/') else { return false };
    let own = domain == "kubernetes.io" || domain.ends_with(".kubernetes.io");
    !own && domain.contains('.') && !name.is_empty() && !name.contains('/')
}
