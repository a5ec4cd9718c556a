//! Checks the release programs in the folders that it is given: static, and as small as `SPECIFICATION.md`
//! promises.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

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
                    eprintln!("{}: {reason}", path.display());
                    sound = false;
                }
            }
        }
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(path: &Path, limit: u64) -> Result<usize, String> {
    let program = fs::read(path).map_err(|e| format!("{e}: run `make release`"))?;
    if program.len() as u64 > limit {
        return Err(format!("{} bytes, expected at most {limit}", program.len()));
    }
    match has_interpreter(&program) {
        None => Err("this is no ELF program of 64 bits".to_owned()),
        Some(true) => Err("it needs a dynamic linker, expected a static program".to_owned()),
        Some(false) => Ok(program.len()),
    }
}

/// Whether a program header of type `PT_INTERP` names a dynamic linker (System V ABI, "Program Header");
/// none where it is no little-endian ELF file of 64 bits.
fn has_interpreter(program: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let u16_at = |at: usize| Some(u16::from_le_bytes(program.get(at..at + 2)?.try_into().ok()?));
    let table = u64::from_le_bytes(program.get(32..40)?.try_into().ok()?);
    let (table, size) = (usize::try_from(table).ok()?, usize::from(u16_at(54)?));
    for header in 0..usize::from(u16_at(56)?) {
        let at = table.checked_add(header.checked_mul(size)?)?;
        let kind = u32::from_le_bytes(program.get(at..at.checked_add(4)?)?.try_into().ok()?);
        if kind == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
}
