//! `e2e`: Linkspan in a real Kubernetes node, with real pods.
//!
//! etcd, API server (with RBAC), controller-manager and scheduler run on this machine; kubelet and containerd in the
//! bed's guest, beside its SR-IOV NICs. `make e2e` runs all scenarios; `e2e WORD...` those whose name has one of
//! the words. Every scenario leaves the node as it found it, and that is part of the scenario.

mod agent;
mod cluster;
mod daemon;
mod folder;
mod images;
mod kubectl;
mod machine;
mod networks;
mod node;
mod node_config;
mod pods;
mod product;
mod scenarios;
mod wait;

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::cluster::Cluster;
use crate::scenarios::Scenario;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let done = match args.as_slice() {
        // The driver calls itself, in the guest.
        [verb, folder] if verb == "node" => node::main(Path::new(folder)).map(|()| true),
        filters => run(filters),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("e2e: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the scenarios that the filters choose; returns whether all passed.
fn run(filters: &[OsString]) -> Result<bool> {
    let chosen: Vec<&Scenario> = scenarios::ALL
        .iter()
        .copied()
        .flatten()
        .filter(|scenario| chooses(filters, scenario.name))
        .collect();
    ensure!(!chosen.is_empty(), "no scenario's name has one of these words");
    // A `make` that is killed takes it along, and its daemons with it.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    let began = Instant::now();
    let say = |what: &str| println!("{:>6.1} s  {what}", began.elapsed().as_secs_f64());
    say("looking for the programs of a node");
    let node = prepared_node()?;
    say("starting the control plane here, and booting the node in its VM");
    let mut cluster = Cluster::start(&node)?;
    say("installing Linkspan on the node");
    if let Err(error) = cluster.await_node().and_then(|()| product::install(&cluster)) {
        cluster.tell_why();
        return Err(error);
    }
    say("the node offers its VFs");
    let (mut passed, mut failed) = (0, 0);
    for scenario in &chosen {
        let began = Instant::now();
        let outcome = scenarios::run(scenario, &mut cluster);
        let seconds = began.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => {
                passed += 1;
                println!("ok   {seconds:>6.1} s  {}", scenario.name);
            }
            Err(error) => {
                failed += 1;
                println!("FAIL {seconds:>6.1} s  {}\n     {error:#}", scenario.name);
                cluster.tell_why();
                if let Err(error) = cluster.start_anew() {
                    println!("the node does not come back: {error:#}");
                    break;
                }
            }
        }
    }
    say("done");
    let skipped = chosen.len() - passed - failed;
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed + skipped == 0)
}

fn chooses(filters: &[OsString], name: &str) -> bool {
    filters.is_empty() || filters.iter().any(|word| name.contains(&*word.to_string_lossy()))
}

/// The folder with the programs of a node, which `bed` keeps in its cache.
fn prepared_node() -> Result<std::path::PathBuf> {
    let output = Command::new(machine::bed()?)
        .args(["prepare", "--node"])
        .stderr(Stdio::inherit())
        .output()
        .context("can't run bed: build it by `cargo build --package linkspan-hw-tests --bins`")?;
    let text = String::from_utf8(output.stdout)?;
    let Some(folder) = text.lines().last().filter(|_| output.status.success()) else {
        bail!("the node can't be prepared: what `bed prepare --node` says is above");
    };
    Ok(folder.into())
}
