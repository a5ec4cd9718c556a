//! The program `linkspan`, called by a container runtime as a CNI plugin.

use std::process::ExitCode;

use dlmalloc::GlobalDlmalloc;

/// That of musl asks the kernel for most blocks, and gives each back at once: sixty system calls in an ADD.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

fn main() -> ExitCode {
    linkspan_cni::run()
}
