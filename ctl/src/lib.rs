//! The operator's command line: what `linkspan VERB` does, for which the plugin starts this program beside it.
//!
//! It is a program of its own so that the start of each pod doesn't have to carry it.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod answer;
mod doctor;
mod gc;
mod install;
mod migrate;
mod networks;
mod peer_state;
mod peers;
mod status;
mod validate;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Linkspan on this node, for people; container runtimes call it as a CNI plugin
#[derive(Debug, Parser)]
#[command(
    name = "linkspan",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

/// What can be done by hand; each verb is a file beside this one.
#[derive(Debug, Subcommand)]
enum Verb {
    Install(install::Install),
    Uninstall(install::Uninstall),
    Doctor(doctor::Doctor),
    Migrate(migrate::Migrate),
    Status(status::Status),
    Gc(gc::Gc),
    Validate(validate::Validate),
}

/// Serves one call; `arguments` begin with the program's name.
#[must_use]
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(said) => {
            // Help and version are such "errors", too. Where nobody reads it, it is still said.
            let _ = said.print();
            return u8::try_from(said.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    match line.verb {
        Verb::Install(install) => install.run(),
        Verb::Uninstall(uninstall) => uninstall.run(),
        Verb::Doctor(doctor) => doctor.run(),
        Verb::Migrate(migrate) => migrate.run(),
        Verb::Status(status) => status.run(),
        Verb::Gc(gc) => gc.run(),
        Verb::Validate(validate) => validate.run(),
    }
}

/// The definition of the command line, from which shell completions and man pages are made.
#[must_use]
pub fn command() -> clap::Command {
    CommandLine::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_sound() {
        super::command().debug_assert();
    }
}
