//! `dist FOLDER BUILT...` writes a release into a folder, from the folders in which its programs were built: an archive
//! for each machine, the bill of materials, and the checksums of all.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use linkspan_release::archive::{Archive, gzip};
use linkspan_release::digest::sha256;
use linkspan_release::program::Built;
use linkspan_release::{command_line, sbom};
use serde_json::Value;

const PROGRAMS: [&str; 4] = ["linkspan", "linkspan-ctl", "linkspan-device-plugin", "linkspan-dhcp"];
/// What else of the repository is in the archives: what an operator reads, and what that leads to.
const TEXTS: [&str; 8] = [
    "ARCHITECTURE.md",
    "LICENSE",
    "README.md",
    "SPECIFICATION.md",
    "bench/results.md",
    "config",
    "docs",
    "hw-tests/README.md",
];
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next();
    let built: Vec<PathBuf> = arguments.collect();
    let Some(folder) = folder.filter(|_| !built.is_empty()) else {
        eprintln!("dist: expected `dist FOLDER BUILT...`");
        return ExitCode::from(2);
    };
    match write(&folder, &built) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let reason = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            eprintln!("dist: {error}{reason}");
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path, built: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let mut files = built.iter().map(|built| archive(built)).collect::<Result<Vec<_>, _>>()?;
    let bill = sbom::bill(&metadata()?, VERSION)
        .map_err(|missing| format!("`cargo metadata` does not tell {missing}"))?;
    files.push((format!("linkspan-{VERSION}.cdx.json"), format!("{bill:#}\n").into_bytes()));
    files.sort();
    let sums: String = files
        .iter()
        .fold(String::new(), |sums, (name, bytes)| sums + &sha256(bytes) + "  " + name + "\n");
    files.push(("SHA256SUMS".to_owned(), sums.into_bytes()));
    fs::create_dir_all(folder)?;
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::write(&path, &bytes)?;
        println!("{}: {} bytes", path.display(), bytes.len());
    }
    Ok(())
}

/// The archive of one machine: the programs, and what an operator needs beside them.
fn archive(built: &Path) -> Result<(String, Vec<u8>), Box<dyn Error>> {
    let built = Built::read(built, &PROGRAMS)?;
    let mut archive = Archive::default();
    let top = format!("linkspan-{VERSION}");
    for (name, program) in &built.programs {
        archive.program(&format!("{top}/bin/{name}"), &program.bytes)?;
    }
    for (path, bytes) in command_line::files()? {
        archive.file(&format!("{top}/{path}"), &bytes)?;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(1).unwrap_or(Path::new("."));
    for text in TEXTS {
        add(&mut archive, root, Path::new(text), &top)?;
    }
    let bytes = gzip(&archive.finish()?)?;
    Ok((format!("{top}-linux-{}.tar.gz", built.machine.name()), bytes))
}

/// Adds a file, or what is in a folder and isn't the source of a crate.
fn add(archive: &mut Archive, root: &Path, path: &Path, top: &str) -> Result<(), Box<dyn Error>> {
    let whole = root.join(path);
    if !whole.is_dir() {
        let name = format!("{top}/{}", path.display());
        return Ok(archive.file(&name, &fs::read(&whole)?)?);
    }
    let mut names = fs::read_dir(&whole)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<Vec<_>, _>>()?;
    names.sort();
    for name in names.iter().filter(|name| ["src", "tests", "Cargo.toml"].iter().all(|s| name != s))
    {
        add(archive, root, &path.join(name), top)?;
    }
    Ok(())
}

/// What cargo knows of the crates, for the machine that all crates are for.
fn metadata() -> Result<Value, Box<dyn Error>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--manifest-path", manifest])
        .args(["--filter-platform", "x86_64-unknown-linux-musl"])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
