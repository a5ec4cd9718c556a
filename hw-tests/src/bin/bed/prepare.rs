//! `bed prepare`: from a bare Debian to a bed that boots.
//!
//! Tools and QEMU are installed by apt. The guest's kernel is only unpacked, into the cache folder,
//! with `netdevsim` (which Debian does not build) compiled for it. virtme-ng goes into a Python
//! environment there.

mod node;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::apt::{Apt, Release, run_logged};
use crate::cache::Cache;
use crate::report::Progress;

/// Raised when a step below changes in a way that the lists do not show.
const RECIPE: u32 = 1;

/// What the guest and its preparation need of this machine, from the release's own suite.
const TOOLS: &[&str] = &[
    // For building netdevsim and unpacking the kernel.
    "gcc",
    "make",
    "xz-utils",
    // For virtme-ng: its Python, the shell of its initramfs, the kernel's modules, and `file`, by
    // which it looks at both.
    "python3-venv",
    "busybox-static",
    "kmod",
    "file",
    // `timeout`, `setpriv` and `script`: a bed that hangs is ended, also when `bed` is killed.
    "coreutils",
    "util-linux",
    "bsdutils",
    // What the tests use in the guest, which sees this machine's files.
    "iproute2",
    "iputils-ping",
    "ethtool",
    "dnsmasq-base",
    "strace",
    "tcpdump",
    // The peers that the tests and the benches run beside ours.
    "containernetworking-plugins",
];

/// What tests on this machine need besides; a bed that is made need not be made anew where this changes.
const SERVERS: &[&str] = &["isc-dhcp-server"];

/// 7.2 has no `igb` device.
const QEMU: &str = "qemu-system-x86";
const OLDEST_QEMU: &str = "1:8.0";

/// The version that the bed was tried with.
const VIRTME_NG: &str = "virtme-ng==1.42";

/// The folders below the cache that preparation fills.
const KERNEL: &str = "kernel";
const VENV: &str = "venv";
const STAMP: &str = "prepared";

/// A bed that is ready to boot.
pub(crate) struct Prepared {
    pub(crate) vmlinuz: PathBuf,
    pub(crate) virtme_run: PathBuf,
    /// Such as `6.12.95+deb12-amd64`.
    pub(crate) kernel_release: String,
}

/// The bed that an earlier `prepare` made, or why there is none.
pub(crate) fn prepared(cache: &Cache) -> Result<Prepared> {
    let release = Release::of_this_machine()?;
    ensure!(
        cache.is_complete(STAMP, &recipe(release))
            && missing(&[TOOLS, SERVERS].concat())?.is_empty()
            && qemu_is_fit()?,
        "the bed is not prepared on this machine: run `cargo bed prepare` (as root)"
    );
    let kernel_release = fs::read_to_string(cache.path(STAMP).join("kernel-release"))?;
    Ok(Prepared {
        vmlinuz: cache.path(KERNEL).join(format!("boot/vmlinuz-{kernel_release}")),
        virtme_run: cache.path(VENV).join("bin/virtme-run"),
        kernel_release,
    })
}

/// Makes the bed ready, doing only what is not done yet.
pub(crate) fn prepare(cache: &Cache) -> Result<()> {
    let progress = Progress::begin();
    if prepared(cache).is_err() {
        make(cache, &progress)?;
    }
    progress.say("the bed is prepared");
    Ok(())
}

/// Makes ready what a Kubernetes node takes besides; returns the folder that has it.
pub(crate) fn prepare_node(cache: &Cache) -> Result<PathBuf> {
    let progress = Progress::begin();
    let folder = node::prepare(cache, &progress)?;
    progress.say("the node is prepared");
    Ok(folder)
}

fn make(cache: &Cache, progress: &Progress) -> Result<()> {
    let release = Release::of_this_machine()?;
    ensure!(
        cfg!(target_arch = "x86_64"),
        "the bed emulates an x86_64 machine on an x86_64 machine"
    );
    ensure!(
        rustix::process::geteuid().is_root(),
        "`bed prepare` installs packages, and so must run as root: run it once by `sudo`, \
         with LINKSPAN_BED_CACHE naming a folder that you can read"
    );
    let _lock = cache.lock(progress)?;
    if prepared(cache).is_ok() {
        return Ok(());
    }
    progress.say("fetching the package lists");
    let apt = Apt::update(cache, release)?;
    install_tools(&apt, progress)?;

    let kernel_release = unpack_kernel(cache, &apt, progress)?;
    cache.complete(VENV, VIRTME_NG, |folder| {
        progress.say(&format!("installing {VIRTME_NG} from PyPI into {}", folder.display()));
        install_virtme_ng(folder, &cache.path("prepare.log"))
    })?;
    apt.clean();
    cache.complete(STAMP, &recipe(release), |folder| {
        Ok(fs::write(folder.join("kernel-release"), &kernel_release)?)
    })?;
    prepared(cache).map(|_| ()).context("the preparation left something out")
}

/// All that decides what a prepared bed is made of, as text.
fn recipe(release: Release) -> String {
    format!("{RECIPE} {} {QEMU} {VIRTME_NG} {}", release.codename(), TOOLS.join(" "))
}

/// Those of the packages that are not installed on this machine.
fn missing<'a>(names: &[&'a str]) -> Result<Vec<&'a str>> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\n"])
        .args(names)
        .output()
        .context("can't run dpkg-query: the bed is prepared on Debian")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let installed = |name: &str| text.lines().any(|line| line == format!("{name} installed"));
    Ok(names.iter().copied().filter(|name| !installed(name)).collect())
}

/// Whether QEMU is installed, and new enough to emulate SR-IOV.
fn qemu_is_fit() -> Result<bool> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status} ${Version}", QEMU])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some(version) = text.strip_prefix("installed ") else { return Ok(false) };
    Ok(Command::new("dpkg")
        .args(["--compare-versions", version, "ge", OLDEST_QEMU])
        .status()?
        .success())
}

fn install_tools(apt: &Apt, progress: &Progress) -> Result<()> {
    // The kernel's headers name the compiler, and their programs the library, that fit them.
    let headers = apt.show_on_backports("linux-headers-amd64")?;
    let headers = apt.show_on_backports(headers.dependency("linux-headers-")?)?;
    let kbuild = apt.show_on_backports(headers.dependency("linux-kbuild-")?)?;
    let mut wanted = [TOOLS, SERVERS].concat();
    wanted.extend([headers.dependency("gcc-")?, kbuild.dependency("libelf")?]);
    let wanted = missing(&wanted)?;
    let qemu_was_fit = qemu_is_fit()?;
    if !(wanted.is_empty() && qemu_was_fit) {
        apt.finish_interrupted()?;
    }
    if !wanted.is_empty() {
        progress.say(&format!("installing by apt: {}", wanted.join(", ")));
        apt.install(&wanted)?;
    }
    if !qemu_was_fit {
        progress.say(&format!("installing by apt: {QEMU} (8.0 or newer)"));
        apt.install_from_backports(QEMU)?;
        ensure!(
            qemu_is_fit()?,
            "the archive has no {QEMU} of version {OLDEST_QEMU} or newer, the first with an `igb` \
             device: add the backports suite of this release to the mirror"
        );
    }
    Ok(())
}

/// Unpacks the kernel's packages and builds netdevsim; returns the kernel's release name.
fn unpack_kernel(cache: &Cache, apt: &Apt, progress: &Progress) -> Result<String> {
    let image = apt.show_on_backports("linux-image-amd64")?;
    let image_name = image.dependency("linux-image-")?;
    let kernel_release = image_name.trim_start_matches("linux-image-").to_owned();
    let version = apt.show_on_backports(image_name)?.version()?.to_owned();
    let headers_name = format!("linux-headers-{kernel_release}");
    let headers = apt.show_on_backports(&headers_name)?;
    let common = headers
        .dependency(&format!("linux-headers-{}", kernel_release.trim_end_matches("amd64")))?;
    let kbuild = headers.dependency("linux-kbuild-")?;
    let source_name = source_package(&version)?;
    let packages: Vec<String> = [image_name, &headers_name, common, kbuild, &source_name]
        .iter()
        .map(|name| format!("{name}={version}"))
        .collect();
    let log = cache.path("prepare.log");
    cache.complete(KERNEL, &format!("{RECIPE} {version}"), |folder| {
        progress.say(&format!("downloading kernel {kernel_release}, its headers and source"));
        let debs = folder.join("debs");
        fs::create_dir(&debs)?;
        apt.download(&debs, &packages)?;
        progress.say(&format!("unpacking into {}", folder.display()));
        for entry in fs::read_dir(&debs)? {
            run_logged(Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(folder), &log)?;
        }
        progress.say("building the module netdevsim");
        build_netdevsim(folder, &kernel_release, &source_name, &log)?;
        fs::remove_dir_all(&debs)?;
        Ok(fs::remove_dir_all(folder.join("usr/src"))?)
    })?;
    Ok(kernel_release)
}

/// `6.12.95-1~bpo12+1` is built from `linux-source-6.12`.
fn source_package(version: &str) -> Result<String> {
    let mut numbers = version.split('.');
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => Ok(format!("linux-source-{major}.{minor}")),
        _ => bail!("the kernel's version {version:?} is not of the form 6.12.95-1"),
    }
}

/// Compiles netdevsim against the unpacked headers, puts it beside the kernel's own modules, and
/// indexes them all.
fn build_netdevsim(folder: &Path, kernel: &str, source: &str, log: &Path) -> Result<()> {
    let src = folder.join("usr/src");
    let module = format!("{source}/drivers/net/netdevsim");
    run_logged(
        Command::new("tar")
            .arg("-xJf")
            .arg(src.join(format!("{source}.tar.xz")))
            .arg("-C")
            .arg(&src)
            .arg(&module),
        log,
    )?;
    // The headers' makefile includes its other half by the path that it would be installed at.
    let headers = src.join(format!("linux-headers-{kernel}"));
    let makefile = headers.join("Makefile");
    let text = fs::read_to_string(&makefile)?;
    fs::write(&makefile, text.replace("/usr/src/", &format!("{}/", src.display())))?;
    run_logged(
        Command::new("make")
            .arg("-j2")
            .arg("-C")
            .arg(&headers)
            .arg(format!("M={}", src.join(&module).display()))
            // The type information of modules would need one more tool, and nothing reads it.
            .args(["CONFIG_NETDEVSIM=m", "CONFIG_PSAMPLE=m", "CONFIG_DEBUG_INFO_BTF_MODULES="])
            .arg("modules"),
        log,
    )
    .context("netdevsim does not build for this kernel")?;
    // Since Debian 13 the package has usr/lib; the bed's tools look in lib.
    if !folder.join("lib").exists() {
        std::os::unix::fs::symlink("usr/lib", folder.join("lib"))?;
    }
    let modules = folder.join("lib/modules").join(kernel);
    fs::create_dir_all(modules.join("extra"))?;
    fs::copy(src.join(&module).join("netdevsim.ko"), modules.join("extra/netdevsim.ko"))?;
    run_logged(Command::new("/usr/sbin/depmod").arg("-b").arg(folder).arg(kernel), log)
}

fn install_virtme_ng(folder: &Path, log: &Path) -> Result<()> {
    run_logged(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(folder), log)?;
    // Only its `virtme-run` is used, which needs no other package.
    run_logged(Command::new(folder.join("bin/pip")).args(["install", "--no-deps", VIRTME_NG]), log)
        .with_context(|| {
            format!(
                "{VIRTME_NG} can't be had from PyPI: see that pip reaches it, or set PIP_INDEX_URL"
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_package_carries_the_series() {
        assert_eq!(source_package("6.12.95-1~bpo12+1").ok().as_deref(), Some("linux-source-6.12"));
        assert!(source_package("6").is_err());
    }
}
