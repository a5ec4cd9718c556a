//! `bed prepare --node`: what a real Kubernetes node takes.
//!
//! etcd, containerd and runc are Debian's, only unpacked into the cache folder: installed, they would start
//! daemons on this machine. Kubernetes is built from its published Go modules (`hw-tests/kubernetes`).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::missing;
use crate::apt::{Apt, Release, run_logged};
use crate::cache::Cache;
use crate::report::Progress;

/// Raised when a step below changes in a way that its inputs do not show.
const RECIPE: u32 = 1;

/// What is unpacked.
const PACKAGES: &[&str] = &["etcd-server", "containerd", "runc"];

/// A library of those, and what makes the node's disks and keys.
const INSTALLED: &[&str] = &["libseccomp2", "e2fsprogs", "openssl"];

/// The names that the one program of Kubernetes is called by.
const PARTS: &[&str] =
    &["kubelet", "kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// Where the cache has them.
const UNPACKED: &str = "node-packages";
const KUBERNETES: &str = "kubernetes";
const NODE: &str = "node";

/// The first Go that can fetch a newer one by itself, which Kubernetes asks for in its `go.mod`.
const OLDEST_GO: (u32, u32) = (1, 21);

/// Makes the node's programs and the disk that carries them into the guest; returns their folder.
///
/// In it are `bin` with all programs, and `programs.img`: the guest reads a disk ten times as fast as a
/// folder that it shares with this machine.
pub(super) fn prepare(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let release = Release::of_this_machine()?;
    let packages = format!("{RECIPE} {} {}", release.codename(), PACKAGES.join(" "));
    let kubernetes = sources()?;
    let all = format!("{packages}\n{kubernetes}");
    if !cache.is_complete(NODE, &all) || !missing(INSTALLED)?.is_empty() {
        let _lock = cache.lock(progress)?;
        unpack(cache, release, &packages, progress)?;
        cache
            .complete(KUBERNETES, &kubernetes, |folder| build(cache, folder, release, progress))?;
        cache.complete(NODE, &all, |folder| gather(cache, folder))?;
    }
    Ok(cache.path(NODE))
}

/// The Go program's own folder.
fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes")
}

/// All that decides what Kubernetes is built from.
fn sources() -> Result<String> {
    ["main.go", "go.mod", "go.sum"]
        .iter()
        .map(|name| {
            let path = source_folder().join(name);
            fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))
        })
        .collect()
}

fn unpack(cache: &Cache, release: Release, recipe: &str, progress: &Progress) -> Result<()> {
    let wanted = missing(INSTALLED)?;
    if wanted.is_empty() && cache.is_complete(UNPACKED, recipe) {
        return Ok(());
    }
    progress.say("fetching the package lists");
    let apt = Apt::update(cache, release)?;
    if !wanted.is_empty() {
        progress.say(&format!("installing by apt: {}", wanted.join(", ")));
        apt.install(&wanted)?;
    }
    cache.complete(UNPACKED, recipe, |folder| {
        progress.say(&format!("unpacking {} into {}", PACKAGES.join(", "), folder.display()));
        let debs = folder.join("debs");
        fs::create_dir(&debs)?;
        apt.download(&debs, &PACKAGES.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        for entry in fs::read_dir(&debs)? {
            run_logged(
                Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(folder),
                &cache.path("prepare.log"),
            )?;
        }
        Ok(fs::remove_dir_all(&debs)?)
    })?;
    apt.clean();
    Ok(())
}

/// Builds the one program of Kubernetes.
fn build(cache: &Cache, folder: &Path, release: Release, progress: &Progress) -> Result<()> {
    if go_version().is_none_or(|version| version < OLDEST_GO) {
        progress
            .say("installing by apt: golang-go (for Kubernetes, of which nobody ships packages)");
        let apt = Apt::update(cache, release)?;
        apt.install_from_backports("golang-go")?;
        apt.clean();
    }
    ensure!(
        go_version().is_some_and(|version| version >= OLDEST_GO),
        "Kubernetes is built by Go {}.{} or newer, and `go version` tells of none: put it first on the PATH",
        OLDEST_GO.0,
        OLDEST_GO.1
    );
    progress.say("building Kubernetes from its Go modules; the first time this takes some minutes");
    run_logged(
        Command::new("nice")
            .args(["go", "build", "-trimpath", "-ldflags=-s -w", "-o"])
            .arg(folder.join(KUBERNETES))
            .arg(".")
            // Debian's Go fetches no newer one unless it is told to.
            .envs([("CGO_ENABLED", "0"), ("GOTOOLCHAIN", "auto"), ("GOFLAGS", "-mod=readonly")])
            .current_dir(source_folder()),
        &cache.path("prepare.log"),
    )
    .context("Kubernetes can't be built: see that Go reaches its module proxy, or set GOPROXY")
}

/// The version of the Go on the path.
fn go_version() -> Option<(u32, u32)> {
    let output = Command::new("go").args(["env", "GOVERSION"]).output().ok()?;
    parse_go_version(&String::from_utf8_lossy(&output.stdout))
}

/// Reads `go1.26.8`.
fn parse_go_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix("go")?.split(['.', 'r', '-', ' ']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Brings all programs into one folder, and onto a disk.
fn gather(cache: &Cache, folder: &Path) -> Result<()> {
    let bin = folder.join("bin");
    fs::create_dir(&bin)?;
    let unpacked = cache.path(UNPACKED);
    for from in ["usr/bin", "usr/sbin"] {
        for entry in fs::read_dir(unpacked.join(from)).into_iter().flatten() {
            let entry = entry?;
            fs::copy(entry.path(), bin.join(entry.file_name()))?;
        }
    }
    let program = cache.path(KUBERNETES).join(KUBERNETES);
    // A hard link: the cache is one file system.
    fs::hard_link(&program, bin.join(KUBERNETES))
        .with_context(|| format!("can't link {}", program.display()))?;
    for part in PARTS {
        symlink(KUBERNETES, bin.join(part))?;
    }
    for wanted in ["etcd", "containerd", "containerd-shim-runc-v2", "ctr", "runc"] {
        if !bin.join(wanted).exists() {
            bail!("Debian's packages {} have no program {wanted}", PACKAGES.join(", "));
        }
    }
    run_logged(
        Command::new("/usr/sbin/mke2fs")
            .args(["-q", "-t", "ext4", "-L", "node-programs", "-d"])
            .arg(&bin)
            .arg(folder.join("programs.img"))
            .arg("512M"),
        &cache.path("prepare.log"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_go_s_version_is_read() {
        assert_eq!(parse_go_version("go1.26.8\n"), Some((1, 26)));
        assert_eq!(parse_go_version("go1.24rc1"), Some((1, 24)));
        assert_eq!(parse_go_version("devel +abc"), None);
    }
}
