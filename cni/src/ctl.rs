//! The operator's command line: what `linkspan` does where no container runtime calls it.

mod validate;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::spec::Version;

/// For a call that makes no sense, as shells and most programs have it.
const USAGE: u8 = 2;

/// Serves one command.
#[must_use]
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments;
    let command = arguments.next();
    let files: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    match command.as_ref().map(|command| command.to_string_lossy()) {
        // As other plugins do, and those who ask them for their version expect.
        None => {
            eprint!("{}", about());
            ExitCode::SUCCESS
        }
        Some(command) if command == "--help" => told(&about()),
        Some(command) if command == "--version" => {
            told(&format!("linkspan {}\n", env!("CARGO_PKG_VERSION")))
        }
        Some(command) if command == "validate" && !files.is_empty() => validate::validate(&files),
        Some(command) if command == "validate" => {
            eprintln!(
                "linkspan: validate which files? For example: linkspan validate /etc/cni/net.d/*"
            );
            ExitCode::from(USAGE)
        }
        Some(command) => {
            eprintln!(
                "linkspan: there is no command {command:?}, expected one of these:\n{}",
                about()
            );
            ExitCode::from(USAGE)
        }
    }
}

fn about() -> String {
    format!(
        "linkspan {} is a CNI plugin, which a container runtime calls\n\
         By hand:\n  \
         linkspan validate FILE...   check networks' configurations and resource lists, and change nothing\n\
         CNI versions: {}\n",
        env!("CARGO_PKG_VERSION"),
        Version::ALL.map(Version::as_str).join(", ")
    )
}

/// Where nobody reads it, it is still said.
fn told(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
