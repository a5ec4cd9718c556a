//! A trap for a daemon: it is killed as it enters a system call, while it does something that a test has it do.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::daemon::Daemon;
use crate::scrape;
use crate::wait::until;

/// How long strace may take to take hold of a process.
const BOUND: Duration = Duration::from_secs(20);

/// Looks at a daemon in a row that find it idle: longer together than it waits for anything.
const LOOKS: u32 = 8;

/// A trap that is set until it is dropped. Once it is sprung, the daemon is dead.
pub struct Trap {
    strace: Child,
}

impl Trap {
    /// Kills the daemon before the `number`th call of this name, counted in each of its threads from when it has
    /// nothing to do.
    ///
    /// # Panics
    ///
    /// If strace doesn't take hold of it.
    #[must_use]
    pub fn set(daemon: &Daemon, call: &str, number: usize) -> Self {
        let mut seen = (0, 0);
        until("it has nothing to do", BOUND, || {
            let now = scrape::switches(daemon.id());
            seen = if now == seen.0 { (now, seen.1 + 1) } else { (now, 0) };
            (seen.1 > LOOKS).then_some(())
        });
        let (trace, inject) =
            (format!("trace={call}"), format!("inject={call}:signal=KILL:when={number}"));
        let mut command = Command::new("strace");
        command.args(["-f", "-qqq", "-o", "/dev/null", "-e", &trace, "-e", &inject]);
        let process = daemon.id().to_string();
        let mut strace = command
            .args(["-p", &process])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("strace has it", BOUND, || {
            let has_it = scrape::status(daemon.id(), "TracerPid") == u64::from(strace.id());
            // It may have killed it already.
            (has_it || strace.try_wait().unwrap().is_some()).then_some(())
        });
        Self { strace }
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        // The kernel lets go of what it traced. Asked to do so itself, strace may wait for ever for a process that is
        // just dying: for its first thread, which is not gone before strace has asked for all others.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}
