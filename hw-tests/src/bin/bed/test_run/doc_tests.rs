//! The examples in the documentation, which cargo itself compiles and runs.

use std::io::Write;
use std::process::Command;

use anyhow::Result;

use super::program::{cargo, run_between_marks};

/// Runs all of them as one test program.
pub(super) fn run(filters: &[String], out: &mut (impl Write + Send)) -> Result<()> {
    let mut command = Command::new(cargo());
    command.args(["test", "--doc", "--workspace", "--"]).args(filters);
    run_between_marks("documentation", &mut command, out)?;
    Ok(())
}
