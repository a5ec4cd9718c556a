//! The DHCP daemon: wiring only.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod about;
mod daemon;
mod exchange;
mod flags;
mod interface;
mod key;
mod lease_store;
mod metrics;
mod rpc;
mod turns;
mod wakes;
mod warm;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use dlmalloc::GlobalDlmalloc;
use linkspan_daemon::conversation;
use linkspan_daemon::http;
use linkspan_daemon::log;
use linkspan_daemon::socket::SocketFile;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use daemon::Daemon;
use flags::{Flags, Request};
use lease_store::LeaseStore;
use metrics::{Counts, Metrics};
use rpc::Asker;

/// That of musl asks the kernel for most blocks, and gives each back at once.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

/// How much the loop may be told that it has not looked at; who tells more has to wait.
const BACKLOG: usize = 256;

fn main() -> ExitCode {
    match Request::parse(std::env::args().skip(1)) {
        Ok(Request::Help) => {
            print!("{}", flags::HELP);
            ExitCode::SUCCESS
        }
        Ok(Request::Version) => {
            println!("linkspan-dhcp {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(Request::Run(flags)) => log::run(&flags.log, || run(&flags)),
        Err(error) => {
            eprintln!("linkspan-dhcp: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> anyhow::Result<()> {
    if !flags.ignored.is_empty() {
        let ignored = flags.ignored.join(", ");
        tracing::warn!("{ignored} mean nothing here: messages are sent again as RFC 2131 says");
    }
    // Before anything else is opened.
    let inherited = linkspan_linux::inherited_listener().context("cannot use systemd's socket")?;
    // A message under way has a socket, and many may be under way at once.
    if let Err(error) = linkspan_linux::allow_all_descriptors() {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(flags, inherited))
}

async fn serve(
    flags: &Flags,
    inherited: Option<std::os::unix::net::UnixListener>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // First of all, so that no two daemons keep the same leases.
    let store = LeaseStore::open(flags.lease_dir.clone())?;
    let (_file, listener) = listen(flags, inherited)?;
    let _pid_file = flags.pid_file.clone().map(PidFile::write).transpose()?;

    let (inputs, told) = mpsc::channel(BACKLOG);
    let counts = Arc::new(Counts::default());
    let mut daemon = Daemon::new(store, Arc::clone(&counts), flags.patience, inputs.clone())
        .context("cannot begin to keep leases")?;
    daemon.resume()?;
    if let Some(address) = flags.metrics_address.clone() {
        let metrics = Metrics { counts, inputs: inputs.clone() };
        tokio::spawn(async move {
            let error = http::serve(address, metrics).await;
            tracing::error!("nobody can ask for metrics: {:#}", anyhow::Error::new(error));
        });
    }
    let asker =
        Asker { inputs, host_prefix: flags.host_prefix.clone(), broadcast: flags.broadcast };
    let outcome = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        outcome = daemon.run(told) => outcome.context("cannot wait for timers"),
        never = conversation::answer(listener, asker) => match never {},
    };
    daemon.end();
    outcome
}

/// Listens where systemd does already, or else on a socket of its own.
fn listen(
    flags: &Flags,
    inherited: Option<std::os::unix::net::UnixListener>,
) -> anyhow::Result<(Option<SocketFile>, UnixListener)> {
    if let Some(listener) = inherited {
        return Ok((None, UnixListener::from_std(listener)?));
    }
    if let Some(folder) = flags.socket.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let (file, listener) = SocketFile::listen(flags.socket.clone())?;
    Ok((Some(file), listener))
}

/// The file with the process ID. Dropping it removes it.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: PathBuf) -> anyhow::Result<Self> {
        fs::write(&path, std::process::id().to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!("cannot remove {}: {error}", self.0.display());
        }
    }
}
