//! The device plugin daemon: wiring only.

mod authority;
mod inventory;
mod offers;
mod options;
mod pools;
mod prepare;
mod register;
mod server;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use linkspan_config::resource_list::{ResourceList, ResourceListError};
use linkspan_linux::inotify::DirectoryWatch;
use linkspan_linux::pci::Sysfs;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, watch as state};
use tokio::task::JoinSet;

use offers::Offers;
use options::{Options, Request};
use pools::Pool;
use prepare::Host;
use register::{Registrar, Way};
use server::PoolService;
use watch::NodeWatch;

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    let outcome = match Request::parse(std::env::args().skip(1)) {
        Ok(Request::Help) => {
            print!("{}", options::HELP);
            Ok(())
        }
        Ok(Request::Version) => {
            println!("linkspan-device-plugin {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Ok(Request::Run(options)) => run(&options),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("linkspan-device-plugin: {error:#}");
            let advice = error.downcast_ref::<ResourceListError>().and_then(|e| e.advice());
            if let Some(advice) = advice {
                eprintln!("{advice}.");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let list = ResourceList::read(&options.config_file)?;
    let pools = Pool::all(list, &options.resource_prefix)
        .with_context(|| format!("{} can't be used", options.config_file.display()))?;
    // One thread: there is little to do, and most of that is to wait.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(options, pools))
}

async fn serve(options: &Options, pools: Vec<Pool>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Listen first, then look: what changes in between is seen twice, and never missed.
    let node = NodeWatch::new().context("cannot listen for uevents")?;
    let way = Way::new(&options.kubelet_dir, options.plugin_watcher);
    let directory = DirectoryWatch::new(way.directory()).with_context(|| {
        format!("cannot watch {}, the kubelet's directory for plugins", way.directory().display())
    })?;
    let (events, _) = broadcast::channel(64);

    let sysfs = Sysfs::at(&options.sysfs_root);
    let host = Arc::new(Host { sysfs: sysfs.clone(), dev: options.dev_root.clone() });
    let offers = Offers::new(sysfs, pools);
    let mut tasks = JoinSet::new();
    for (pool, devices) in offers.subscribe() {
        let streams = state::Sender::new(0);
        let service = PoolService { pool, host: Arc::clone(&host), devices, streams };
        let (way, directory) = (way.clone(), events.subscribe());
        tasks.spawn(Registrar { service, way, directory, socket: None }.run());
    }
    offers.look();
    offers.warn_of_empty_pools();

    let outcome = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        error = offers.keep_looking(node) => {
            error.context("cannot listen for uevents")
        }
        error = watch::pass_on(directory, events) => {
            error.with_context(|| format!("cannot watch {}", way.directory().display()))
        }
    };
    // Each pool's task removes its socket as it ends.
    tasks.shutdown().await;
    outcome
}
