//! `bed hardware`: the tests of the bed on this machine's own SR-IOV NICs.
//!
//! It says what it will change, asks, makes the VFs, runs the command, and puts the PFs back: also
//! when it is interrupted or killed, for another process does that part.

mod default_route;
mod plan;

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use self::plan::Plan;
use crate::boot::exit_code;
use crate::own_path;

/// The status when nobody agreed to the changes.
const NOT_AGREED: u8 = 2;

/// Runs `bed hardware [--yes] -- COMMAND...` on the PFs in `LINKSPAN_PFS`.
pub(crate) fn main(args: &[OsString]) -> Result<u8> {
    let (yes, args) = match args.split_first() {
        Some((first, rest)) if first == "--yes" => (true, rest),
        _ => (false, args),
    };
    let command = match args.split_first() {
        Some((dashes, command)) if dashes == "--" => command,
        _ => &[],
    };
    let (program, arguments) = command
        .split_first()
        .context("bed hardware wants a command: cargo bed hardware [--yes] -- COMMAND...")?;
    let plans = plans()?;
    println!("{}", describe(&plans));
    let yes = yes || std::env::var("LINKSPAN_YES").is_ok_and(|value| value == "1");
    if !yes && !agreed()? {
        return Ok(NOT_AGREED);
    }
    let mut restorer = start_restorer(&plans)?;
    let status = run(program, arguments, &plans);
    drop(restorer.stdin.take());
    let put_back = restorer.wait()?;
    let status = status?;
    ensure!(put_back.success(), "not all PFs could be put back as they were; see above");
    Ok(status)
}

fn run(program: &OsStr, arguments: &[OsString], plans: &[Plan]) -> Result<u8> {
    for plan in plans {
        plan.apply()?;
    }
    let status = Command::new(program)
        .args(arguments)
        .env_remove("LINKSPAN_BED")
        .status()
        .with_context(|| format!("can't run {}", program.display()))?;
    Ok(exit_code(status))
}

fn plans() -> Result<Vec<Plan>> {
    let names = std::env::var("LINKSPAN_PFS").unwrap_or_default();
    let names: Vec<&str> =
        names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    ensure!(
        !names.is_empty(),
        "LINKSPAN_PFS names the PFs that the tests may use, such as LINKSPAN_PFS=ens1f0,ens1f1: \
         set it (two PFs on one switch show most)"
    );
    ensure!(rustix::process::geteuid().is_root(), "making VFs takes root: run it by sudo");
    names.into_iter().map(Plan::of).collect()
}

/// What will be changed, for a person to judge.
fn describe(plans: &[Plan]) -> String {
    let pfs: Vec<String> = plans.iter().map(|plan| format!("  {plan}\n")).collect();
    format!(
        "The tests will use these PFs of THIS machine, and put them back afterwards:\n{}\
         The PFs are set down and up again, and their VFs removed and made anew; the second PF\n\
         gets other MTUs, and is taken from the PCI bus and found there again.\n\
         Their VFs are given other names, MAC addresses, MTUs, VLANs, rates, spoof checks and\n\
         trust, are moved into network namespaces and back, and some are bound to vfio-pci.\n\
         Frames of the tests appear on the network that the PFs are connected to.",
        pfs.concat()
    )
}

/// Asks on the terminal; without one nobody can agree.
fn agreed() -> Result<bool> {
    if !io::stdin().is_terminal() {
        eprintln!("bed: nobody to ask here: agree by --yes or LINKSPAN_YES=1");
        return Ok(false);
    }
    print!("Go on? (yes/no) ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// Starts the process that puts the PFs back when its stdin ends: by our doing, or by our death. It
/// is in a process group of its own, so that ctrl-c spares it.
fn start_restorer(plans: &[Plan]) -> Result<Child> {
    let mut child = Command::new(own_path()?)
        .arg("restore")
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .context("can't start the process that puts the PFs back")?;
    let stdin = child.stdin.as_mut().context("the process has no stdin")?;
    writeln!(stdin, "{}", serde_json::to_string(plans)?)?;
    Ok(child)
}

/// The other process: reads the plans, waits for the end of stdin, and undoes them.
pub(crate) fn restore() -> Result<u8> {
    let mut stdin = io::stdin().lock();
    let mut line = String::new();
    stdin.read_line(&mut line)?;
    let plans: Vec<Plan> = serde_json::from_str(&line)?;
    io::copy(&mut stdin.by_ref(), &mut io::sink())?;
    let mut status = 0;
    for plan in &plans {
        if let Err(error) = plan.undo() {
            eprintln!("bed: {error:#}");
            status = 1;
        }
    }
    Ok(status)
}
