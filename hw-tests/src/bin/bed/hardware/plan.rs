//! One PF of this machine: whether tests may use it, what will change, and how it was before.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::default_route;
use crate::pci::{await_vf_netdev, link_target, number, set_vfs};

/// As many as the test bed's PFs have.
const WANTED_VFS: usize = 7;

/// The flag `IFF_UP` of `<linux/if.h>`.
const IFF_UP: u32 = 1;

/// A PF, and what the tests change of it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Plan {
    name: String,
    device: PathBuf,
    address: String,
    driver: String,
    vfs_now: usize,
    vfs_wanted: usize,
    is_up: bool,
}

impl Plan {
    /// Looks at the PF, and refuses one that is needed for something else.
    pub(super) fn of(name: &str) -> Result<Self> {
        let link = Path::new("/sys/class/net").join(name);
        ensure!(
            !name.contains('/') && link.exists(),
            "LINKSPAN_PFS names {name:?}, and this machine has no such link: see `ip link`"
        );
        let device = fs::canonicalize(link.join("device"))
            .with_context(|| format!("{name} is no PCI device"))?;
        let total = number(&device.join("sriov_totalvfs"))
            .with_context(|| format!("{name} can't make VFs (its device has no sriov_totalvfs)"))?;
        let vfs_now = number(&device.join("sriov_numvfs")).unwrap_or(0);
        if let Some(carrier) = default_route::depends_on(name)? {
            bail!("{name} carries the default route ({carrier}'s): give the tests another PF");
        }
        if let Some(master) = link_target(&link.join("master")) {
            bail!("{name} is part of {master}: give the tests another PF");
        }
        for index in 0..vfs_now {
            if let Some(use_) = use_of_vf(&device.join(format!("virtfn{index}"))) {
                bail!("VF {index} of {name} is in use ({use_}): free it, or name another PF");
            }
        }
        Ok(Self {
            name: name.to_owned(),
            address: device.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            driver: link_target(&device.join("driver")).unwrap_or_else(|| "none".to_owned()),
            vfs_now,
            vfs_wanted: vfs_now.max(WANTED_VFS.min(total)),
            is_up: is_up(&link),
            device,
        })
    }

    /// Makes the VFs and sets the PF up.
    pub(super) fn apply(&self) -> Result<()> {
        if self.vfs_now != self.vfs_wanted {
            set_vfs(&self.device, self.vfs_wanted)?;
        }
        if !self.is_up {
            self.set_link("up")?;
        }
        for index in 0..self.vfs_wanted {
            await_vf_netdev(&self.device, index)?;
        }
        Ok(())
    }

    /// Puts the PF back. Where the number of VFs was right from the start, their settings are the
    /// tests' to restore.
    pub(super) fn undo(&self) -> Result<()> {
        if self.vfs_now != self.vfs_wanted {
            set_vfs(&self.device, self.vfs_now)?;
        }
        if !self.is_up {
            self.set_link("down")?;
        }
        Ok(())
    }

    fn set_link(&self, state: &str) -> Result<()> {
        let status = Command::new("ip").args(["link", "set", "dev", &self.name, state]).status()?;
        ensure!(status.success(), "can't set {} {state}", self.name);
        Ok(())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, address, driver, vfs_now, vfs_wanted, .. } = self;
        write!(f, "{name} ({address}, driver {driver}): ")?;
        if vfs_now == vfs_wanted {
            write!(f, "its {vfs_now} VFs are used")?;
        } else {
            write!(f, "sriov_numvfs from {vfs_now} to {vfs_wanted}")?;
        }
        f.write_str(if self.is_up { "" } else { "; set up" })
    }
}

/// What a VF is used for, if it is. One that is down, or has no driver, is free.
fn use_of_vf(vf: &Path) -> Option<String> {
    let driver = link_target(&vf.join("driver"))?;
    match crate::pci::netdev_of(vf) {
        None => Some(format!("bound to {driver}, without a netdev in this namespace")),
        Some(name) if is_up(&Path::new("/sys/class/net").join(&name)) => {
            Some(format!("its netdev {name} is up"))
        }
        Some(_) => None,
    }
}

fn is_up(link: &Path) -> bool {
    let flags = fs::read_to_string(link.join("flags")).unwrap_or_default();
    u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16)
        .is_ok_and(|flags| flags & IFF_UP != 0)
}
