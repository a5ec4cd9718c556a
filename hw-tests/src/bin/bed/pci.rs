//! PFs and VFs in sysfs, as far as the bed looks at them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How long VFs may take to appear, and again to have carrier. Emulated, they take 3 s.
pub(crate) const BOUND: Duration = Duration::from_mins(1);

/// Looks again until it is so, or the bound has passed. The condition is a file below /sys, and
/// those tell of no change.
pub(crate) fn wait_for(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() && began.elapsed() < BOUND {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The name of the device's first netdev in this network namespace.
pub(crate) fn netdev_of(device: &Path) -> Option<String> {
    let entry = fs::read_dir(device.join("net")).ok()?.next()?.ok()?;
    entry.file_name().into_string().ok()
}

/// The netdev of a PF's VF, once it has appeared.
pub(crate) fn await_vf_netdev(pf: &Path, index: usize) -> Result<String> {
    let mut link = None;
    wait_for(|| {
        link = netdev_of(&pf.join(format!("virtfn{index}")));
        link.is_some()
    });
    link.with_context(|| {
        format!("VF {index} of {} has no netdev after {} s", pf.display(), BOUND.as_secs())
    })
}

/// Makes this many VFs; the kernel changes one number to another only by way of zero.
pub(crate) fn set_vfs(pf: &Path, count: usize) -> Result<()> {
    let file = pf.join("sriov_numvfs");
    let write = |count: usize| {
        fs::write(&file, count.to_string())
            .with_context(|| format!("{} refuses {count}", file.display()))
    };
    write(0)?;
    if count > 0 { write(count) } else { Ok(()) }
}

/// The last part of the path that a link in sysfs leads to.
pub(crate) fn link_target(link: &Path) -> Option<String> {
    fs::read_link(link).ok()?.file_name()?.to_str().map(str::to_owned)
}

/// A number in a sysfs file.
pub(crate) fn number(file: &Path) -> Option<usize> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
