//! One program run to its end, its input given and its output taken within bounds.

use std::io::{self, Read, Write as _};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// How a program ended, and what it has said until then.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    /// The beginning of it; all of it has been passed on.
    pub(super) stderr: Vec<u8>,
}

/// How many bytes a program may write to its standard output.
const STDOUT_LIMIT: u64 = 1 << 20;
/// How many bytes of its standard error are kept for a message.
const STDERR_KEPT: usize = 4096;

/// Runs a program with this standard input. What it writes to standard error goes to this process's own.
pub(super) fn run(command: &mut Command, input: &[u8]) -> io::Result<Ended> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = when_written(|| command.spawn())?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        // A program that does not read all of its input has its reasons.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        let errors = scope.spawn(move || stderr.map(pass_on).unwrap_or_default());
        let output = stdout.map_or(Ok(Vec::new()), read_bounded);
        if output.is_err() {
            // Otherwise it would wait for ever for somebody to read what it writes.
            child.kill()?;
        }
        let status = child.wait()?;
        let stderr = errors.join().unwrap_or_default();
        Ok(Ended { status, stdout: output?, stderr })
    })
}

/// Starts a program, a little later where its file is just being written (`ETXTBSY`): no event tells when it
/// can be started.
pub(super) fn when_written<T>(mut start: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 0..5 {
        match start() {
            Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy => thread::sleep(PAUSE),
            started => return started,
        }
    }
    start()
}

fn read_bounded(stdout: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stdout.take(STDOUT_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > STDOUT_LIMIT {
        return Err(io::Error::other(format!("it has printed more than {STDOUT_LIMIT} bytes")));
    }
    Ok(bytes)
}

/// Copies a program's standard error to our own, and keeps the beginning.
fn pass_on(mut stderr: impl Read) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stderr.read(&mut buffer) {
        let bytes = &buffer[..count];
        // Where nobody listens, the program is still to come to its end.
        let _ = io::stderr().write_all(bytes);
        kept.extend_from_slice(&bytes[..count.min(STDERR_KEPT - kept.len())]);
    }
    kept
}
