//! Where it is measured: namespaces of this process's own, which go with it however it ends.

use anyhow::{Context, Result};
use linkspan_tests::pods::run;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// The parent of all attachments: one end of a veth pair, up, with a carrier.
pub(crate) const PARENT: &str = "parent";
/// Its other end: down, it takes the parent's carrier along.
pub(crate) const OTHER: &str = "other";

/// Moves this process to a network namespace of its own that has nothing but a parent, and to a `/run` of its
/// own: pods, journals and locks are there.
pub(crate) fn enter() -> Result<()> {
    own_run(CloneFlags::CLONE_NEWNET)?;
    run("ip", &["link", "add", PARENT, "type", "veth", "peer", "name", OTHER]);
    for end in [PARENT, OTHER] {
        run("ip", &["link", "set", end, "up"]);
    }
    Ok(())
}

/// As [`enter`], but among the machine's own links.
pub(crate) fn enter_beside_vfs() -> Result<()> {
    own_run(CloneFlags::empty())
}

fn own_run(more: CloneFlags) -> Result<()> {
    let private = || {
        unshare(CloneFlags::CLONE_NEWNS | more)?;
        let nothing = None::<&str>;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
        mount(Some("bench"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
    };
    private().context("can't make namespaces, which takes root")
}
