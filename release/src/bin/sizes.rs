//! Checks the release programs in the folders that it is given: static, as small as `SPECIFICATION.md` promises,
//! and at another address with each start or not.

use std::env;
use std::path::Path;
use std::process::ExitCode;

use linkspan_release::program::{Machine, Program};

/// What is promised of a program.
struct Promise {
    name: &'static str,
    /// In bytes.
    size: u64,
    /// Whether each of its starts is at another address, where Rust makes such static programs: not for aarch64. That
    /// costs a short call a part of its time that shows.
    relocates: bool,
}

const PROMISES: [Promise; 4] = [
    Promise { name: "linkspan", size: 2_500_000, relocates: false },
    Promise { name: "linkspan-ctl", size: 2_500_000, relocates: true },
    Promise { name: "linkspan-device-plugin", size: 8_000_000, relocates: true },
    Promise { name: "linkspan-dhcp", size: 2_500_000, relocates: true },
];

fn main() -> ExitCode {
    let folders: Vec<_> = env::args_os().skip(1).collect();
    let mut sound = !folders.is_empty();
    for folder in &folders {
        for promise in PROMISES {
            let path = Path::new(folder).join(promise.name);
            match check(&path, &promise) {
                Ok(size) => {
                    println!(
                        "{}: static, {size} bytes of at most {}",
                        path.display(),
                        promise.size
                    );
                }
                Err(reason) => {
                    eprintln!("{reason}");
                    sound = false;
                }
            }
        }
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(path: &Path, promise: &Promise) -> Result<usize, String> {
    let program = Program::read(path).map_err(|error| error.to_string())?;
    let size = program.bytes.len();
    if size as u64 > promise.size {
        return Err(format!(
            "{} has {size} bytes, expected at most {}",
            path.display(),
            promise.size
        ));
    }
    let relocates = promise.relocates && program.machine == Machine::Amd64;
    if program.relocates != relocates {
        let (is, expected) =
            if relocates { ("a fixed", "another") } else { ("another", "a fixed") };
        let path = path.display();
        return Err(format!(
            "{path} starts at {is} address, expected {expected} one: run `make release`"
        ));
    }
    Ok(size)
}
