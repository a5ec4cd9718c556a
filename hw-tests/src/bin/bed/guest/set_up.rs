//! Before any command: modules, two PFs with seven VFs each, and proof that every VF is alive.
//!
//! A guest with too much memory has VFs that appear and are dead, and only their carrier tells.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::pci::{BOUND, await_vf_netdev, netdev_of, set_vfs, wait_for};

/// The PFs' names in the order of their PCI addresses, as systemd would name them.
const PFS: [&str; 2] = ["ens1", "ens2"];

/// All that an Intel 82576 has.
const VFS_OF_A_PF: usize = 7;

/// What the tests attach to; the NICs' own drivers come first.
const LINK_MODULES: &[&str] =
    &["netdevsim", "vfio-pci", "macvlan", "ipvlan", "macvtap", "8021q", "dummy", "veth", "bridge"];

const PCI_DEVICES: &str = "/sys/bus/pci/devices";

/// Makes the VFs and checks them; returns the PFs' names. PFs are left up and VFs down.
pub(super) fn set_up() -> Result<Vec<String>> {
    stop_udev();
    modprobe(&["igb", "igbvf"])?;
    let links = std::thread::spawn(|| modprobe(LINK_MODULES));
    let pfs = name_pfs()?;
    let making: Vec<_> = pfs
        .values()
        .cloned()
        .map(|device| std::thread::spawn(move || set_vfs(&device, VFS_OF_A_PF)))
        .collect();
    for thread in making.into_iter().chain([links]) {
        thread.join().unwrap_or_else(|_| bail!("a thread of the set-up panicked"))?;
    }
    let vfs = name_vfs(&pfs)?;
    check_carrier(&vfs)?;
    ip(&vfs.iter().map(|vf| format!("link set dev {vf} down")).collect::<Vec<_>>())?;
    Ok(pfs.into_keys().collect())
}

/// A machine with systemd starts udev in the guest as well, which would rename links and give them
/// other MAC addresses.
fn stop_udev() {
    if Path::new("/run/udev/control").exists() {
        // Nothing is lost if it is gone already.
        let _ = Command::new("udevadm").args(["control", "--exit"]).status();
    }
}

fn modprobe(modules: &[&str]) -> Result<()> {
    run(Command::new("modprobe").arg("-a").args(modules))
        .with_context(|| format!("the modules {} can't be loaded", modules.join(", ")))
}

/// Names the PFs and sets them up; returns their sysfs folders by name.
fn name_pfs() -> Result<BTreeMap<String, PathBuf>> {
    let mut devices: Vec<PathBuf> = fs::read_dir(PCI_DEVICES)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|device| device.join("sriov_totalvfs").exists())
        .collect();
    devices.sort();
    ensure!(
        devices.len() == PFS.len(),
        "the guest has {} PFs where the bed gives it {}",
        devices.len(),
        PFS.len()
    );
    let mut commands = Vec::new();
    let mut pfs = BTreeMap::new();
    for (device, name) in devices.into_iter().zip(PFS) {
        let link = netdev_of(&device)
            .with_context(|| format!("the PF {} has no netdev", device.display()))?;
        commands.extend(rename_and_up(&link, name));
        pfs.insert(name.to_owned(), device);
    }
    ip(&commands)?;
    Ok(pfs)
}

/// Names each VF after its PF and index, sets it up, and returns the names.
fn name_vfs(pfs: &BTreeMap<String, PathBuf>) -> Result<Vec<String>> {
    let mut commands = Vec::new();
    let mut names = Vec::new();
    for (pf, device) in pfs {
        for index in 0..VFS_OF_A_PF {
            let name = format!("{pf}v{index}");
            let link = await_vf_netdev(device, index)?;
            commands.extend(rename_and_up(&link, &name));
            names.push(name);
        }
    }
    ip(&commands)?;
    Ok(names)
}

/// Each VF must have carrier, which it only gets when its PF answers its mailbox.
fn check_carrier(vfs: &[String]) -> Result<()> {
    let mut dead: Vec<&String> = vfs.iter().collect();
    wait_for(|| {
        dead.retain(|vf| {
            let carrier = fs::read_to_string(format!("/sys/class/net/{vf}/carrier"));
            !carrier.is_ok_and(|text| text.trim() == "1")
        });
        dead.is_empty()
    });
    if dead.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = dead.into_iter().map(String::as_str).collect();
    bail!(
        "the bed is not usable: no carrier on {} after {} s (guests of more than 2700 MiB have \
         such dead VFs)",
        names.join(", "),
        BOUND.as_secs()
    )
}

fn rename_and_up(link: &str, name: &str) -> Vec<String> {
    let mut commands = Vec::new();
    if link != name {
        commands.push(format!("link set dev {link} down"));
        commands.push(format!("link set dev {link} name {name}"));
    }
    commands.push(format!("link set dev {name} up"));
    commands
}

/// Runs commands of `ip` in one process.
fn ip(commands: &[String]) -> Result<()> {
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(commands.join("\n").as_bytes())?;
    }
    let status = child.wait()?;
    ensure!(status.success(), "`ip` failed at one of: {}", commands.join("; "));
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{} ended with {}: {}",
        command.get_program().to_string_lossy(),
        output.status,
        said.trim()
    );
    Ok(())
}
