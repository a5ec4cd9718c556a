//! The guest's side of `bed run`: set the NICs up, check them, run the command, leave its status.

mod orders;
mod set_up;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, PipeReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

pub(crate) use self::orders::Orders;
use crate::BED_FAILED;
use crate::boot::exit_code;
use crate::qemu::OUTPUT_PORT;
use crate::report::MARK;

/// Runs in the guest: `bed guest SHARE`, or `bed guest --set-up` by hand in `bed shell`.
pub(crate) fn main(args: &[OsString]) -> Result<u8> {
    let Some(word) = args.first() else { bail!("`bed guest` is run by the bed, in its guest") };
    if word == "--set-up" {
        println!("{}", set_up::set_up()?.join(" "));
        return Ok(0);
    }
    let share = Path::new(word);
    let mut port = open_output_port()?;
    let status = match serve(share, &port) {
        Ok(status) => status,
        Err(error) => {
            writeln!(port, "bed: {error:#}")?;
            BED_FAILED
        }
    };
    fs::write(share.join("status"), status.to_string())?;
    Ok(0)
}

/// Follows the orders and returns the command's status.
fn serve(share: &Path, port: &File) -> Result<u8> {
    let began = Instant::now();
    let orders = Orders::read(share)?;
    mark("set-up");
    let pfs = if orders.nics { set_up::set_up()? } else { Vec::new() };
    writeln!(
        &mut &*port,
        "bed: ready {:.1} s after power-on (set-up {:.1} s)",
        seconds_since_boot(),
        began.elapsed().as_secs_f64()
    )?;
    mark("command");
    let (reader, writer) = io::pipe()?;
    let Some((program, args)) = orders.command.split_first() else { bail!("no command") };
    let mut child = Command::new(program)
        .args(args)
        .current_dir(&orders.folder)
        .envs(orders.environment)
        .env("LINKSPAN_BED", "1")
        .env("LINKSPAN_PFS", pfs.join(","))
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("can't run {program} in the guest"))?;
    let (done, finished) = mpsc::channel();
    let port = port.try_clone()?;
    std::thread::spawn(move || {
        let copied = copy(reader, port);
        // Nobody listens any more if the command has ended and left a daemon behind.
        let _ = done.send(copied);
    });
    let status = child.wait()?;
    // The pipe stays open as long as any process that the command left behind holds it.
    match finished.recv_timeout(Duration::from_secs(2)) {
        Ok(copied) => copied.context("the command's output can't be passed on")?,
        Err(_) => eprintln!("bed: the command left a process behind that holds its output"),
    }
    Ok(exit_code(status))
}

/// Marks the kernel's log where a step begins.
fn mark(step: &str) {
    // The mark is for the reader of the log; without it the log is shown from an earlier step on.
    let _ = fs::write("/dev/kmsg", format!("{MARK}{step}\n"));
}

fn copy(mut from: PipeReader, mut to: File) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..length])?;
    }
}

fn seconds_since_boot() -> f64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split(' ').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0)
}

/// The port that leads to the host's stdout, found by name: there is no udev to name it.
fn open_output_port() -> Result<File> {
    let ports = Path::new("/sys/class/virtio-ports");
    let device: Option<PathBuf> = fs::read_dir(ports)
        .context("the guest has no virtio ports")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|port| {
            fs::read_to_string(port.join("name")).is_ok_and(|name| name.trim() == OUTPUT_PORT)
        });
    let device = device.with_context(|| format!("the guest has no port {OUTPUT_PORT}"))?;
    let device = Path::new("/dev").join(device.file_name().unwrap_or_default());
    File::options()
        .write(true)
        .open(&device)
        .with_context(|| format!("can't open {}", device.display()))
}
