//! What a daemon tells over HTTP on a unix socket, and what the kernel tells of it and of a test.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::metrics;
use crate::wait::until;

/// Longer than a daemon takes to start.
const BOUND: Duration = Duration::from_secs(20);

/// An answer's status, its head, and its body; waits for a daemon that is starting.
///
/// # Panics
///
/// If there is none, or metrics are told that no list has.
#[must_use]
pub fn get(socket: &Path, path: &str) -> (u16, String, String) {
    let mut client = until("it serves metrics", BOUND, || UnixStream::connect(socket).ok());
    write!(client, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    if path == "/metrics" {
        metrics::check(body);
    }
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

/// A number of a process's `/proc/PID/status`, such as `VmRSS` in KiB.
///
/// # Panics
///
/// If it is not there.
#[must_use]
pub fn status(process: u32, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

/// How often a process of one thread has waited, or was made to.
#[must_use]
pub fn switches(process: u32) -> u64 {
    status(process, "voluntary_ctxt_switches") + status(process, "nonvoluntary_ctxt_switches")
}

/// How long this thread has run, whatever else runs on this machine.
///
/// # Panics
///
/// If the kernel's clock is before its own start.
#[must_use]
pub fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}
