//! `launch PROGRAM`: runs a program with its own input and environment, drops its output, and prints how much
//! memory it had at its peak, in KiB. For `bench`.
//!
//! To a program's peak the kernel counts that of the process that started it (`exec_mmap` in `fs/exec.c`), so
//! whoever measures small programs has to be smaller.

use std::process::{Command, ExitCode, Stdio};

use nix::sys::resource::{UsageWho, getrusage};

fn main() -> ExitCode {
    let Some(program) = std::env::args_os().nth(1) else {
        eprintln!("usage: launch PROGRAM");
        return ExitCode::FAILURE;
    };
    let ended = Command::new(program).stdout(Stdio::null()).status();
    match (ended, getrusage(UsageWho::RUSAGE_CHILDREN)) {
        (Ok(status), Ok(usage)) if status.success() => {
            println!("{}", usage.max_rss());
            ExitCode::SUCCESS
        }
        (ended, usage) => {
            eprintln!("launch: {ended:?}, {usage:?}");
            ExitCode::FAILURE
        }
    }
}
