//! Where the programs of this workspace are.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

/// The path of one of the workspace's programs, built the same way as the running test.
///
/// Where cargo runs the test, the programs are built first, once: a stale one would be tested otherwise. In
/// the VM there is no cargo, and `bed test` has built them.
///
/// # Panics
///
/// If they can't be built, or were not.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static ARE_BUILT: LazyLock<bool> = LazyLock::new(build);
    assert!(*ARE_BUILT, "the programs can't be built: `cargo build --workspace --bins` says why");
    let test = std::env::current_exe().unwrap();
    // Tests are in `target/debug/deps`, the programs above that.
    let folder = test.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).unwrap();
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace --bins`", path.display());
    path
}

fn build() -> bool {
    let Some(cargo) = std::env::var_os("CARGO") else { return true };
    let mut command = Command::new(cargo);
    // With the whole workspace's features, as `cargo test --workspace` builds them: not all once more.
    command.args(["build", "--quiet", "--workspace", "--bins"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    command.status().is_ok_and(|status| status.success())
}
