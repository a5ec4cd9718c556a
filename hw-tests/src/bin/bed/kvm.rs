//! Whether KVM can boot the bed: found out by doing it, once in each boot of this machine.
//!
//! `/dev/kvm` may exist and yet refuse a CPU model, or leave a stock kernel hanging.

use std::fs::{self, File};
use std::io;
use std::time::Duration;

use anyhow::Result;

use crate::boot::{RunFolder, boot};
use crate::cache::Cache;
use crate::prepare::Prepared;
use crate::qemu::{Extras, Machine};
use crate::report::Progress;

/// A boot takes about 2 s where KVM works.
const BOUND: Duration = Duration::from_secs(15);

/// Whether KVM boots the guest, from the cache or by a short boot.
pub(crate) fn works(cache: &Cache, bed: &Prepared, progress: &Progress) -> Result<bool> {
    if File::options().read(true).write(true).open("/dev/kvm").is_err() {
        return Ok(false);
    }
    let record = cache.path("kvm");
    let key = format!(
        "{}{}{}",
        fs::read_to_string("/proc/sys/kernel/random/boot_id")?,
        fs::read_to_string("/proc/sys/kernel/osrelease")?,
        bed.kernel_release
    );
    if let Some(outcome) = fs::read_to_string(&record).ok().and_then(|text| recorded(&text, &key)) {
        return Ok(outcome);
    }
    progress.say(&format!("probing KVM with a short boot, at most {} s", BOUND.as_secs()));
    let run = RunFolder::create(cache)?;
    let machine = Machine {
        vmlinuz: &bed.vmlinuz,
        kvm: true,
        nics: true,
        overlays: Vec::new(),
        extras: Extras::default(),
    };
    let alive = run.share().join("alive");
    boot(bed, &machine, &run, format!("echo > '{}'", alive.display()), BOUND, &mut io::sink())?;
    let outcome = alive.exists();
    fs::write(&record, format!("{outcome}\n{key}"))?;
    Ok(outcome)
}

/// The outcome of an earlier probe, if it was made under the same `key`.
fn recorded(record: &str, key: &str) -> Option<bool> {
    let (outcome, made) = record.split_once('\n')?;
    if made == key { outcome.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_holds_for_its_own_boot_only() {
        assert_eq!(recorded("false\nboot-1", "boot-1"), Some(false));
        assert_eq!(recorded("true\nboot-1", "boot-1"), Some(true));
        assert_eq!(recorded("true\nboot-1", "boot-2"), None);
        assert_eq!(recorded("", "boot-1"), None);
    }
}
