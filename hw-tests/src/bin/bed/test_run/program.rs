//! Test programs: built by cargo, run one after the other, here or in the guest.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tally::{self, Tally};
use crate::boot::exit_code;

/// How long one test program may take. Under emulation, a test with pods takes some seconds.
pub(super) const BOUND: Duration = Duration::from_mins(10);

/// One executable full of tests.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Program {
    /// Such as `linkspan-hw-tests test vf`.
    pub(super) name: String,
    executable: PathBuf,
    /// The folder of its package, in which cargo runs tests.
    folder: PathBuf,
    /// Whether its package lists it under `[package.metadata.bed] guest`.
    pub(super) in_guest: bool,
    filters: Vec<String>,
}

/// In the guest: runs the programs that the host's `bed test` asks for.
pub(crate) fn main(args: &[OsString]) -> Result<u8> {
    let [programs] = args else { bail!("`bed programs` is run by `bed test`, in the guest") };
    let programs: Vec<Program> = serde_json::from_str(&programs.to_string_lossy())?;
    Ok(u8::from(!run_all(&programs, &mut io::stdout())?))
}

/// Runs the programs one after the other; returns whether all succeeded.
pub(super) fn run_all(programs: &[Program], out: &mut (impl Write + Send)) -> Result<bool> {
    let mut success = true;
    for program in programs {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM", "--", "timeout", "--kill-after=5"])
            .arg(BOUND.as_secs().to_string())
            .arg(&program.executable)
            .args(&program.filters)
            .current_dir(&program.folder)
            .env("CARGO_MANIFEST_DIR", &program.folder);
        if !program.in_guest {
            // Real NICs are touched by `bed hardware` only, which asks before.
            command.env_remove("LINKSPAN_PFS").env_remove("LINKSPAN_BED");
            // The programs are built; a test need not see to that again.
            command.env_remove("CARGO");
        }
        success &= run_between_marks(&program.name, &mut command, out)? == 0;
    }
    Ok(success)
}

/// Runs one command, its output between two lines that name it; returns its status.
pub(super) fn run_between_marks(
    name: &str,
    command: &mut Command,
    out: &mut (impl Write + Send),
) -> Result<u8> {
    writeln!(out, "{}{name}", tally::BEGINS)?;
    out.flush()?;
    let began = Instant::now();
    let (mut reader, writer) = io::pipe()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("can't run {name}"))?;
    // The command keeps the pipe's writing end open, and with it the reader waiting.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut buffer = vec![0; 1 << 16];
    let mut last = b'\n';
    loop {
        let length = reader.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        out.write_all(&buffer[..length])?;
        out.flush()?;
        last = buffer[length - 1];
    }
    let status = exit_code(child.wait()?);
    let line_end = if last == b'\n' { "" } else { "\n" };
    let seconds = began.elapsed().as_secs_f64();
    writeln!(out, "{line_end}{}{name}, status {status}, {seconds:.1} s", tally::ENDED)?;
    out.flush()?;
    Ok(status)
}

/// Counts the tests of programs that can't run, each as skipped for the same reason.
pub(super) fn skip_all(programs: &[Program], reason: &str) -> Result<Tally> {
    let mut tally = Tally::default();
    for program in programs {
        let output = Command::new(&program.executable)
            .arg("--list")
            .args(&program.filters)
            .output()
            .with_context(|| format!("can't run {}", program.executable.display()))?;
        let listed = String::from_utf8_lossy(&output.stdout).into_owned();
        for name in listed.lines().filter_map(|line| line.strip_suffix(": test")) {
            tally.skip(name, reason);
        }
    }
    Ok(tally)
}

pub(super) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Builds all programs of the workspace, which the tests run, and all test programs: its own, and those of the
/// fuzz targets, which are a workspace of their own.
pub(super) fn build(filters: &[String]) -> Result<Vec<Program>> {
    let metadata = output_of(&["metadata", "--no-deps", "--format-version=1"])?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let guests = guest_targets(&metadata);
    let root = metadata["workspace_root"].as_str().context("cargo names no workspace")?;
    let fuzz = format!("--manifest-path={root}/fuzz/Cargo.toml");
    output_of(&["build", "--workspace", "--bins"])?;
    let mut programs = Vec::new();
    for of in [&["--workspace"][..], &["--locked", &fuzz]] {
        let to_build = ["test", "--no-run", "--message-format=json-render-diagnostics"];
        let messages = output_of(&[&to_build[..], of].concat())?;
        let built = programs.len();
        for line in messages.lines().filter(|line| line.starts_with('{')) {
            programs.extend(from_message(&serde_json::from_str(line)?, &guests, filters));
        }
        ensure!(programs.len() > built, "cargo built no tests with {}", of.join(" "));
    }
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(programs)
}

fn output_of(args: &[&str]) -> Result<String> {
    let output = Command::new(cargo())
        .args(args)
        .stderr(Stdio::inherit())
        .output()
        .context("can't run cargo")?;
    ensure!(output.status.success(), "cargo {} failed: {}", args[0], output.status);
    String::from_utf8(output.stdout).context("cargo's output is not UTF-8")
}

/// Per manifest, the test targets that need the guest.
fn guest_targets(metadata: &Value) -> BTreeMap<String, Vec<String>> {
    let strings = |value: &Value| -> Vec<String> {
        let all = value.as_array().into_iter().flatten();
        all.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter_map(|package| {
            let manifest = package["manifest_path"].as_str()?.to_owned();
            Some((manifest, strings(&package["metadata"]["bed"]["guest"])))
        })
        .collect()
}

/// The test program that a message of cargo's tells of, if it does.
fn from_message(
    message: &Value,
    guests: &BTreeMap<String, Vec<String>>,
    filters: &[String],
) -> Option<Program> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let executable = PathBuf::from(message["executable"].as_str()?);
    let manifest = message["manifest_path"].as_str()?;
    let folder = Path::new(manifest).parent()?.to_owned();
    let target = message["target"]["name"].as_str()?;
    let kind = message["target"]["kind"][0].as_str()?;
    let package = folder.file_name()?.to_str()?;
    let listed = guests.get(manifest).is_some_and(|names| names.iter().any(|name| name == target));
    Some(Program {
        name: format!("{package} {kind} {target}"),
        executable,
        in_guest: kind == "test" && listed,
        filters: filters.to_vec(),
        folder,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;

    fn artifact(kind: &str, name: &str, test: bool) -> Value {
        json!({
            "reason": "compiler-artifact",
            "manifest_path": "/src/hw-tests/Cargo.toml",
            "target": { "kind": [kind], "name": name },
            "profile": { "test": test },
            "executable": "/src/target/debug/deps/x-1",
        })
    }

    #[test]
    fn the_guests_programs_are_those_that_their_package_lists() {
        let guests = guest_targets(&json!({ "packages": [
            { "manifest_path": "/src/hw-tests/Cargo.toml", "metadata": { "bed": { "guest": ["vf"] } } },
            { "manifest_path": "/src/linux/Cargo.toml", "metadata": null },
        ] }));
        let program = from_message(&artifact("test", "vf", true), &guests, &[]).unwrap();
        assert_eq!(program.name, "hw-tests test vf");
        assert!(program.in_guest);
        let here = from_message(&artifact("test", "other", true), &guests, &[]).unwrap();
        assert!(!here.in_guest);
        assert_eq!(from_message(&artifact("bin", "bed", false), &guests, &[]), None);
    }

    #[test]
    fn the_output_stands_between_the_marks() {
        let mut out = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; printf two >&2; exit 3"]);
        assert_eq!(run_between_marks("a b", &mut command, &mut out).unwrap(), 3);
        let text = String::from_utf8(out).unwrap();
        let (begin, rest) = text.split_once('\n').unwrap();
        assert_eq!(begin, format!("{}a b", tally::BEGINS));
        assert!(rest.starts_with("one\ntwo\n"), "{rest}");
        assert!(rest.contains(&format!("{}a b, status 3, ", tally::ENDED)), "{rest}");
    }
}
