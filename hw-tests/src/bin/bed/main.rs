//! `bed`: a machine with SR-IOV NICs that anyone can boot.
//!
//! It prepares a virtual machine whose NICs QEMU emulates (Intel 82576, driver `igb`), boots it on
//! this machine's own files, and runs commands and tests in it. `cargo bed help` lists the verbs.

mod apt;
mod boot;
mod cache;
mod guest;
mod hardware;
mod kvm;
mod pci;
mod prepare;
mod qemu;
mod report;
mod sources;
mod test_run;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::boot::Job;
use crate::cache::Cache;
use crate::qemu::{Disk, Extras};

const USAGE: &str = "\
usage: cargo bed VERB

  prepare                 install what the bed needs, and build the guest's kernel modules;
                          needs root on Debian 12 or 13; quick when there is nothing to do
  prepare --node          what `make e2e` needs besides: containerd, etcd, Kubernetes (built by Go);
                          prints the folder that has them
  run [OPTIONS] -- COMMAND...
                          boot the bed, run COMMAND in it, and end with its status
                          (124: not done within the bound, default 600; 125: the bed failed)
      --timeout SECONDS   the bound
      --no-nics           without PFs
      --disk FILE, --read-only-disk FILE
                          a disk more, which the guest may mount by its file system's label
      --forward PORT      this port of 127.0.0.1 leads to the same port of the guest
  shell                   an interactive shell in the bed
  test [-- FILTER...]     all tests of the workspace, here and in the bed, counted
  hardware [--yes] -- COMMAND...
                          run COMMAND on this machine, with VFs made on the PFs in LINKSPAN_PFS;
                          says what it changes, asks before (2: not agreed), and puts all back

The bed is cached in $LINKSPAN_BED_CACHE, $XDG_CACHE_HOME/linkspan-bed or ~/.cache/linkspan-bed.";

/// The status of `bed run` when the bed itself failed: the command never ran, or was lost.
const BED_FAILED: u8 = 125;

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let verb = if args.is_empty() { OsString::new() } else { args.remove(0) };
    match perform(&verb.to_string_lossy(), &args) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("bed: {error:#}");
            ExitCode::from(BED_FAILED)
        }
    }
}

fn perform(verb: &str, args: &[OsString]) -> Result<u8> {
    match verb {
        "prepare" => prepare_all(args).map(|()| 0),
        "run" => {
            let job = parse_job(args)?;
            boot::run(&Cache::locate()?, &job, &mut io::stdout())
        }
        "shell" => boot::shell(&Cache::locate()?),
        "test" => test_run::test(own_path()?, &test_run::parse_filters(args)?),
        "hardware" => hardware::main(args),
        // These are not for a person: `bed` calls itself, the last two in the guest.
        "restore" => hardware::restore(),
        "guest" => guest::main(args),
        "programs" => test_run::run_programs_in_guest(args),
        "" | "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(0)
        }
        _ => bail!("{verb:?} is not a verb\n{USAGE}"),
    }
}

fn prepare_all(args: &[OsString]) -> Result<()> {
    let cache = Cache::locate()?;
    let node = match args {
        [] => false,
        [flag] if flag == "--node" => true,
        _ => bail!("bed prepare takes --node and nothing else"),
    };
    prepare::prepare(&cache)?;
    if node {
        println!("{}", prepare::prepare_node(&cache)?.display());
    }
    Ok(())
}

/// Reads the arguments of `bed run`.
fn parse_job(args: &[OsString]) -> Result<Job> {
    let mut job = Job {
        bed: own_path()?,
        command: Vec::new(),
        timeout: Duration::from_mins(10),
        nics: true,
        extras: Extras::default(),
    };
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.to_str() {
            Some("--no-nics") => job.nics = false,
            Some(flag @ ("--disk" | "--read-only-disk")) => {
                let image = rest.next().with_context(|| format!("{flag} wants a file"))?.into();
                job.extras.disks.push(Disk { image, writable: flag == "--disk" });
            }
            Some("--forward") => {
                let port = rest.next().and_then(|value| value.to_str()?.parse().ok());
                job.extras.forwards.push(port.context("--forward wants a port's number")?);
            }
            Some("--timeout") => {
                let seconds = rest
                    .next()
                    .and_then(|value| value.to_str()?.parse().ok())
                    .filter(|&seconds| seconds > 0)
                    .context("--timeout wants a number of seconds, such as --timeout 300")?;
                job.timeout = Duration::from_secs(seconds);
            }
            Some("--") => {
                for word in rest.by_ref() {
                    let word = word
                        .to_str()
                        .with_context(|| format!("the argument {} is not UTF-8", word.display()))?;
                    job.command.push(word.to_owned());
                }
            }
            _ => bail!("bed run does not know {}: the command follows after `--`", arg.display()),
        }
    }
    if job.command.is_empty() {
        bail!("bed run wants a command: cargo bed run -- COMMAND...");
    }
    Ok(job)
}

/// Where this program is. Asked before a build, which puts a newer one there.
fn own_path() -> Result<PathBuf> {
    std::env::current_exe().context("can't tell where this program is")
}
