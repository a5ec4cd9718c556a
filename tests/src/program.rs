//! Where the programs of this workspace are.

use std::path::PathBuf;

/// The path of one of the workspace's programs, built the same way as the running test.
///
/// # Panics
///
/// If it was not built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // Tests are in `target/debug/deps`, the programs above that.
    let folder = test.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).unwrap();
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace --bins`", path.display());
    path
}
