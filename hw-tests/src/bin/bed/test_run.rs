//! `bed test`, behind `make test`: every test of the workspace and of fuzz/, on this machine or in the bed, counted.

mod doc_tests;
mod program;
mod tally;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

pub(crate) use self::program::main as run_programs_in_guest;
use self::program::{Program, run_all};
use self::tally::Tally;
use crate::boot::{self, Job};
use crate::cache::Cache;
use crate::prepare;
use crate::qemu::Extras;
use crate::report::Progress;

/// How long the bed may take to boot and set up, beside the tests' own time.
const BOOT: Duration = Duration::from_mins(3);

/// Builds and runs all tests. Returns 0 if some ran and none failed, else 1.
///
/// `filters` go to every test program, as after `cargo test --`.
pub(crate) fn test(bed: PathBuf, filters: &[String]) -> Result<u8> {
    let progress = Progress::begin();
    progress.say("building all tests");
    let programs = program::build(filters)?;
    let (in_guest, here): (Vec<Program>, Vec<Program>) =
        programs.into_iter().partition(|program| program.in_guest);

    // First, because it installs what the tests on this machine need too.
    let prepared = Cache::locate().and_then(|cache| prepare::prepare(&cache).map(|()| cache));
    let mut transcript = Transcript::default();
    progress.say(&format!("running the tests on this machine, programs: {}", here.len()));
    run_all(&here, &mut transcript)?;
    progress.say("running the tests in the documentation");
    doc_tests::run(filters, &mut transcript)?;
    let mut tally = Tally::of(&transcript.text);
    if !in_guest.is_empty() {
        progress.say(&format!("running the tests in the bed, programs: {}", in_guest.len()));
        tally.add(run_in_bed(bed, &in_guest, prepared)?);
    }
    print!("{tally}");
    Ok(u8::from(!tally.is_success()))
}

/// Runs the programs in one boot of the bed, or says for each why not.
fn run_in_bed(bed: PathBuf, programs: &[Program], prepared: Result<Cache>) -> Result<Tally> {
    let cache = match prepared {
        Ok(cache) => cache,
        Err(error) => {
            let reason = format!("the bed can't be prepared: {error:#}");
            if std::env::var("CI").is_ok_and(|value| value == "true") {
                return Ok(Tally::failure("the bed", &reason));
            }
            return program::skip_all(programs, &reason);
        }
    };
    let orders = serde_json::to_string(programs)?;
    let bound = u32::try_from(programs.len())?;
    let job = Job {
        command: vec![boot::utf8(&bed)?.to_owned(), "programs".to_owned(), orders],
        bed,
        timeout: BOOT + program::BOUND * bound,
        nics: true,
        extras: Extras::default(),
    };
    let mut transcript = Transcript::default();
    let status = boot::run(&cache, &job, &mut transcript);
    let mut tally = Tally::of(&transcript.text);
    match status {
        // 1 is the programs' own failure, which their output tells.
        Ok(0 | 1) => {}
        Ok(status) => {
            tally.add(Tally::failure("the bed", &format!("it ended with status {status}")));
        }
        Err(error) => tally.add(Tally::failure("the bed", &format!("{error:#}"))),
    }
    Ok(tally)
}

/// Passes what is written on to stdout, and keeps it.
#[derive(Default)]
struct Transcript {
    text: String,
}

impl Write for Transcript {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().write_all(bytes)?;
        self.text.push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

/// Reads the arguments of `bed test`: what follows `--` are filters.
pub(crate) fn parse_filters(args: &[std::ffi::OsString]) -> Result<Vec<String>> {
    let mut words = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    let first = words.next();
    ensure!(
        first.as_deref().is_none_or(|word| word == "--"),
        "bed test takes nothing but `-- FILTER...`"
    );
    Ok(words.collect())
}
