//! Checks the release programs in the folders that it is given: static, and as small as `SPECIFICATION.md`
//! promises.

use std::env;
use std::path::Path;
use std::process::ExitCode;

use linkspan_release::program::Program;

/// The programs, and how many bytes each may have.
const LIMITS: [(&str, u64); 2] = [("linkspan", 2_500_000), ("linkspan-device-plugin", 8_000_000)];

fn main() -> ExitCode {
    let folders: Vec<_> = env::args_os().skip(1).collect();
    let mut sound = !folders.is_empty();
    for folder in &folders {
        for (name, limit) in LIMITS {
            let path = Path::new(folder).join(name);
            match check(&path, limit) {
                Ok(size) => println!("{}: static, {size} bytes of at most {limit}", path.display()),
                Err(reason) => {
                    eprintln!("{reason}");
                    sound = false;
                }
            }
        }
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(path: &Path, limit: u64) -> Result<usize, String> {
    let program = Program::read(path).map_err(|error| error.to_string())?;
    let size = program.bytes.len();
    if size as u64 > limit {
        return Err(format!("{} has {size} bytes, expected at most {limit}", path.display()));
    }
    Ok(size)
}
