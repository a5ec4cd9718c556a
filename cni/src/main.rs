//! The program `linkspan`, called by a container runtime as a CNI plugin.

use std::process::ExitCode;

fn main() -> ExitCode {
    linkspan_cni::run()
}
