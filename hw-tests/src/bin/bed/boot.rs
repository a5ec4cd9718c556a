//! One boot of the bed: start it, pass its output on, bring its status home, and end it for certain.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use crate::cache::Cache;
use crate::guest::Orders;
use crate::kvm;
use crate::prepare::{Prepared, prepared};
use crate::qemu::{Errand, Machine, arguments};
use crate::report::{Progress, show_kernel_log};

/// The status of `timeout` when it ended its command at the bound.
pub(crate) const TIMED_OUT: u8 = 124;

/// One command for the guest.
pub(crate) struct Job {
    pub(crate) command: Vec<String>,
    /// How long boot, set-up and command may take together.
    pub(crate) timeout: Duration,
    pub(crate) nics: bool,
}

/// Boots the bed, runs the job in it, and returns the command's status.
pub(crate) fn run(cache: &Cache, job: &Job) -> Result<u8> {
    let progress = Progress::begin();
    let bed = prepared(cache)?;
    let kvm = kvm::works(cache, &bed, &progress)?;
    progress.say(&format!(
        "booting Linux {} ({}), at most {} s",
        bed.kernel_release,
        if kvm { "KVM" } else { "no usable KVM: the CPU is emulated" },
        job.timeout.as_secs()
    ));
    let run = RunFolder::create(cache)?;
    let tree = std::env::current_dir()?;
    Orders::from_here(job)?.write(&run.share())?;
    let machine =
        Machine { vmlinuz: &bed.vmlinuz, kvm, nics: job.nics, overlays: vec![tree.as_path()] };
    let own = std::env::current_exe()?;
    let command = format!("{} guest {}", quoted(&own)?, quoted(&run.share())?);
    let ended = boot(&bed, &machine, &run, command, job.timeout)?;
    let status = fs::read_to_string(run.share().join("status")).ok();
    let status = status.and_then(|text| text.trim().parse::<u8>().ok());
    match status {
        Some(0) => {}
        Some(status) => {
            progress.say(&format!("the command ended with status {status}"));
            show_kernel_log(&run.console(), true);
        }
        None => show_kernel_log(&run.console(), false),
    }
    match (status, ended) {
        (Some(status), _) => Ok(status),
        (None, TIMED_OUT) => {
            let bound = job.timeout.as_secs();
            progress.say(&format!("the guest was ended: it had not finished after {bound} s"));
            Ok(TIMED_OUT)
        }
        (None, ended) => bail!(
            "the guest ended without a word (QEMU's status: {ended}); the kernel log above, or \
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
    let machine = Machine { vmlinuz: &bed.vmlinuz, kvm, nics: true, overlays: vec![&tree] };
    eprintln!("bed: in the guest, `cargo bed guest --set-up` makes the VFs; ctrl-d ends it");
    let status = Command::new(&bed.virtme_run).args(arguments(&machine, None)).status()?;
    Ok(exit_code(status))
}

/// Boots the machine for one shell command, and waits until it is off. What the guest writes to its
/// output port appears on stdout as it is written. Returns the status of QEMU's wrapper.
///
/// `timeout` ends the whole process group at the bound; and, since it gets a signal itself when
/// this process dies, also when this process is killed.
pub(crate) fn boot(
    bed: &Prepared,
    machine: &Machine,
    run: &RunFolder,
    command: String,
    bound: Duration,
) -> Result<u8> {
    let (output, share) = (run.output(), run.share());
    let errand = Errand { command, share: &share, output: &output };
    let console = File::create(run.console())?;
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "--", "timeout", "--kill-after=5"])
        .arg(bound.as_secs().to_string())
        .arg(&bed.virtme_run)
        .args(arguments(machine, Some(&errand)))
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console)
        .spawn()
        .context("can't run setpriv (package util-linux)")?;
    let pipe = output.clone();
    let reader = std::thread::spawn(move || pass_on(&pipe));
    let status = child.wait()?;
    // A machine that never started never opened the pipe, and the reader waits for that.
    drop(
        File::options()
            .write(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(&output),
    );
    match reader.join() {
        Ok(result) => result.context("the guest's output can't be passed on")?,
        Err(_) => bail!("the thread that passes on the guest's output panicked"),
    }
    Ok(exit_code(status))
}

/// Copies the pipe to stdout until its writer, QEMU, is gone.
fn pass_on(pipe: &Path) -> io::Result<()> {
    let mut pipe = File::open(pipe)?;
    let mut stdout = io::stdout().lock();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = pipe.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        stdout.write_all(&buffer[..length])?;
        stdout.flush()?;
    }
}

/// The status as a shell would tell it.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// A word for the guest's shell.
fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

/// The files of one run; they go when the run ends.
pub(crate) struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    pub(crate) fn create(cache: &Cache) -> Result<Self> {
        let path = cache.path("runs").join(std::process::id().to_string());
        // A process of the same number, killed, may have left its own behind.
        let _ = fs::remove_dir_all(&path);
        let run = Self { path };
        fs::create_dir_all(run.share())?;
        mknodat(CWD, run.output(), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        Ok(run)
    }

    pub(crate) fn share(&self) -> PathBuf {
        self.path.join("share")
    }

    fn output(&self) -> PathBuf {
        self.path.join("output")
    }

    pub(crate) fn console(&self) -> PathBuf {
        self.path.join("console.log")
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
