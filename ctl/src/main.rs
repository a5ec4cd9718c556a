//! The program `linkspan-ctl`: the operator's verbs, which `linkspan VERB` starts.

use std::process::ExitCode;

fn main() -> ExitCode {
    linkspan_ctl::run(std::env::args_os())
}
