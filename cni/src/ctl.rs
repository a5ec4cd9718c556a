//! The operator's command line: what `linkspan` does where no container runtime calls it.

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

use crate::spec::Version;

/// A CNI plugin, which a container runtime calls; what follows is for people
#[derive(Debug, Parser)]
#[command(name = "linkspan", version, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// What can be done by hand; each verb is a file below `ctl/`.
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
        // As other plugins do, and those who ask them for their version expect.
        None => {
            eprint!("{}", about());
            ExitCode::SUCCESS
        }
        Some(Verb::Install(install)) => install.run(),
        Some(Verb::Uninstall(uninstall)) => uninstall.run(),
        Some(Verb::Doctor(doctor)) => doctor.run(),
        Some(Verb::Migrate(migrate)) => migrate.run(),
        Some(Verb::Status(status)) => status.run(),
        Some(Verb::Gc(gc)) => gc.run(),
        Some(Verb::Validate(validate)) => validate.run(),
    }
}

/// The definition of the command line, from which shell completions and man pages are made.
#[must_use]
pub fn command() -> clap::Command {
    CommandLine::command()
}

fn about() -> String {
    format!(
        "linkspan {} is a CNI plugin, which a container runtime calls. By hand: linkspan --help\n\
         CNI versions: {}\n",
        env!("CARGO_PKG_VERSION"),
        Version::ALL.map(Version::as_str).join(", ")
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_sound() {
        super::command().debug_assert();
    }
}
