//! One boot of the bed: start it, pass its output on, bring its status home, and end it for certain.

use std::fs;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::BED_FAILED;
use crate::cache::Cache;
use crate::guest::Orders;
use crate::kvm;
use crate::prepare::{Prepared, prepared};
use crate::qemu::{Errand, Extras, Machine, arguments};
use crate::report::{Progress, show_kernel_log};

/// The status of `timeout` when it ended its command at the bound.
pub(crate) const TIMED_OUT: u8 = 124;

/// One command for the guest.
pub(crate) struct Job {
    /// This program, as the guest finds it.
    pub(crate) bed: PathBuf,
    pub(crate) command: Vec<String>,
    /// How long boot, set-up and command may take together.
    pub(crate) timeout: Duration,
    pub(crate) nics: bool,
    pub(crate) extras: Extras,
}

/// Boots the bed, runs the job in it, writes its output to `out` as it comes, and returns the
/// command's status.
pub(crate) fn run(cache: &Cache, job: &Job, out: &mut (impl Write + Send)) -> Result<u8> {
    let progress = Progress::begin();
    let bed = prepared(cache)?;
    let kvm = kvm::works(cache, &bed, &progress)?;
    progress.say(&format!(
        "booting Linux {} ({}); it is ready in about 20 s, and ended after {} s",
        bed.kernel_release,
        if kvm { "KVM" } else { "no usable KVM: the CPU is emulated" },
        job.timeout.as_secs()
    ));
    let run = RunFolder::create(cache)?;
    let tree = std::env::current_dir()?;
    Orders::from_here(job)?.write(run.share())?;
    let machine = Machine {
        vmlinuz: &bed.vmlinuz,
        kvm,
        nics: job.nics,
        overlays: vec![tree.as_path()],
        extras: job.extras.clone(),
    };
    let command = format!("{} guest {}", quoted(&job.bed)?, quoted(run.share())?);
    let ended = boot(&bed, &machine, &run, command, job.timeout, out)?;
    let status = fs::read_to_string(run.share().join("status")).ok();
    let status = status.and_then(|text| text.trim().parse::<u8>().ok());
    match status {
        Some(0) => {}
        Some(status) => {
            progress.say(&match status {
                BED_FAILED => "the bed did not come as far as the command's end".to_owned(),
                _ => format!("the command ended with status {status}"),
            });
            show_kernel_log(&ended.console, true);
        }
        None => show_kernel_log(&ended.console, false),
    }
    match (status, ended.status) {
        (Some(status), _) => Ok(status),
        (None, TIMED_OUT) => {
            let bound = job.timeout.as_secs();
            progress.say(&format!("the guest was ended: it had not finished after {bound} s"));
            Ok(TIMED_OUT)
        }
        (None, status) => bail!(
            "the guest ended without a word (QEMU's status: {status}); the kernel log above, or \
             QEMU's message in it, should say why"
        ),
    }
}

/// An interactive shell in the bed, on this terminal.
pub(crate) fn shell(cache: &Cache) -> Result<u8> {
    let progress = Progress::begin();
    let bed = prepared(cache)?;
    let kvm = kvm::works(cache, &bed, &progress)?;
    let tree = std::env::current_dir()?;
    let machine = Machine {
        vmlinuz: &bed.vmlinuz,
        kvm,
        nics: true,
        overlays: vec![&tree],
        extras: Extras::default(),
    };
    let own = crate::own_path()?;
    eprintln!(
        "bed: in the guest, `{} guest --set-up` makes the VFs; ctrl-d ends it",
        own.display()
    );
    let status = Command::new(&bed.virtme_run).args(arguments(&machine, None)).status()?;
    Ok(exit_code(status))
}

/// How a boot ended.
pub(crate) struct Ended {
    /// The status of QEMU's wrapper, which tells nothing of the guest's command.
    status: u8,
    /// The kernel's log, and what QEMU said.
    console: String,
}

/// Boots the machine for one shell command, and waits until it is off. What the guest writes to its
/// output port is passed on to `out` as it comes.
///
/// `timeout` ends the whole process group at the bound; and, since it gets a signal itself when
/// this process dies, also when this process is killed.
pub(crate) fn boot(
    bed: &Prepared,
    machine: &Machine,
    run: &RunFolder,
    command: String,
    bound: Duration,
    out: &mut (impl Write + Send),
) -> Result<Ended> {
    // QEMU opens this pipe once more, by the path that it has below /proc.
    let (output, output_writer) = io::pipe()?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), output_writer.as_raw_fd());
    let errand = Errand { command, share: run.share(), output: Path::new(&path) };
    // A pipe, because QEMU opens its stderr once more for the console: of a file, the two would
    // overwrite each other's part.
    let (console, writer) = io::pipe()?;
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "--", "timeout", "--kill-after=5"])
        .arg(bound.as_secs().to_string())
        .arg(&bed.virtme_run)
        .args(arguments(machine, Some(&errand)))
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .context("can't run setpriv (package util-linux)")?;
    std::thread::scope(|scope| {
        let passed_on = scope.spawn(|| pass_on(output, out));
        let log = scope.spawn(|| read_console(console));
        let status = child.wait()?;
        // Now the reader sees the end of the pipe, QEMU's own end being closed already.
        drop(output_writer);
        joined(passed_on)?.context("the guest's output can't be passed on")?;
        let console = joined(log)?.context("the guest's kernel log can't be read")?;
        Ok(Ended { status: exit_code(status), console })
    })
}

fn joined<T>(thread: ScopedJoinHandle<T>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread that reads from the guest panicked"))
}

fn read_console(mut pipe: PipeReader) -> io::Result<String> {
    let mut text = Vec::new();
    pipe.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).replace('\r', ""))
}

/// Copies the pipe until its writers are gone.
fn pass_on(mut pipe: PipeReader, out: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = pipe.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        out.write_all(&buffer[..length])?;
        out.flush()?;
    }
}

/// The status as a shell would tell it.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// A word for the guest's shell.
fn quoted(path: &Path) -> Result<String> {
    Ok(format!("'{}'", utf8(path)?.replace('\'', r"'\''")))
}

pub(crate) fn utf8(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("the path {} is not UTF-8", path.display()))
}

/// The folder that host and guest share in one run; it goes when the run ends.
pub(crate) struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    pub(crate) fn create(cache: &Cache) -> Result<Self> {
        let runs = cache.path("runs");
        remove_stale(&runs);
        let run = Self { path: runs.join(std::process::id().to_string()) };
        fs::create_dir_all(&run.path)?;
        Ok(run)
    }

    pub(crate) fn share(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // What stays is removed by the next run.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what killed processes left behind: folders are named after the process.
fn remove_stale(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let alive = Path::new("/proc").join(entry.file_name()).exists();
        if !alive || entry.file_name() == std::process::id().to_string().as_str() {
            // What can't be removed costs a few bytes, and no run.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
