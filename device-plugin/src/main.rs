//! The device plugin daemon: wiring only.

mod allocate;
mod authority;
mod configuration;
mod counts;
mod devices;
mod files;
mod health;
mod holders;
mod inventory;
mod kept;
mod live;
mod metrics;
mod offers;
mod options;
mod pci_names;
mod pools;
mod preferred;
mod prepare;
mod provision;
mod register;
mod server;
mod shares;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use linkspan_daemon::http;
use linkspan_daemon::log::{self, Fatal};
use linkspan_linux::inotify::DirectoryWatch;
use linkspan_linux::pci::Sysfs;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use configuration::{Configuration, ConfigurationError};
use devices::Devices;
use holders::PodResources;
use live::Live;
use metrics::Metrics;
use options::{Options, Request};
use prepare::Host;
use provision::Provisioner;
use register::Way;
use watch::NodeWatch;

fn main() -> ExitCode {
    match Request::parse(std::env::args().skip(1)) {
        Ok(Request::Help) => {
            print!("{}", options::HELP);
            ExitCode::SUCCESS
        }
        Ok(Request::Version) => {
            println!("linkspan-device-plugin {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(Request::Run(options)) => log::run(&options.log, || {
            run(&options).map_err(|error| {
                let advice = error.downcast_ref::<ConfigurationError>().and_then(|e| e.advice());
                let advice = advice.map(ToOwned::to_owned).unwrap_or_default();
                Fatal { error, advice }
            })
        }),
        Err(error) => {
            eprintln!("linkspan-device-plugin: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    if !options.ignored.is_empty() {
        let flags = options.ignored.join(", ");
        tracing::warn!("{flags} mean nothing here: see --log-level and --log-file");
    }
    let file = options.config_file.clone();
    let macvtap = std::env::var("DP_MACVTAP_CONF").ok();
    let configuration = Configuration::at(file, options.resource_prefix.clone(), macvtap);
    // One thread: there is little to do, and most of that is to wait.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // What blocks is asked in a thread that ends at once.
        .thread_keep_alive(Duration::ZERO)
        .build()?;
    let outcome = runtime.block_on(serve(options, configuration));
    // A driver that takes its time must not keep the program from ending.
    runtime.shutdown_background();
    outcome
}

async fn serve(options: &Options, configuration: Configuration) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Listen first, then look: what changes in between is seen twice, and never missed.
    let file = configuration.watch();
    let configured = configuration.read()?;
    let file = file
        .with_context(|| format!("cannot watch {} for changes", configuration.file().display()))?;
    let node = NodeWatch::new(file).context("cannot listen for changes of this node")?;
    let way = Way::new(&options.kubelet_dir, options.plugin_watcher);
    let directory = DirectoryWatch::new(way.directory()).with_context(|| {
        format!(
            "cannot watch {}, the kubelet's directory for plugins, expected it to be there: start the kubelet, \
             mount its directory, or name another by --kubelet-dir",
            way.directory().display()
        )
    })?;
    let (events, _) = broadcast::channel(64);

    let host = Host {
        sysfs: Sysfs::at(&options.sysfs_root),
        dev: options.dev_root.clone(),
        device_info: options.device_info_dir.clone(),
        cdi: options.use_cdi.then(|| options.cdi_dir.clone()),
        given: Arc::default(),
        changing: Arc::default(),
        given_shares: Arc::default(),
    };
    let pod_resources = Arc::new(PodResources::new(&options.kubelet_dir));
    // Before any VF is offered: none must be given to a pod while it is made anew.
    let provisioner = Provisioner::new(&host, Arc::clone(&pod_resources));
    let outcomes = provisioner.outcomes();
    let orders = tokio::select! {
        orders = provisioner.start(&configured.pools) => orders,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let holders = Arc::clone(&pod_resources);
    let configuration = (configuration, configured);
    let mut live = Live::new(configuration, host, way.clone(), events.clone(), holders, orders);
    live.start().await;

    // What others ask for may fail to be served: the kubelet is served all the same.
    let mut tellers = JoinSet::new();
    let (pools, excluded) = (live.served(), live.excluded());
    let devices = Devices { pools, excluded, pod_resources: Arc::clone(&pod_resources) };
    let socket = options.devices_socket.clone();
    tellers.spawn(async move {
        let error = devices.serve(socket).await;
        tracing::error!("nobody can ask what a pod holds: {:#}", anyhow::Error::new(error));
    });
    if let Some(address) = options.metrics_address.clone() {
        let with_traffic = options.vf_traffic;
        let (pools, excluded, counts) = (live.served(), live.excluded(), live.counts());
        let metrics = Metrics { pools, excluded, outcomes, counts, pod_resources, with_traffic };
        tellers.spawn(async move {
            let error = http::serve(address, metrics).await;
            tracing::error!("nobody can ask for metrics: {:#}", anyhow::Error::new(error));
        });
    }

    let outcome = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        error = live.keep_looking(node) => {
            error.context("cannot listen for changes of this node")
        }
        error = watch::pass_on(directory, events) => {
            error.with_context(|| format!("cannot watch {}", way.directory().display()))
        }
    };
    live.shut_down().await;
    // Their sockets go with them.
    tellers.shutdown().await;
    outcome
}
