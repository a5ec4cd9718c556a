//! A stand-in for the kubelet: its side of the device plugin API, over real gRPC on real sockets.
//!
//! It does what the kubelet's device manager does, as far as a plugin can tell: it takes
//! registrations on `kubelet.sock`, finds sockets in `plugins_registry`, opens one `ListAndWatch`
//! stream for each resource and never asks again once that has ended, and forgets everything, the
//! plugins' sockets included, when it restarts.
//!
//! ```no_run
//! # use {linkspan_tests::{daemon::Daemon, kubelet::Kubelet}, std::{path::Path, time::Duration}};
//! let kubelet = Kubelet::start(Path::new("/run/test/kubelet"));
//! let _plugin = Daemon::device_plugin(kubelet.directory(), Path::new("config.json"), &[]);
//! let offered = kubelet.wait_for("offered 7 VFs", Duration::from_secs(10), |state| {
//!     state.allocatable("linkspan.dev/fast").len() == 7
//! });
//! let vf = offered.allocatable("linkspan.dev/fast")[0];
//! let given = kubelet.allocate("linkspan.dev/fast", &[vf]).unwrap();
//! assert_eq!(given.envs["PCIDEVICE_LINKSPAN_DEV_FAST"], vf);
//! ```

mod calls;
mod pods;
mod registry;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use linkspan_proto::deviceplugin::{
    AllocateRequest, ContainerAllocateRequest, ContainerAllocateResponse,
    ContainerPreferredAllocationRequest, Device, DevicePluginOptions, HEALTHY,
    PreferredAllocationRequest,
};
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tonic::Status;

use calls::Plugins;
use pods::Pods;

/// A kubelet whose directory is in a test's own.
pub struct Kubelet {
    directory: PathBuf,
    state: watch::Sender<State>,
    pods: Pods,
    /// Nothing while it is stopped. Dropping it ends every task and closes every connection.
    running: Option<Running>,
}

struct Running {
    runtime: Runtime,
    plugins: Arc<Plugins>,
}

/// What the kubelet knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The extended resources, by name.
    pub resources: BTreeMap<String, Resource>,
}

/// One extended resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    /// How often a plugin has registered it, restarts of the kubelet included.
    pub registrations: u32,
    /// What the plugin said it can do, where it registered on `kubelet.sock`.
    pub options: Option<DevicePluginOptions>,
    /// Where the plugin serves.
    pub socket: PathBuf,
    /// Whether the stream of devices is open.
    pub streaming: bool,
    /// The devices, as last heard.
    pub devices: Vec<Device>,
}

impl Resource {
    /// The devices that a pod could get now: none while the plugin can't be heard.
    #[must_use]
    pub fn allocatable(&self) -> Vec<&str> {
        let healthy = self.devices.iter().filter(|device| device.health == HEALTHY);
        let ids = healthy.map(|device| device.id.as_str());
        ids.filter(|_| self.streaming).collect()
    }
}

impl State {
    /// The devices of a resource that a pod could get now; none where the resource isn't known.
    #[must_use]
    pub fn allocatable(&self, resource: &str) -> Vec<&str> {
        self.resources.get(resource).map(Resource::allocatable).unwrap_or_default()
    }
}

/// The longest that a call to a plugin may take.
const CALL: Duration = Duration::from_secs(10);

impl Kubelet {
    /// Starts a kubelet on an empty directory (the real one's is `/var/lib/kubelet`).
    ///
    /// # Panics
    ///
    /// If the directory can't be used.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        let mut kubelet = Self {
            directory: directory.to_owned(),
            state: watch::Sender::default(),
            pods: Pods::default(),
            running: None,
        };
        for directory in [kubelet.device_plugins(), kubelet.plugins_registry()] {
            std::fs::create_dir_all(directory).unwrap();
        }
        kubelet.run();
        kubelet
    }

    /// Its directory, as given to [`Self::start`].
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Ends it as `kill -9` does: connections break, and `kubelet.sock` stays behind.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.runtime.shutdown_timeout(CALL);
        }
        self.state.send_modify(|state| {
            for resource in state.resources.values_mut() {
                resource.streaming = false;
                resource.devices.clear();
            }
        });
    }

    /// Starts it again. As the real one does, it first removes all sockets in `device-plugins`.
    ///
    /// # Panics
    ///
    /// If the directory can't be used.
    pub fn restart(&mut self) {
        self.kill();
        for entry in std::fs::read_dir(self.device_plugins()).unwrap() {
            match std::fs::remove_file(entry.unwrap().path()) {
                // A plugin takes the socket of a pool that has ended away itself.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                removed => removed.unwrap(),
            }
        }
        self.run();
    }

    fn run(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let plugins = Arc::new(Plugins {
            directory: self.device_plugins(),
            state: self.state.clone(),
            connected: Mutex::default(),
            reads: watch::Sender::new(true),
        });
        let _inside = runtime.enter();
        let listener = UnixListener::bind(self.device_plugins().join("kubelet.sock")).unwrap();
        runtime.spawn(calls::serve(listener, Arc::clone(&plugins)));
        runtime.spawn(self.pods.listen(&self.directory));
        let watch = linkspan_linux::inotify::DirectoryWatch::new(&self.plugins_registry()).unwrap();
        runtime.spawn(registry::watch(watch, self.plugins_registry(), Arc::clone(&plugins)));
        self.running = Some(Running { runtime, plugins });
    }

    /// What it knows now.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits until what it knows fulfils a condition.
    ///
    /// # Panics
    ///
    /// If that takes longer than `bound`.
    pub fn wait_for(
        &self,
        what: &str,
        bound: Duration,
        condition: impl FnMut(&State) -> bool,
    ) -> State {
        let mut states = self.state.subscribe();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let wait = async { tokio::time::timeout(bound, states.wait_for(condition)).await.is_ok() };
        let fulfilled = runtime.block_on(wait);
        let state = self.state();
        assert!(fulfilled, "after {bound:?} still not {what}: {state:#?}");
        state
    }

    /// Breaks the connection to a resource's plugin, as a bug or a full buffer might.
    pub fn drop_stream(&self, resource: &str) {
        self.running().plugins.disconnect(resource);
    }

    /// Stops reading the plugins' lists of devices, or goes on. Whatever else it asks is not affected.
    pub fn read_lists(&self, reads: bool) {
        self.running().plugins.reads.send_replace(reads);
    }

    /// Gives devices to one container of a pod.
    pub fn allocate(
        &self,
        resource: &str,
        ids: &[&str],
    ) -> Result<ContainerAllocateResponse, Status> {
        let devices_ids = ids.iter().map(|&id| id.to_owned()).collect();
        let container_requests = vec![ContainerAllocateRequest { devices_ids }];
        let mut plugin = self.running().plugins.plugin(resource)?;
        let answer = self.call(plugin.allocate(AllocateRequest { container_requests }))?;
        let mut containers = answer.container_responses.into_iter();
        containers.next().ok_or_else(|| Status::internal("no answer for the container"))
    }

    /// Gives devices to one container of a pod, which holds them from now on.
    pub fn run_pod(
        &self,
        namespace: &str,
        name: &str,
        resource: &str,
        ids: &[&str],
    ) -> Result<ContainerAllocateResponse, Status> {
        let given = self.allocate(resource, ids)?;
        self.pods.give(namespace, name, resource, ids);
        Ok(given)
    }

    /// Lets a pod hold devices that it has from somebody else.
    pub fn hold(&self, namespace: &str, name: &str, resource: &str, ids: &[&str]) {
        self.pods.give(namespace, name, resource, ids);
    }

    /// Takes all devices of a pod back.
    pub fn end_pod(&self, namespace: &str, name: &str) {
        self.pods.end(namespace, name);
    }

    /// How often it was asked which pod holds what.
    #[must_use]
    pub fn asked_for_pods(&self) -> u32 {
        self.pods.asked()
    }

    /// Asks which `size` of the available devices a pod had best get, those included that it must get;
    /// none where it's all the same.
    pub fn preferred(
        &self,
        resource: &str,
        available: &[&str],
        included: &[&str],
        size: i32,
    ) -> Result<Vec<String>, Status> {
        let container = ContainerPreferredAllocationRequest {
            available_device_i_ds: available.iter().map(|&id| id.to_owned()).collect(),
            must_include_device_i_ds: included.iter().map(|&id| id.to_owned()).collect(),
            allocation_size: size,
        };
        let request = PreferredAllocationRequest { container_requests: vec![container] };
        let mut plugin = self.running().plugins.plugin(resource)?;
        let answer = self.call(plugin.get_preferred_allocation(request))?;
        Ok(answer.container_responses.into_iter().flat_map(|answer| answer.device_i_ds).collect())
    }

    fn call<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Status> {
        let bounded = async { tokio::time::timeout(CALL, call).await };
        match self.running().runtime.block_on(bounded) {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("the plugin did not answer")),
        }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the kubelet is stopped")
    }

    fn device_plugins(&self) -> PathBuf {
        self.directory.join("device-plugins")
    }

    fn plugins_registry(&self) -> PathBuf {
        self.directory.join("plugins_registry")
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.kill();
    }
}
