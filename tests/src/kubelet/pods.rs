//! The pods that devices were given to, as the kubelet tells them on `pod-resources/kubelet.sock`.

use std::path::Path;
use std::sync::{Arc, Mutex};

use linkspan_proto::podresources::pod_resources_lister_server::{
    PodResourcesLister, PodResourcesListerServer,
};
use linkspan_proto::podresources::{
    ContainerDevices, ContainerResources, ListPodResourcesRequest, ListPodResourcesResponse,
    PodResources, SOCKET,
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// All pods, and how often they were asked for.
#[derive(Clone, Default)]
pub(super) struct Pods(Arc<Mutex<(Vec<PodResources>, u32)>>);

impl Pods {
    /// Gives devices to a container `app` of a pod, as one entry for each, which newer kubelets do.
    pub(super) fn give(&self, namespace: &str, name: &str, resource: &str, ids: &[&str]) {
        let devices = ids.iter().map(|&id| ContainerDevices {
            resource_name: resource.to_owned(),
            device_ids: vec![id.to_owned()],
        });
        let mut pods = self.0.lock().unwrap();
        let known = pods.0.iter().position(|pod| pod.namespace == namespace && pod.name == name);
        let at = known.unwrap_or_else(|| {
            let container =
                ContainerResources { name: "app".to_owned(), ..ContainerResources::default() };
            pods.0.push(PodResources {
                name: name.to_owned(),
                namespace: namespace.to_owned(),
                containers: vec![container],
            });
            pods.0.len() - 1
        });
        pods.0[at].containers[0].devices.extend(devices);
    }

    pub(super) fn end(&self, namespace: &str, name: &str) {
        self.0.lock().unwrap().0.retain(|pod| pod.namespace != namespace || pod.name != name);
    }

    pub(super) fn asked(&self) -> u32 {
        self.0.lock().unwrap().1
    }

    /// Serves below the kubelet's directory, in the place of what an earlier run has left there.
    pub(super) fn listen(&self, directory: &Path) -> impl Future<Output = ()> + Send + 'static {
        let socket = directory.join(SOCKET);
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
        let server = Server::builder().add_service(PodResourcesListerServer::new(self.clone()));
        async { server.serve_with_incoming(listener).await.unwrap() }
    }
}

#[tonic::async_trait]
impl PodResourcesLister for Pods {
    async fn list(
        &self,
        _: Request<ListPodResourcesRequest>,
    ) -> Result<Response<ListPodResourcesResponse>, Status> {
        let mut pods = self.0.lock().unwrap();
        pods.1 += 1;
        Ok(Response::new(ListPodResourcesResponse { pod_resources: pods.0.clone() }))
    }
}
