//! What the plugin does where a person calls it and no container runtime: it says what it is, or starts the command
//! line, which is a program beside it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::spec::Version;

/// The program of the operator's verbs.
const COMMAND_LINE: &str = "linkspan-ctl";

/// Serves a person; `arguments` begin with the program's name.
pub(crate) fn serve(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let name = arguments.next().unwrap_or_default();
    let mut arguments = arguments.peekable();
    if arguments.peek().is_none() {
        // As other plugins do, and those who ask them for their version expect.
        eprint!("{}", about());
        return ExitCode::SUCCESS;
    }
    let (program, error) = match beside_this() {
        Ok(program) => {
            // It returns only if that program does not start.
            let error = Command::new(&program).arg0(name).args(arguments).exec();
            (program, error)
        }
        Err(error) => (COMMAND_LINE.into(), error),
    };
    eprintln!(
        "linkspan: cannot start the command line, {}: {error}. Install both programs of a release into one folder: \
         linkspan and {COMMAND_LINE}",
        program.display()
    );
    ExitCode::FAILURE
}

/// Where the command line is if it was installed with this program.
fn beside_this() -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(COMMAND_LINE))
}

fn about() -> String {
    format!(
        "linkspan {} is a CNI plugin, which a container runtime calls. By hand: linkspan --help\n\
         CNI versions: {}\n",
        env!("CARGO_PKG_VERSION"),
        Version::ALL.map(Version::as_str).join(", ")
    )
}
